/*
 * handler.cpp — the table of contents of the foreign data wrapper.
 *
 * Writing, importing schemas and pushing joins, sorts and aggregates have no entry: the server answers for them.
 */
#include "fdw.h"

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_mongo_handler);

PGDLLEXPORT Datum
tenancy_mongo_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	/* Planning */
	routine->GetForeignRelSize = bridge::get_foreign_rel_size;
	routine->GetForeignPaths = bridge::get_foreign_paths;
	routine->GetForeignUpperPaths = bridge::get_foreign_upper_paths;
	routine->GetForeignPlan = bridge::get_foreign_plan;

	/* Scanning */
	routine->BeginForeignScan = bridge::begin_foreign_scan;
	routine->IterateForeignScan = bridge::iterate_foreign_scan;
	routine->ReScanForeignScan = bridge::rescan_foreign_scan;
	routine->EndForeignScan = bridge::end_foreign_scan;

	/* EXPLAIN */
	routine->ExplainForeignScan = bridge::explain_foreign_scan;

	PG_RETURN_POINTER(routine);
}
}
