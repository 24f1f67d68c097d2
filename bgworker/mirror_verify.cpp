/*
 * mirror_verify.cpp — compares a mirrored table with its collection, document by document.
 *
 * A pass asks MongoDB for its present, waits until the mirror has applied everything up to there, takes a snapshot of the
 * table, and only then reads the collection as it was at that time.  The table is never older than what it is compared
 * with, but it may be newer: what changed meanwhile looks like a difference.  So what a pass finds is a suspicion, and a
 * difference is what three passes find alike, with the same document on MongoDB's side.  A sound mirror takes one pass.
 *
 * Nobody is locked out meanwhile.  Rows are read below row-level security, so that only the table's owner may ask.
 */
#include <mongoc/mongoc.h>

#include "event_batch.h"
#include "fdw/connection.h"
#include "fdw/option.h"

namespace bridge
{
namespace
{

constexpr int passes = 3;
constexpr long most_differences = 10000;
constexpr long patience_ms = 60 * 1000;
constexpr int key_bytes_shown = 512;

struct Difference
{
	char key[key_bytes_shown]; /* the start of the key as text; what follows is in the state */
	uint64 state;			   /* of key and document */
	const char *problem;
	int pass; /* that found it last */
};

struct Verification
{
	MemoryContext context;
	MemoryContext document_context; /* reset with each document */
	ForeignServer *server;
	Relation local;
	TableOptions options;
	const char *tenant; /* whose documents the table holds; null: everybody's */
	Mapping *mapping;
	HTAB *differences;
	int pass;

