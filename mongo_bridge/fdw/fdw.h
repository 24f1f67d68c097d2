/*
 * fdw.h — what the files of the foreign data wrapper share.
 *
 *   shippable.cpp   which conditions MongoDB may evaluate
 *   plan.cpp        paths and plans
 *   look_up_join.cpp joins that look documents up, many with one command (look_up_exec.cpp)
 *   sort.cpp        which orders MongoDB may sort by, and how
 *   aggregate.cpp   which aggregates it may compute, and how (group_command.cpp, group_plain.cpp, group_filter.cpp)
 *   condition.cpp   a plan's condition, with the value of its operand, to a filter (pattern.cpp, json_path.cpp)
 *   deparse.cpp     … and all of them to a find command, or to an aggregation pipeline
 *   scan.cpp        running it, and EXPLAIN (async_scan.cpp: … together with others)
 *   modify.cpp      writing, row by row
 *   direct_modify.cpp … and by one command for all rows
 *   handler.cpp     the table of contents
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_FDW_H
#define PG_TENANCY_FDW_FDW_H

#ifndef POSTGRES_H
#include "../bson/value.h"
#include "../client/client.h"
#include "../guard.h"
#endif
#include "option.h"

namespace bridge
{

/* How the values of a column compare, in PostgreSQL and in MongoDB; "other" does not compare in MongoDB. */
enum class FieldKind
{
	other,
	integer,	/* smallint, integer, bigint */
	real,		/* double precision */
	decimal,	/* numeric */
	string,		/* text, varchar, name */
	boolean,	/* boolean */
	instant,	/* timestamptz */
	wall_clock, /* timestamp */
	day,		/* date */
	uuid,		/* uuid */
	json_text,	/* what ->> shows of a field in jsonb or json */
	object_id	/* tenancy_mongo.object_id */
};

FieldKind field_kind(Oid type);

enum class Comparison
{
	equal,
	not_equal,
	less,
	less_equal,
	greater,
	greater_equal,
	any_of,
	none_of,
	distinct,
	not_distinct,
	like,
	not_like,
	starts_with,
	is_null,
	is_not_null,
	is_true,
	is_false,
	is_not_true,
	is_not_false,
	either, /* of conditions: at least one holds … */
	both,	/* … all do … */
	neither /* … none does */
};

/* MongoDB's operator for it, of those between two values. */
const char *operator_name(Comparison comparison);

/* One condition on one field, or on several conditions.  In a plan it is a List, so that plans can be copied. */
struct Condition
{
	const char *path; /* "": none */
	Comparison comparison;
	FieldKind kind;
	int operand; /* its number among the plan's expressions; -1: none */
};

bool is_junction(const Condition *condition);

/* The conditions under a junction follow in its list. */
List *condition_to_list(const Condition *condition);
Condition condition_from_list(List *list);
List *condition_children(List *list);

/*
 * shippable.cpp: what a clause becomes.  An exact condition holds for a document just if the clause does for its row; one
 * that is not exact may hold for more documents, and the clause must be evaluated here as well.
 */
struct Shippable
{
	Condition condition;
	Expr *operand; /* null: none */
	Var *column;   /* null: a junction */
	bool exact;
	List *children; /* of Shippable: what a junction joins */
};

bool clause_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, Expr *clause,
					  Shippable *result);

/* The column that an expression is, but for a change of its type's name; null if it is anything
 * else. */
Var *column_of(RelOptInfo *relation, Expr *expression);

/* Whether a collation compares strings by their bytes, as MongoDB does. */
bool compares_bytes(Oid collation);

/* An operand's value, or in EXPLAIN the name of one that is not known yet. */
struct Operand
{
	Oid type;
	Datum value;
	bool isnull;
	const char *name; /* null: the value is known */
};

/* What became of a condition. */
enum class Outcome
{
	condition,
	nothing,   /* no document satisfies it */
	everything /* every document does */
};

/* condition.cpp: writes a condition on a field into an empty document. */
Outcome put_condition(bson_t *out, const Condition *condition, const Operand *operands);

/* The value of an operand that is known, as its kind of field counts it. */
int64 integer_value(const Operand *operand);
const char *string_value(const Operand *operand);
int64 microseconds_value(const Operand *operand, FieldKind kind);

/* pattern.cpp: what a pattern of LIKE begins with. */
struct Pattern
{
	char *prefix;
	bool whole; /* there is no more: it is an equality */
	bool exact; /* what follows may be anything */
};

Pattern pattern_read(Comparison comparison, const char *text);
void put_prefix(bson_t *out, const char *path, const char *prefix);

struct Items;

/* json_path.cpp: the column of an expression like c -> 'a' ->> 'b', and its path; null if it is none. */
Var *json_text_field(RelOptInfo *relation, Oid foreign_table, Expr *expression, const char **path);

/* Whether ->> shows a text of strings alone. */
bool only_strings_show(const char *text);
void put_json_text(bson_t *out, const char *path, const Items *values, bool others);

