/*
 * analyze.cpp — ANALYZE of a foreign table: a sample of its documents, and how many there are.
 *
 * The sample is MongoDB's own ($sample), so a large collection is not read; of a small one all documents are.  It holds no
 * more than maintenance_work_mem, which with large documents makes it a smaller one: a random sample's beginning is a random
 * sample.  Documents that do not fit the table are left out and told, for a scan might never meet them.
 *
 * Statistics hold values: the most common ones, and the bounds of histograms.  pg_stats shows them to whoever may read the
 * column, and hides them where row-level security binds the reader, which a foreign table does not have.  So of a table that
 * follows the tenant no value is stored: its rows are analysed here by the types' own functions, and what is kept are the
 * share of nulls, the width and the number of distinct values, from which the planner estimates an equality as well.  To the
 * server such a table's sample is empty.
 */
#include "../bson/shape.h"
#include "../client/cursor.h"
#include "analyze.h"
#include "bson_datum.h"
#include "connection.h"
#include "describe.h"
#include "fdw.h"
#include "tenant.h"

namespace bridge
{

/* What is analysed. */
struct Subject
{
	Relation table;
	TableOptions options;
	const char *database; /* the tenant's, if the option says so */
	Client *client;
};

/* As the collection's own statistics tell. */
struct CollectionSize
{
	double documents;
	double bytes; /* 0: unknown */
};

static const bson_t *
next_document(CursorHome *home)
{
	if (home->cursor->has_buffered())
		return guarded([&] { return home->cursor->next(); });

	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	const bson_t *document = guarded([&] { return home->cursor->next(); });
	pgstat_report_wait_end();
	return document;
}

static CursorHome *
open_cursor(const Subject *subject, const bson_t *command)
{
	CursorHome *home = own<CursorHome>(CurrentMemoryContext);
	const char *what =
		psprintf("collection \"%s.%s\"", subject->database, subject->options.collection);

	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	guarded([&] { home->cursor.emplace(*subject->client, subject->database, command, what); });
	pgstat_report_wait_end();
	return home;
}

static Subject
open_subject(Relation table)
{
	Subject subject;

	subject.table = table;
	subject.options = table_options(RelationGetRelid(table));
	subject.database = route_database(subject.options.database);
	subject.client = living_client(GetForeignTable(RelationGetRelid(table))->serverid,
								   table->rd_rel->relowner);
	return subject;
}

/*
 * Size
 */

static void
add_count_stage(Items *stages)
{
	bson_t *count = new_document();

	BSON_APPEND_UTF8(count, "$count", "count");
	stages->add(count);
}

/* A view, and what is kept in buckets, has to be counted; a collection knows. */
static void
add_size_stage(Items *stages)
{
	bson_t *statistics = new_document();
	bson_t *empty = new_document();

	BSON_APPEND_DOCUMENT(statistics, "storageStats", empty);
	add_stage(stages, "$collStats", statistics);
}

static double
number_at(const bson_t *document, const char *path)
{
	bson_iter_t field;
	bson_iter_t found;

	return bson_iter_init(&field, document) && bson_iter_find_descendant(&field, path, &found)
			   ? bson_iter_as_double(&found)
			   : 0;
}

static CollectionSize
collection_size(const Subject *subject)
{
	List *found = list_collections(subject->client, subject->database, subject->options.collection);
	Items stages = new_items();
	bson_t *command = new_document();
	CollectionSize size = {};

	if (found == NIL)
		ereport(ERROR, (errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
						errmsg("collection \"%s.%s\" of foreign table \"%s\" does not exist",
							   subject->database, subject->options.collection,
							   RelationGetRelationName(subject->table))));
	if (static_cast<Collection *>(linitial(found))->plain)
		add_size_stage(&stages);
	else
		add_count_stage(&stages);
	put_aggregate(command, subject->options.collection, &stages);

	/* One document for each shard. */
	CursorHome *home = open_cursor(subject, command);
	while (const bson_t *document = next_document(home))
	{
		size.documents +=
			number_at(document, "storageStats.count") + number_at(document, "count");
		size.bytes += number_at(document, "storageStats.size");
	}
	home->cursor.reset();
	return size;
}

/*
 * The sample
 */

static List *
column_paths(Relation table, bool *whole)
{
	TupleDesc descriptor = RelationGetDescr(table);
	List *paths = NIL;

	*whole = false;
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
		if (attribute->attisdropped)
			continue;
		ColumnOptions column = column_options(RelationGetRelid(table), attribute->attnum);
		*whole = *whole || !column.is_field();
		paths = lappend(paths, makeString(pstrdup(column.path)));
	}
	return paths;
}

static const bson_t *
sample_command(const Subject *subject, int rows, double documents)
{
	bson_t *command = new_document();
	bson_t *projection = new_document();
	Items stages = new_items();
	bool whole;
	List *paths = column_paths(subject->table, &whole);

	/* Of what the sample would hold anyhow all is read: in one pass, without sorting it at random. */
	if (documents > rows)
	{
		bson_t *size = new_document();
		BSON_APPEND_INT32(size, "size", rows);
		add_stage(&stages, "$sample", size);
	}
	if (!whole)
	{
		put_projection(projection, paths);
		add_stage(&stages, "$project", projection);
	}
	put_aggregate(command, subject->options.collection, &stages);
	return command;
}