	/* Of the pass under way. */
	MemoryContext pass_context;
	ClusterTime time;
	Snapshot snapshot;
	Relation index;
	IndexScanDesc scan;
	TupleTableSlot *row;
	TidSet *seen;
};

/* ---- what a pass finds ---- */

char *
key_text(const Verification *v, Datum key)
{
	Oid output;
	bool varlena;

	getTypeOutputInfo(v->mapping->key_type, &output, &varlena);
	return OidOutputFunctionCall(output, key);
}

/* A suspicion of the first pass, or one that this pass confirms. */
void
suspect(Verification *v, const char *key, const char *problem, const bson_t *document)
{
	Difference wanted = {};
	bool found;
	uint64 state = hash_bytes_extended(reinterpret_cast<const unsigned char *>(key),
									   static_cast<int>(strlen(key)), 0);

	if (document)
		state = hash_bytes_extended(bson_get_data(document), static_cast<int>(document->len), state);
	strlcpy(wanted.key, key, sizeof(wanted.key));
	wanted.state = state;

	HASHACTION action =
		v->pass == 1 && hash_get_num_entries(v->differences) < most_differences ? HASH_ENTER
																				: HASH_FIND;
	auto *difference =
		static_cast<Difference *>(hash_search(v->differences, &wanted, action, &found));
	if (!difference)
		return;
	difference->problem = problem;
	difference->pass = v->pass;
}

/* What this pass did not confirm was a change on its way. */
void
drop_unconfirmed(Verification *v)
{
	HASH_SEQ_STATUS status;

	hash_seq_init(&status, v->differences);
	while (auto *difference = static_cast<Difference *>(hash_seq_search(&status)))
		if (difference->pass != v->pass)
			(void) hash_search(v->differences, difference, HASH_REMOVE, nullptr);
}

/* ---- one document ---- */

bool
find_row(Verification *v, Datum key)
{
	ScanKeyData scan_key;

	ScanKeyEntryInitialize(&scan_key, 0, 1, BTEqualStrategyNumber, InvalidOid,
						   v->mapping->key_collation, v->mapping->key_equal, key);
	MemoryContext caller = MemoryContextSwitchTo(v->pass_context);
	index_rescan(v->scan, &scan_key, 1, nullptr, 0);
	bool found = index_getnext_slot(v->scan, ForwardScanDirection, v->row);
	MemoryContextSwitchTo(caller);
	return found;
}

/* Does the row hold what the document says? */
bool
row_agrees(Verification *v)
{
	const Mapping *mapping = v->mapping;

	slot_getallattrs(v->row);
	for (int i = 0; i < mapping->foreign_natts; i++)
	{
		int column = mapping->to_local[i] - 1;

		if (column < 0)
			continue;
		Form_pg_attribute attribute = TupleDescAttr(v->row->tts_tupleDescriptor, column);
		if (v->row->tts_isnull[column] != mapping->isnull[i] ||
			(!mapping->isnull[i] &&
			 !datum_image_eq(v->row->tts_values[column], mapping->values[i], attribute->attbyval,
							 attribute->attlen)))
			return false;
	}
	return true;
}

bool
is_misfit(const Verification *v, const bson_t *document)
{
	bson_iter_t id;
	Oid types[] = {OIDOID, TEXTOID};
	Datum values[2] = {ObjectIdGetDatum(RelationGetRelid(v->local))};

	if (!bson_iter_init_find(&id, document, "_id"))
		return false;
	values[1] = CStringGetTextDatum(bson_value_text(&id));
	return catalogue_run("SELECT FROM tenancy_mongo.misfits WHERE local_table = $1::regclass "
						 "AND hashtextextended(document_id, 0) = hashtextextended($2, 0) "
						 "AND document_id = $2",
						 2, types, values) > 0;
}

const char *
document_name(const bson_t *document)
{
	bson_iter_t id;

	return bson_iter_init_find(&id, document, "_id") ? bson_value_text(&id) : "null";
}

void
compare_document(Verification *v, const bson_t *document)
{
	Mismatch mismatch;

	if (!mapping_convert(v->mapping, document, &mismatch))
	{
		if (!is_misfit(v, document))
			suspect(v, document_name(document), "not among the misfits", document);
		return;
	}

	Datum key = v->mapping->values[v->mapping->foreign_key - 1];
	if (!find_row(v, key))
	{
		if (!is_misfit(v, document))
			suspect(v, key_text(v, key), "missing", document);
		return;
	}
	MemoryContext caller = MemoryContextSwitchTo(v->pass_context);
	tid_set_add(v->seen, &v->row->tts_tid);
	MemoryContextSwitchTo(caller);
	if (!row_agrees(v))
		suspect(v, key_text(v, key), "differs", document);
}

/* Rows whose documents are not there, or have become misfits. */
void
compare_other_rows(Verification *v)
{
	TableScanDesc scan = table_beginscan(v->local, v->snapshot, 0, nullptr);
	bool isnull;

	while (table_scan_getnextslot(scan, ForwardScanDirection, v->row))
	{
		CHECK_FOR_INTERRUPTS();
		if (tid_set_has(v->seen, &v->row->tts_tid))
			continue;
		MemoryContextReset(v->document_context);
		MemoryContext caller = MemoryContextSwitchTo(v->document_context);
		Datum key = slot_getattr(v->row, v->mapping->local_key, &isnull);
		suspect(v, isnull ? "null" : key_text(v, key), "not in MongoDB", nullptr);
		MemoryContextSwitchTo(caller);
	}
	table_endscan(scan);
}

/* ---- a pass ---- */

Document *
find_command(const Verification *v, bool exactly, MemoryContext context)
{
	Document *command = own<Document>(context);
	bson_t concern;

	BSON_APPEND_UTF8(command->get(), "find", v->options.collection);
	append_tenant_filter(command->get(), "filter", v->options.tenant_field, v->tenant);
	BSON_APPEND_DOCUMENT_BEGIN(command->get(), "readConcern", &concern);
	BSON_APPEND_UTF8(&concern, "level", exactly ? "snapshot" : "majority");
	BSON_APPEND_TIMESTAMP(&concern, exactly ? "atClusterTime" : "afterClusterTime",
						  static_cast<uint32>(v->time >> 32), static_cast<uint32>(v->time));
	bson_append_document_end(command->get(), &concern);
	return command;
}

/* Reads the collection; false if the server cannot read it at the pass's time. */
bool
compare_documents(Verification *v, Client *client, bool exactly)
{
	MemoryContext context =
		AllocSetContextCreate(v->pass_context, "tenancy mirror cursor", ALLOCSET_SMALL_SIZES);
	Document *command = find_command(v, exactly, context);
	CursorHolder *holder = own<CursorHolder>(context);
	const char *what =
		psprintf("collection \"%s.%s\"", v->options.database, v->options.collection);
	const bson_t *document = nullptr;
	Failure failure;

	do
	{
		bool received = attempt(&failure, [&] {
			if (!holder->cursor)
				holder->cursor =
					std::make_unique<Cursor>(*client, v->options.database, command->get(), what);
			document = holder->cursor->next();
		});

		if (!received && !(exactly && is_past_lost(&failure)))
			raise_failure(&failure);
		if (!received)
		{
			MemoryContextDelete(context);
			return false;
		}
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(v->document_context);
		MemoryContext caller = MemoryContextSwitchTo(v->document_context);
		if (document && is_of_tenant(document, v->options.tenant_field, v->tenant))
			compare_document(v, document);
		MemoryContextSwitchTo(caller);
	} while (document);
	MemoryContextDelete(context);
	return true;
}

void
wait_until_level(Verification *v, Client *client)
{
	v->time = cluster_time_now(client);
	if (wait_for_stream(v->server->serverid, RelationGetRelid(v->local), v->time, patience_ms))
		return;
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("the mirrors of server \"%s\" are not level with MongoDB",
						   v->server->servername),
					errdetail("They were waited for %ld seconds.", patience_ms / 1000),
					errhint("SELECT * FROM tenancy_mongo.stat_mirror;")));
}