/* The condition that a document is the tenant's. */
void put_tenant(bson_t *out, const char *path, const Operand *tenant);

/* The value of a whole number that a double holds exactly, for comparisons of numerics; else false. */
bool numeric_is_small_integer(Numeric number, int64 *value);

/* A document and a growing array, in the current memory context. */
bson_t *new_document();

struct Items
{
	bson_t *array;
	int count;

	/* Not for the BSON_APPEND macros, which evaluate a key twice. */
	const char *
	next_key()
	{
		return psprintf("%d", count++);
	}

	void
	add(const bson_t *document)
	{
		bson_append_document(array, next_key(), -1, document);
	}
};
Items new_items();

/* Adds {op: argument}, a stage of a pipeline. */
void add_stage(Items *stages, const char *op, const bson_t *argument);

/* Several documents under $or or $and; a single one as it is. */
void put_together(bson_t *out, const char *op, const Items *items);

/* sort.cpp: one key of ORDER BY.  In a plan it is a List. */
struct SortKey
{
	const char *path;
	FieldKind kind;
	bool descending;
	bool nulls_first;
	bool not_null; /* no null is met */
};

List *sort_key_to_list(const SortKey *key);

/* Whether MongoDB's order of a kind of field is that of its column, but for nulls, NaN and
 * ObjectIds in text columns. */
bool sorts_alike(FieldKind kind, Oid collation);

/* Whether a column shows no null: it is declared so, or a condition that is shipped leaves none; or just the latter. */
bool condition_leaves_no_null(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table,
							  Var *column);
bool column_has_no_null(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, Var *column);

/* The keys that "pathkeys" become; false if MongoDB cannot sort so. */
bool sort_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, List *pathkeys,
					List **keys);

/* Whether find can sort by them, and its sort document; otherwise the stages of a pipeline. */
bool sort_is_plain(List *keys);
void put_plain_sort(bson_t *out, List *keys);
void add_sort_stages(Items *stages, List *keys);
void add_unwrap_stage(Items *stages);
List *sort_paths(List *keys);

/* The expression for what a column shows of a field; null where it is NULL.  "rest" is the part of
 * the path to go. */
void put_field_value(bson_t *out, const char *key, const char *path, const char *rest);
void put_column_value(bson_t *out, const char *key, const char *path, FieldKind kind);

struct PlainGroup;

/* deparse.cpp: what a command is made of. */
struct FindCommand
{
	const char *collection;
	const char *tenant_field; /* null: none */
	Operand tenant;
	const char *unnest; /* the array whose elements are the rows; null: documents are */
	List *conditions;
	Operand *operands;
	List *paths;	/* of the fields to fetch; NIL: none is needed */
	bool whole;		/* fetch whole documents */
	List *sort;		/* of sort keys; NIL: in any order */
	List *group;	/* the grouping's item; NIL: none */
	PlainGroup *plain; /* ask for the groups the quick way; null: do not */
	Operand *limit; /* null: none */
	Operand *offset;
	int batch_size;
	const char *read_concern; /* null: the server's default, or the transaction's own */
};

/* Writes the command; false if no document can match, so that there is nothing to ask. */
bool deparse_scan(const FindCommand *find, bson_t *command);

/* The filter alone, for a second look at the same documents. */
bool deparse_filter(const FindCommand *find, bson_t *filter);

/* The paths of a projection. */
void put_projection(bson_t *out, List *paths);

/* The stages as a command; the second one compares strings by their bytes, whatever the collection's own collation. */
void put_aggregate(bson_t *command, const char *collection, const Items *stages, int batch_size = 0);
void put_pipeline(bson_t *command, const FindCommand *find, const Items *stages);

/* time_limit.cpp: what is left of the statement's time; of a scan only if no later statement can go on with it. */
void put_time_limit(bson_t *command);
void put_scan_time_limit(bson_t *command);

/* aggregate.cpp: a grouping that MongoDB does, in planning … */
struct GroupedPlan
{
	List *item;	  /* of fdw_private, but for the filters */
	List *filters; /* of Shippable: the aggregates' own conditions */
	List *slot;	  /* TargetEntries of the scan's rows */
	List *having; /* evaluated on them */
};

bool grouping_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, List *clause,
						PathTarget *target, List *having, GroupedPlan *plan);
void deparse_group(const FindCommand *find, const bson_t *filter, bson_t *command);

/* The ways to ask for a grouping's groups, the quickest first. */
enum class GroupTry
{
	numbers, /* integers have no nulls and are nothing else */
	natural, /* values are of the columns' own types */
	exact
};

/* How to ask the quick way (group_plain.cpp); null if there is none, and for the exact one. */
PlainGroup *plain_group_build(List *item, GroupTry attempt);

/* … and when its groups are read. */
struct GroupReader;

GroupReader *group_reader_build(List *item, MemoryContext context);
bool group_has_keys(const GroupReader *reader);
bool group_reader_fill_plain(const GroupReader *reader, PlainGroup *plain, const bson_t *group,
							 Datum *values, bool *nulls);
