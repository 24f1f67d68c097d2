/*
 * handler.cpp — the table of contents of the foreign data wrapper.
 *
 * Joins have no entry: look_up_join.cpp has a node of its own.
 */
#include "analyze.h"
#include "fdw.h"
#include "import_schema.h"

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

	/* Several at once */
	routine->IsForeignPathAsyncCapable = bridge::is_foreign_path_async_capable;
	routine->ForeignAsyncRequest = bridge::foreign_async_request;
	routine->ForeignAsyncConfigureWait = bridge::foreign_async_configure_wait;
	routine->ForeignAsyncNotify = bridge::foreign_async_notify;

	/* Writing */
	routine->AddForeignUpdateTargets = bridge::add_foreign_update_targets;
	routine->PlanForeignModify = bridge::plan_foreign_modify;
	routine->IsForeignRelUpdatable = bridge::is_foreign_rel_updatable;
	routine->BeginForeignModify = bridge::begin_foreign_modify;
	routine->ExecForeignInsert = bridge::exec_foreign_insert;
	routine->ExecForeignUpdate = bridge::exec_foreign_update;
	routine->ExecForeignDelete = bridge::exec_foreign_delete;
	routine->EndForeignModify = bridge::end_foreign_modify;
	routine->BeginForeignInsert = bridge::begin_foreign_insert;
	routine->EndForeignInsert = bridge::end_foreign_modify;
	routine->ExecForeignTruncate = bridge::exec_foreign_truncate;
	routine->PlanDirectModify = bridge::plan_direct_modify;
	routine->BeginDirectModify = bridge::begin_direct_modify;
	routine->IterateDirectModify = bridge::iterate_direct_modify;
	routine->EndDirectModify = bridge::end_direct_modify;

	/* Schemas */
	routine->ImportForeignSchema = bridge::import_foreign_schema;
	routine->AnalyzeForeignTable = bridge::analyze_foreign_table;

	/* EXPLAIN */
	routine->ExplainForeignScan = bridge::explain_foreign_scan;
	routine->ExplainForeignModify = bridge::explain_foreign_modify;
	routine->ExplainDirectModify = bridge::explain_direct_modify;

	PG_RETURN_POINTER(routine);
}
}