struct Misfits
{
	int count;
	char *first;
};

/* Of a table that follows the tenant the sample is everybody's, and so is an _id. */
static void
note_misfit(Misfits *misfits, const Subject *subject, const Mismatch *mismatch)
{
	const char *document = "a document";

	if (misfits->count++ > 0)
		return;
	if (!follows_tenant(&subject->options) && mismatch->document_id != nullptr)
		document = psprintf("document %s", mismatch->document_id);
	misfits->first = psprintf("Field \"%s\" of %s is %s, the column %s. %s", mismatch->path,
							  document, mismatch->bson_type, mismatch->sql_type, mismatch->reason);
}

static void
report_sample(const Subject *subject, int elevel, int rows, const CollectionSize *size,
			  const Misfits *misfits)
{
	const char *name = RelationGetRelationName(subject->table);

	ereport(elevel, (errmsg("\"%s\": collection \"%s.%s\" has %.0f documents, %d rows in sample", name,
							subject->database, subject->options.collection, size->documents, rows)));
	if (misfits->count > 0)
		ereport(WARNING, (errmsg("%d sampled documents do not fit foreign table \"%s\"",
								 misfits->count, name),
						  errdetail("%s", misfits->first)));
}

/* Fills "rows", in the current memory context. */
static int
sample_rows(const Subject *subject, int elevel, HeapTuple *rows, int wanted, double *documents)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context =
		AllocSetContextCreate(caller, "tenancy_mongo sample", ALLOCSET_DEFAULT_SIZES);
	MemoryContext row_context =
		AllocSetContextCreate(context, "tenancy_mongo sampled row", ALLOCSET_DEFAULT_SIZES);
	Size room = static_cast<Size>(maintenance_work_mem) * 1024;
	int count = 0;
	Misfits misfits = {};

	MemoryContextSwitchTo(context);
	TupleDesc descriptor = RelationGetDescr(subject->table);
	CollectionSize size = collection_size(subject);
	ColumnMap *columns = column_map_build(subject->table, nullptr, context);
	auto *values = static_cast<Datum *>(palloc0(sizeof(Datum) * Max(descriptor->natts, 1)));
	auto *nulls = static_cast<bool *>(palloc0(sizeof(bool) * Max(descriptor->natts, 1)));
	CursorHome *home = open_cursor(subject, sample_command(subject, wanted, size.documents));

	while (count < wanted && room > 0)
	{
		Mismatch mismatch;
		const bson_t *document = next_document(home);

		CHECK_FOR_INTERRUPTS();
		if (document == nullptr)
			break;
		MemoryContextSwitchTo(row_context);
		if (column_map_convert(columns, document, values, nulls, &mismatch))
		{
			MemoryContextSwitchTo(caller);
			rows[count] = heap_form_tuple(descriptor, values, nulls);
			room -= Min(room, rows[count]->t_len + HEAPTUPLESIZE);
			count++;
		}
		else
		{
			MemoryContextSwitchTo(context);
			note_misfit(&misfits, subject, &mismatch);
		}
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(context);
	report_sample(subject, elevel, count, &size, &misfits);
	*documents = size.documents;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return count;
}

static int
acquire_sample(Relation table, int elevel, HeapTuple *rows, int wanted, double *total, double *dead)
{
	Subject subject = open_subject(table);

	*dead = 0;
	return sample_rows(&subject, elevel, rows, wanted, total);
}

/*
 * Statistics without values
 */

static Datum
fetch_value(VacAttrStats *stats, int row, bool *isnull)
{
	return heap_getattr(stats->rows[row], stats->tupattnum, stats->tupDesc, isnull);
}

/* What the type's own analysis finds; null if there is none. */
static VacAttrStats *
analyze_column(TupleDesc descriptor, Form_pg_attribute attribute, int target, HeapTuple *rows,
			   int count, double total)
{
	auto *stats = static_cast<VacAttrStats *>(palloc0(sizeof(VacAttrStats)));
	HeapTuple type = SearchSysCacheCopy1(TYPEOID, ObjectIdGetDatum(attribute->atttypid));

	if (!HeapTupleIsValid(type))
		elog(ERROR, "cache lookup failed for type %u", attribute->atttypid);
	tenancy_set_statistics_target(stats, attribute, target);
	stats->attrtypid = attribute->atttypid;
	stats->attrtypmod = attribute->atttypmod;
	stats->attrtype = reinterpret_cast<Form_pg_type>(GETSTRUCT(type));
	stats->attrcollid = attribute->attcollation;
	stats->anl_context = CurrentMemoryContext;
	stats->tupattnum = attribute->attnum;
	stats->rows = rows;
	stats->tupDesc = descriptor;
	for (int i = 0; i < STATISTIC_NUM_SLOTS; i++)
	{
		stats->statypid[i] = stats->attrtypid;
		stats->statyplen[i] = stats->attrtype->typlen;
		stats->statypbyval[i] = stats->attrtype->typbyval;
		stats->statypalign[i] = stats->attrtype->typalign;
	}

	bool analysed = OidIsValid(stats->attrtype->typanalyze)
						? DatumGetBool(OidFunctionCall1(stats->attrtype->typanalyze,
														PointerGetDatum(stats)))
						: std_typanalyze(stats);
	if (!analysed || stats->compute_stats == nullptr)
		return nullptr;
	stats->compute_stats(stats, fetch_value, count, total);
	return stats->stats_valid ? stats : nullptr;
}