void group_reader_fill(const GroupReader *reader, Relation table, const bson_t *group,
					   Datum *values, bool *nulls);
void group_reader_empty(const GroupReader *reader, Datum *values, bool *nulls);

/* What every filter says beside: a collection may have a collation of its own, under which "a"
 * equals "A". */
void put_simple_collation(bson_t *out);

/* plan.cpp: what a plan carries in fdw_private. */
enum class PlanItem
{
	conditions,	  /* List of conditions */
	attributes,	  /* List of the wanted attribute numbers, whole rows as 0 */
	limit,		  /* Integer: LIMIT's number among the expressions; -1: none */
	offset,		  /* Integer: the same of OFFSET */
	slot_columns, /* List of the attribute number of each column of the slot; NIL: the table's own
				   */
	sort,		  /* List of sort keys */
	group,		  /* what aggregate.cpp says of a grouping; NIL: none */
	look_up,	  /* Integer: the number of the keys of a look-up join; -1: none */
	direct /* what direct_modify.cpp says of a change of all that the scan finds; else there is none */
};

void get_foreign_rel_size(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table);
void get_foreign_paths(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table);
void get_foreign_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input,
							 RelOptInfo *output, void *extra);
bool is_foreign_path_async_capable(ForeignPath *path);
ForeignScan *get_foreign_plan(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table,
							  ForeignPath *path, List *tlist, List *clauses, Plan *outer_plan);

/*
 * The path of a scan that a look-up join drives: "keys", whose array is still to come, is one more condition.  "clause" is
 * what it stands for, and "count" how many keys there are in all; null if MongoDB does not compare so.
 */
Path *look_up_path(PlannerInfo *root, RelOptInfo *relation, RestrictInfo *clause,
				   ScalarArrayOpExpr *keys, double count);

/* What a round trip to MongoDB costs. */
inline constexpr Cost round_trip_cost = 10;

/* scan.cpp */
void begin_foreign_scan(ForeignScanState *node, int flags);
TupleTableSlot *iterate_foreign_scan(ForeignScanState *node);
void rescan_foreign_scan(ForeignScanState *node);
void end_foreign_scan(ForeignScanState *node);
void explain_foreign_scan(ForeignScanState *node, ExplainState *explain);

/* async_scan.cpp */
void foreign_async_request(AsyncRequest *request);
void foreign_async_configure_wait(AsyncRequest *request);
void foreign_async_notify(AsyncRequest *request);

/*
 * What a direct modification makes of a scan: it starts it, with its filter as it is now, and opens it if the rows are to be
 * read; false if no document can match.  Of rows it sees the values, by attribute number - 1.
 */
bool scan_start_filtered(ForeignScanState *node, bson_t *filter, bool read);
bool scan_next_row(ForeignScanState *node, Datum **values, bool **nulls);

/* Starts a look-up join's scan once more, with other keys: an array that lives until the next ones. */
void scan_look_up(ForeignScanState *node, Datum keys);

/* Whether what the scan shows depends on the tenant. */
bool scan_follows_tenant(ForeignScanState *node);

/* The command as EXPLAIN shows it. */
FindCommand scan_explain_find(ForeignScanState *node, const TableOptions *options,
							  ExplainState *explain);

/* direct_modify.cpp */
bool plan_direct_modify(PlannerInfo *root, ModifyTable *plan, Index relation, int subplan);
void begin_direct_modify(ForeignScanState *node, int flags);
TupleTableSlot *iterate_direct_modify(ForeignScanState *node);
void end_direct_modify(ForeignScanState *node);
void explain_direct_modify(ForeignScanState *node, ExplainState *explain);

/* modify.cpp */
inline constexpr char row_id_name[] = "tenancy_mongo_id";

void add_foreign_update_targets(PlannerInfo *root, Index index, RangeTblEntry *entry,
								Relation table);
List *plan_foreign_modify(PlannerInfo *root, ModifyTable *plan, Index relation, int subplan);
int is_foreign_rel_updatable(Relation table);
void begin_foreign_modify(ModifyTableState *state, ResultRelInfo *relation, List *items,
						  int subplan, int flags);
TupleTableSlot *exec_foreign_insert(EState *estate, ResultRelInfo *relation, TupleTableSlot *slot,
									TupleTableSlot *row);
TupleTableSlot *exec_foreign_update(EState *estate, ResultRelInfo *relation, TupleTableSlot *slot,
									TupleTableSlot *row);
TupleTableSlot *exec_foreign_delete(EState *estate, ResultRelInfo *relation, TupleTableSlot *slot,
									TupleTableSlot *row);
void end_foreign_modify(EState *estate, ResultRelInfo *relation);
void begin_foreign_insert(ModifyTableState *state, ResultRelInfo *relation);
void exec_foreign_truncate(List *tables, DropBehavior behavior, bool restart_sequences);
void explain_foreign_modify(ModifyTableState *state, ResultRelInfo *relation, List *items,
							int subplan, ExplainState *explain);

} // namespace bridge

#endif