void
run_pass(Verification *v)
{
	Client *client = connection_get(v->server->serverid, GetUserId());

	wait_until_level(v, client);
	v->pass_context =
		AllocSetContextCreate(v->context, "tenancy mirror verification pass", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(v->pass_context);
	v->snapshot = RegisterSnapshot(GetLatestSnapshot());
	v->row = table_slot_create(v->local, nullptr);
	v->index = index_open(v->mapping->key_index, AccessShareLock);
	v->scan = tenancy_index_beginscan(v->local, v->index, v->snapshot, 1);
	v->seen = tid_set_create();
	if (!compare_documents(v, client, true))
		(void) compare_documents(v, client, false);
	compare_other_rows(v);
	index_endscan(v->scan);
	index_close(v->index, NoLock);
	ExecDropSingleTupleTableSlot(v->row);
	UnregisterSnapshot(v->snapshot);
	drop_unconfirmed(v);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(v->pass_context);
}

/* ---- the function ---- */

/* The table's foreign table; an error if it is not a mirror that follows its stream. */
Oid
foreign_table_of(Oid local)
{
	Oid types[] = {OIDOID};
	Datum values[] = {ObjectIdGetDatum(local)};
	Datum found[2];

	if (!catalogue_select("SELECT foreign_table::oid, phase FROM tenancy_mongo.mirror_table "
						  "WHERE local_table = $1::regclass",
						  1, types, values, found, 2))
		fail_for_no_mirror(local);
	if (static_cast<Phase>(DatumGetChar(found[1])) != Phase::follow)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("mirror \"%s\" does not follow its collection yet, or has stopped",
							   get_rel_name(local)),
						errhint("SELECT * FROM tenancy_mongo.stat_mirror;")));
	return DatumGetObjectId(found[0]);
}

/* Whose documents the table holds, and where they are. */
void
read_tenant(Verification *v)
{
	Oid types[] = {OIDOID};
	Datum values[] = {ObjectIdGetDatum(RelationGetRelid(v->local))};

	v->tenant = catalogue_text("SELECT tenant FROM tenancy_mongo.mirror_table "
							   "WHERE local_table = $1::regclass",
							   1, types, values);
	v->options.database = tenant_database(v->options.database, v->tenant);
	if (!v->tenant)
		v->options.tenant_field = nullptr;
}

void
create_differences(Verification *v)
{
	HASHCTL control = {};

	control.keysize = offsetof(Difference, problem);
	control.entrysize = sizeof(Difference);
	control.hcxt = v->context;
	v->differences = hash_create("differences of a mirror", 64, &control,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

Verification *
begin(Oid local)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "tenancy mirror verification", ALLOCSET_DEFAULT_SIZES);
	auto *v = static_cast<Verification *>(MemoryContextAllocZero(context, sizeof(Verification)));
	MappingProblem problem;

	v->context = context;
	v->document_context =
		AllocSetContextCreate(context, "tenancy mirror document", ALLOCSET_DEFAULT_SIZES);
	Relation foreign = table_open(foreign_table_of(local), AccessShareLock);
	v->local = table_open(local, AccessShareLock);
	v->server = GetForeignServer(GetForeignTable(RelationGetRelid(foreign))->serverid);
	v->options = table_options(RelationGetRelid(foreign));
	read_tenant(v);
	v->mapping = mapping_build(foreign, v->local, context, &problem);
	if (!v->mapping)
		ereport(ERROR, (errcode(problem.sqlstate), errmsg("%s", problem.message),
						problem.detail ? errdetail("%s", problem.detail) : 0,
						problem.hint ? errhint("%s", problem.hint) : 0));
	table_close(foreign, NoLock);
	create_differences(v);
	return v;
}

/* Passes until nothing is suspected any more, or what is has been confirmed. */
void
verify(Verification *v)
{
	do
	{
		v->pass++;
		run_pass(v);
		if (v->pass == 1 && hash_get_num_entries(v->differences) >= most_differences)
			ereport(NOTICE, (errmsg("more than %ld differences: only some are named",
									most_differences)));
	} while (v->pass < passes && hash_get_num_entries(v->differences) > 0);
}

void
return_differences(const Verification *v, ReturnSetInfo *result)
{
	HASH_SEQ_STATUS status;

	hash_seq_init(&status, v->differences);
	while (auto *difference = static_cast<Difference *>(hash_seq_search(&status)))
	{
		Datum values[] = {CStringGetTextDatum(difference->key),
						  CStringGetTextDatum(difference->problem)};
		bool nulls[] = {false, false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

} // namespace
} // namespace bridge

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_mongo_verify_mirror);
PGDLLEXPORT Datum tenancy_mongo_verify_mirror(PG_FUNCTION_ARGS);

Datum
tenancy_mongo_verify_mirror(PG_FUNCTION_ARGS)
{
	using namespace bridge;
	Oid local = PG_GETARG_OID(0);

	check_owner(local);
	check_sees_what_comes("verify_mirror()");
	InitMaterializedSRF(fcinfo, 0);

	Verification *v = begin(local);
	verify(v);
	return_differences(v, reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo));
	table_close(v->local, NoLock);
	if (PG_GETARG_BOOL(1) && hash_get_num_entries(v->differences) > 0)
		refresh_mirror(local);
	MemoryContextDelete(v->context);
	return (Datum) 0;
}
}