/*
 * What an earlier ANALYZE has stored, when the table did not follow the tenant yet: values in all places.  The columns that
 * are not analysed any more are among it, and so are extended statistics, which the server leaves alone if it gets no row.
 */
static void
remove_statistics(Relation table)
{
	ListCell *cell;

	RemoveStatistics(RelationGetRelid(table), 0);
	foreach (cell, RelationGetStatExtList(table))
		RemoveStatisticsDataById(lfirst_oid(cell), false);
	CommandCounterIncrement();
}

static void
store_column(Relation catalog, Relation table, AttrNumber attribute, const VacAttrStats *stats)
{
	Datum values[Natts_pg_statistic] = {};
	bool nulls[Natts_pg_statistic] = {};

	values[Anum_pg_statistic_starelid - 1] = ObjectIdGetDatum(RelationGetRelid(table));
	values[Anum_pg_statistic_staattnum - 1] = Int16GetDatum(attribute);
	values[Anum_pg_statistic_stainherit - 1] = BoolGetDatum(false);
	values[Anum_pg_statistic_stanullfrac - 1] = Float4GetDatum(stats->stanullfrac);
	values[Anum_pg_statistic_stawidth - 1] = Int32GetDatum(stats->stawidth);
	values[Anum_pg_statistic_stadistinct - 1] = Float4GetDatum(stats->stadistinct);

	/* The slots, where values would stand, are empty. */
	for (int i = 0; i < STATISTIC_NUM_SLOTS; i++)
	{
		nulls[Anum_pg_statistic_stanumbers1 - 1 + i] = true;
		nulls[Anum_pg_statistic_stavalues1 - 1 + i] = true;
	}
	CatalogTupleInsert(catalog, heap_form_tuple(RelationGetDescr(catalog), values, nulls));
}

static void
store_statistics(Relation table, HeapTuple *rows, int count, double total)
{
	TupleDesc descriptor = RelationGetDescr(table);
	Relation catalog = table_open(StatisticRelationId, RowExclusiveLock);

	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
		int target = attribute->attisdropped
						 ? 0
						 : tenancy_statistics_target(RelationGetRelid(table), attribute);
		if (target == 0)
			continue;

		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tenancy_mongo column",
													  ALLOCSET_DEFAULT_SIZES);
		MemoryContext caller = MemoryContextSwitchTo(context);
		VacAttrStats *stats = analyze_column(descriptor, attribute, target, rows, count, total);
		if (stats != nullptr)
			store_column(catalog, table, attribute->attnum, stats);
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(context);
	}
	table_close(catalog, RowExclusiveLock);
}

/* The same for a table that follows the tenant: the server gets no row, so it stores nothing but the number of rows. */
static int
acquire_protected(Relation table, int elevel, HeapTuple *rows, int wanted, double *total,
				  double *dead)
{
	Subject subject = open_subject(table);
	int count = sample_rows(&subject, elevel, rows, wanted, total);

	*dead = 0;
	remove_statistics(table);
	if (count > 0)
		store_statistics(table, rows, count, *total);
	return 0;
}

bool
analyze_foreign_table(Relation table, AcquireSampleRowsFunc *sample, BlockNumber *pages)
{
	/* The server says that the table cannot be analysed: its rows are no documents. */
	if (table_options(RelationGetRelid(table)).unnest != nullptr)
		return false;

	Subject subject = open_subject(table);
	CollectionSize size = collection_size(&subject);

	*sample = follows_tenant(&subject.options) ? acquire_protected : acquire_sample;
	*pages = static_cast<BlockNumber>(Min(ceil(Max(size.bytes, 1) / BLCKSZ), MaxBlockNumber));
	return true;
}

/*
 * Planning
 */

double
tenant_fraction(Oid foreign_table, AttrNumber natts, const TableOptions *options, double tuples)
{
	for (AttrNumber i = 1; i <= natts; i++)
	{
		HeapTuple statistics = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(foreign_table),
											   Int16GetDatum(i), BoolGetDatum(false));
		if (!HeapTupleIsValid(statistics))
			continue;

		double distinct = reinterpret_cast<Form_pg_statistic>(GETSTRUCT(statistics))->stadistinct;
		ReleaseSysCache(statistics);
		ColumnOptions column = column_options(foreign_table, i);
		if (!column.is_field() || strcmp(column.path, options->tenant_field) != 0)
			continue;
		if (distinct < 0)
			distinct *= -tuples;
		return distinct >= 1 ? 1 / distinct : 0;
	}
	return 0;
}

} // namespace bridge
