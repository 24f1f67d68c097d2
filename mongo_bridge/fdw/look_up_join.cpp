/*
 * look_up_join.cpp — joins that look documents up, a batch of outer rows with one command.
 *
 * A nested loop asks MongoDB once for each outer row, and most of its time is the way there and back.  This node reads a batch
 * of outer rows from any plan (a local table, another foreign table, a join), asks for the documents of all their keys with one
 * find and $in, and joins what comes.  It is a node of its own and no foreign join, since those are for two tables of one
 * server, and the outer side is mostly a local table.
 *
 * The join is PostgreSQL's: $in is but one more condition of an ordinary foreign scan, whose other conditions, tenant, and
 * cursor are as ever.  Here the documents' rows meet the outer rows by the hash of the key, and every pair is held against the
 * join's whole clause, the key's equality too.  What $in finds beyond that (a text's ObjectId, a numeric's neighbours) falls
 * away.  A null key is not asked for.
 *
 * A batch ends with so many keys, or with work_mem; inner rows are never kept.  The first batch is a small one, for joins of
 * which a LIMIT wants the beginning.  The order of the outer rows is lost.
 *
 * The children are plans as others: a row that changed under an UPDATE is checked again (EvalPlanQual) as in a nested loop.
 */
#include "fdw.h"
#include "look_up_join.h"
#include "../tenancy_mongo.h"

namespace bridge
{

static bool enable_batched_lookup = true;
static set_join_pathlist_hook_type previous_hook = nullptr;

/*
 * Paths
 */

/* A clause by which documents can be looked up. */
struct LookUpKey
{
	RestrictInfo *clause;
	Expr *outer;
	Expr *inner;
	Oid op; /* inner op outer */
	Oid collation;
	double count; /* of different keys */
	Path *scan;
};

struct LookUpPath
{
	CustomPath path;
	JoinType type;
	List *restrictions;
	LookUpKey key;
};

static Plan *plan_look_up(PlannerInfo *root, RelOptInfo *relation, CustomPath *path, List *tlist,
						  List *clauses, List *plans);

static const CustomPathMethods path_methods = {"TenancyLookUpJoin", plan_look_up, nullptr};

static bool
supports_join(JoinType type)
{
	return type == JOIN_INNER || type == JOIN_LEFT || type == JOIN_SEMI || type == JOIN_ANTI;
}

static bool
has_pseudoconstant(List *restrictions)
{
	ListCell *cell;

	foreach (cell, restrictions)
		if (lfirst_node(RestrictInfo, cell)->pseudoconstant)
			return true;
	return false;
}

/* A clause that must not see a row before another one has passed it is for a node that knows their order. */
static bool
has_one_security_level(List *restrictions)
{
	ListCell *cell;

	foreach (cell, restrictions)
		if (lfirst_node(RestrictInfo, cell)->security_level !=
			linitial_node(RestrictInfo, restrictions)->security_level)
			return false;
	return true;
}

/* A table of ours that is only read. */
static bool
is_looked_up(PlannerInfo *root, RelOptInfo *inner)
{
	return inner->reloptkind == RELOPT_BASEREL && inner->fdwroutine != nullptr &&
		   inner->fdwroutine->GetForeignPaths == get_foreign_paths &&
		   bms_is_empty(inner->lateral_relids) && !has_pseudoconstant(inner->baserestrictinfo) &&
		   !bms_is_member(static_cast<int>(inner->relid), root->all_result_relids);
}

/* A value that is computed at this join would have no place in the scan's row. */
static bool
computes_placeholder(PlannerInfo *root, RelOptInfo *join, RelOptInfo *outer, RelOptInfo *inner)
{
	ListCell *cell;

	foreach (cell, root->placeholder_list)
	{
		Relids at = lfirst_node(PlaceHolderInfo, cell)->ph_eval_at;
		if (bms_is_subset(at, join->relids) && !bms_is_subset(at, outer->relids) &&
			!bms_is_subset(at, inner->relids))
			return true;
	}
	return false;
}

/* Divides "outer = inner" into its sides; false if it is none, or not one that rows can be hashed by. */
static bool
divide_key(RelOptInfo *outer, RelOptInfo *inner, RestrictInfo *clause, LookUpKey *key)
{
	RegProcedure left;
	RegProcedure right;

	if (!clause->can_join || !OidIsValid(clause->hashjoinoperator) || !IsA(clause->clause, OpExpr))
		return false;

	auto *op = reinterpret_cast<OpExpr *>(clause->clause);
	bool inner_left = bms_is_subset(clause->left_relids, inner->relids) &&
					  bms_is_subset(clause->right_relids, outer->relids);
	if (!inner_left && !(bms_is_subset(clause->right_relids, inner->relids) &&
						 bms_is_subset(clause->left_relids, outer->relids)))
		return false;
	key->clause = clause;
	key->inner = static_cast<Expr *>(inner_left ? linitial(op->args) : lsecond(op->args));
	key->outer = static_cast<Expr *>(inner_left ? lsecond(op->args) : linitial(op->args));
	key->op = inner_left ? op->opno : get_commutator(op->opno);
	key->collation = op->inputcollid;
	return OidIsValid(key->op) && get_op_hash_functions(key->op, &left, &right);
}

/* inner = ANY (the keys of a batch), which are not known yet; null if their type has no arrays. */
static ScalarArrayOpExpr *
make_any_of(const LookUpKey *key)
{
	Oid array = get_array_type(getBaseType(exprType(reinterpret_cast<Node *>(key->outer))));

	if (!OidIsValid(array))
		return nullptr;
	ScalarArrayOpExpr *any = makeNode(ScalarArrayOpExpr);
	any->opno = key->op;
	any->opfuncid = get_opcode(key->op);
	any->useOr = true;
	any->inputcollid = key->collation;
	any->args = list_make2(key->inner, makeNullConst(array, -1, key->collation));
	any->location = -1;
	return any;
}

/* The clause whose keys find the fewest documents; false if there is none. */
static bool
choose_key(PlannerInfo *root, RelOptInfo *join, RelOptInfo *inner, JoinType type, Path *outer,
		   List *restrictions, LookUpKey *best)
{
	ListCell *cell;

	best->scan = nullptr;
	foreach (cell, restrictions)
	{
		RestrictInfo *clause = lfirst_node(RestrictInfo, cell);
		LookUpKey key = {};

		/* What is only a filter on an outer join's result decides on no match. */
		if ((IS_OUTER_JOIN(type) && RINFO_IS_PUSHED_DOWN(clause, join->relids)) ||
			!divide_key(outer->parent, inner, clause, &key))
			continue;
		ScalarArrayOpExpr *any = make_any_of(&key);
		if (any == nullptr)
			continue;
		key.count = estimate_num_groups(root, list_make1(key.outer), outer->rows, nullptr, nullptr);
		key.scan = look_up_path(root, inner, clause, any, key.count);
		if (key.scan != nullptr &&
			(best->scan == nullptr || key.scan->total_cost < best->scan->total_cost))
			*best = key;
	}
	return best->scan != nullptr;
}

/* A round trip for each batch, and the clauses for each pair.  The first row comes with the first batch. */
static void
cost_look_up(PlannerInfo *root, Path *path, const Path *outer, const LookUpKey *key,
			 List *restrictions)
{
	QualCost clauses;
	double batches = Max(ceil((key->count - first_keys) / most_keys), 0) + 1;
	double first = Min(first_keys / Max(key->count, 1), 1);
	double pairs = Max(path->rows, key->scan->rows);

	cost_qual_eval(&clauses, restrictions, root);
	Cost outer_run = outer->total_cost - outer->startup_cost;
	Cost run = key->scan->total_cost - round_trip_cost + outer->rows * cpu_tuple_cost +
			   pairs * (cpu_tuple_cost + clauses.per_tuple) +
			   path->rows * path->pathtarget->cost.per_tuple;
	path->startup_cost = outer->startup_cost + first * outer_run + round_trip_cost +
						 clauses.startup + path->pathtarget->cost.startup;
	path->total_cost =
		path->startup_cost + (1 - first) * outer_run + run + (batches - 1) * round_trip_cost;
	tenancy_inherit_disabled(path, outer);
}

static void
add_look_up_path(PlannerInfo *root, RelOptInfo *join, RelOptInfo *outer, RelOptInfo *inner,
				 JoinType type, List *restrictions)
{
	Path *rows = outer->cheapest_total_path;
	LookUpKey key;

	if (rows == nullptr || PATH_REQ_OUTER(rows) != nullptr ||
		!choose_key(root, join, inner, type, rows, restrictions, &key))
		return;

	auto *look_up = static_cast<LookUpPath *>(palloc0(sizeof(LookUpPath)));
	Path *path = &look_up->path.path;
	NodeSetTag(look_up, T_CustomPath);
	path->pathtype = T_CustomScan;
	path->parent = join;
	path->pathtarget = join->reltarget;
	path->rows = join->rows;
	look_up->path.flags = CUSTOMPATH_SUPPORT_PROJECTION;
	look_up->path.custom_paths = list_make2(rows, key.scan);
	look_up->path.methods = &path_methods;
	look_up->type = type;
	look_up->restrictions = restrictions;
	look_up->key = key;
	cost_look_up(root, path, rows, &key, restrictions);
	add_path(join, path);
}

static void
consider_look_up(PlannerInfo *root, RelOptInfo *join, RelOptInfo *outer, RelOptInfo *inner,
				 JoinType type, JoinPathExtraData *extra)
{
	if (previous_hook != nullptr)
		previous_hook(root, join, outer, inner, type, extra);
	if (enable_batched_lookup && supports_join(type) && extra->restrictlist != NIL &&
		bms_is_empty(join->lateral_relids) && is_looked_up(root, inner) &&
		!has_pseudoconstant(extra->restrictlist) && has_one_security_level(extra->restrictlist) &&
		!computes_placeholder(root, join, outer, inner))
		add_look_up_path(root, join, outer, inner, type, extra->restrictlist);
}

/*
 * Plans
 *
 * The scan's row has the columns that the node's expressions need, each from a column of one of the two children: from the
 * outer one's number n as n, from the inner one's as -1 - n.
 */

struct LookUpRow
{
	List *outer; /* the children's target lists */
	List *inner;
	List *columns; /* TargetEntries */
	List *sources;
	bool given; /* the expressions are the target list: as they are, others follow them */
};

/* One column, whatever nulls the joins above add to it: those differ between a clause of a join and its result. */
static bool
is_same_column(const Node *a, const Node *b)
{
	if (IsA(a, Var) && IsA(b, Var))
		return reinterpret_cast<const Var *>(a)->varno == reinterpret_cast<const Var *>(b)->varno &&
			   reinterpret_cast<const Var *>(a)->varattno ==
				   reinterpret_cast<const Var *>(b)->varattno;
	return IsA(a, PlaceHolderVar) && IsA(b, PlaceHolderVar) &&
		   reinterpret_cast<const PlaceHolderVar *>(a)->phid ==
			   reinterpret_cast<const PlaceHolderVar *>(b)->phid;
}

static Node *
find_column(List *tlist, const Node *column, int *number)
{
	ListCell *cell;

	*number = 0;
	foreach (cell, tlist)
	{
		auto *expression = reinterpret_cast<Node *>(lfirst_node(TargetEntry, cell)->expr);
		if (is_same_column(expression, column))
			return expression;
		(*number)++;
	}
	return nullptr;
}

/* The row's column for it, made if need be; null if no child has it. */
static Node *
row_column(LookUpRow *row, const Node *column)
{
	int number;
	Node *found = find_column(row->columns, column, &number);

	if (found != nullptr)
		return found;
	if (find_column(row->outer, column, &number) == nullptr)
	{
		if (find_column(row->inner, column, &number) == nullptr)
			return nullptr;
		number = -1 - number;
	}
	auto *copy = static_cast<Expr *>(copyObjectImpl(column));
	row->columns = lappend(
		row->columns, makeTargetEntry(copy, static_cast<AttrNumber>(list_length(row->columns) + 1),
									  nullptr, false));
	row->sources = lappend_int(row->sources, number);
	return reinterpret_cast<Node *>(copy);
}

static bool
collect_columns(Node *node, LookUpRow *row)
{
	if (node == nullptr)
		return false;
	if (!IsA(node, Var) && !IsA(node, PlaceHolderVar))
		return expression_tree_walker(node, tenancy_walker(collect_columns), row);

	Node *column = row_column(row, node);
	if (column == nullptr && IsA(node, Var))
		elog(ERROR, "column of a look-up join is in neither of its children");
	if (column == nullptr)
		return expression_tree_walker(node, tenancy_walker(collect_columns), row);
	if (row->given)
		return false;
	if (IsA(node, Var))
		*reinterpret_cast<Var *>(node) = *reinterpret_cast<Var *>(column);
	else
		*reinterpret_cast<PlaceHolderVar *>(node) = *reinterpret_cast<PlaceHolderVar *>(column);
	return false;
}

/* A copy of an expression that names the row's columns. */
template <class Expression>
static Expression *
name_columns(Expression *expression, LookUpRow *row)
{
	auto *copy = static_cast<Expression *>(copyObjectImpl(expression));

	collect_columns(reinterpret_cast<Node *>(copy), row);
	return copy;
}

/* The key's clause with the looked-up side first, however it was written or turned. */
static Expr *
key_clause(const LookUpKey *key)
{
	Expr *clause = make_opclause(key->op, BOOLOID, false, key->inner, key->outer, InvalidOid, key->collation);

	set_opfuncid(reinterpret_cast<OpExpr *>(clause));
	return clause;
}

/* The clauses of the join, the key's in front, and those that only filter an outer join's result. */
static void
divide_clauses(const LookUpPath *path, List **join_clauses, List **filters)
{
	Expr *key = path->key.clause->clause;

	*filters = NIL;
	if (IS_OUTER_JOIN(path->type))
		extract_actual_join_clauses(path->restrictions, path->path.path.parent->relids,
									join_clauses, filters);
	else
		*join_clauses = extract_actual_clauses(path->restrictions, false);
	*join_clauses = lcons(key_clause(&path->key), list_delete_ptr(*join_clauses, key));
}

static const CustomScanMethods scan_methods = {"Foreign Batched Look-up", create_look_up};

static Plan *
plan_look_up(PlannerInfo *root, RelOptInfo *relation, CustomPath *path, List *tlist, List *clauses,
			 List *plans)
{
	auto *look_up = reinterpret_cast<LookUpPath *>(path);
	CustomScan *scan = makeNode(CustomScan);
	LookUpRow row = {};
	List *join_clauses;
	List *filters;

	divide_clauses(look_up, &join_clauses, &filters);
	row.outer = static_cast<Plan *>(linitial(plans))->targetlist;
	row.inner = static_cast<Plan *>(lsecond(plans))->targetlist;
	row.given = true;
	/* What the node above will project may not be known yet: it is made of these. */
	collect_columns(reinterpret_cast<Node *>(tlist), &row);
	collect_columns(reinterpret_cast<Node *>(path->path.pathtarget->exprs), &row);
	collect_columns(reinterpret_cast<Node *>(relation->reltarget->exprs), &row);
	row.given = false;

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = name_columns(filters, &row);
	scan->flags = path->flags;
	scan->custom_plans = plans;
	scan->custom_exprs =
		list_make3(name_columns(join_clauses, &row), name_columns(look_up->key.outer, &row),
				   name_columns(look_up->key.inner, &row));
	scan->custom_scan_tlist = row.columns;
	scan->custom_private = list_make3(
		makeInteger(static_cast<int>(look_up->type)), row.sources,
		list_make3_oid(look_up->key.op, look_up->key.collation,
					   getBaseType(exprType(reinterpret_cast<Node *>(look_up->key.outer)))));
	scan->methods = &scan_methods;
	return &scan->scan.plan;
}

/*
 * The setting and the hook
 */

void
look_up_init()
{
	DefineCustomBoolVariable("tenancy_mongo.enable_batched_lookup",
							 "Enables joins that look documents of MongoDB up in batches.", nullptr,
							 &enable_batched_lookup, true, PGC_USERSET, GUC_EXPLAIN, nullptr,
							 nullptr, nullptr);
	RegisterCustomScanMethods(&scan_methods);
	previous_hook = set_join_pathlist_hook;
	set_join_pathlist_hook = consider_look_up;
}

} // namespace bridge
