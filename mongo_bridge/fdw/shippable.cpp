/*
 * shippable.cpp — which conditions MongoDB may evaluate.
 *
 * A condition is shippable if MongoDB, comparing the stored values, answers as PostgreSQL does comparing the converted
 * ones (bson_convert.cpp).  What makes that true, kind by kind:
 *
 *   integer, real   both compare numbers of all widths by their mathematical value, and a value that fits the column is
 *                   that value.  NaN is above all numbers here and below them there: deparse.cpp adds it by name.
 *   decimal         a stored double becomes its shortest decimal here, but compares as the binary fraction that it is
 *                   there.  So a comparison is widened to the next doubles and repeated here, unless the constant is a
 *                   small integer, where both agree.
 *   string          MongoDB compares UTF-8 by its bytes.  So does "=" under every deterministic collation; "<" and its
 *                   kin only under C.  A text column also shows ObjectIds, for which deparse.cpp looks besides.
 *   boolean         only true and false fit.
 *   instant, …      milliseconds there, microseconds here: the constant is rounded in the direction of the operator.
 *   uuid            "=" only: half of the drivers store strings.
 *   object_id       the order of the bytes, in both.
 *
 * MongoDB's operators compare within a type only, so that null, missing and misfitting values never satisfy them, and they
 * look into arrays.  An array at the end of a path does not fit these columns and is an error when it is read; one in the
 * middle makes the field missing here, and is excluded there.
 *
 * A document that a shipped condition excludes is not read, so a value in it that does not fit is not complained about.
 */
#include <gnu/libc-version.h>

#include "fdw.h"
#include "object_id.h"

namespace bridge
{

FieldKind
field_kind(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return FieldKind::integer;
		case FLOAT8OID:
			return FieldKind::real;
		case NUMERICOID:
			return FieldKind::decimal;
		case TEXTOID:
		case VARCHAROID:
		case NAMEOID:
			return FieldKind::string;
		case BOOLOID:
			return FieldKind::boolean;
		case TIMESTAMPTZOID:
			return FieldKind::instant;
		case TIMESTAMPOID:
			return FieldKind::wall_clock;
		case DATEOID:
			return FieldKind::day;
		case UUIDOID:
			return FieldKind::uuid;
		default:
			return is_object_id_type(type) ? FieldKind::object_id : FieldKind::other;
	}
}

/* Whether deparse.cpp can bring a value of this type into the form in which a field of this kind is stored. */
static bool
operand_fits(FieldKind kind, Oid type)
{
	switch (kind)
	{
		case FieldKind::integer:
			return type == INT2OID || type == INT4OID || type == INT8OID;
		case FieldKind::real:
			return type == FLOAT4OID || type == FLOAT8OID;
		case FieldKind::decimal:
			return type == NUMERICOID;
		case FieldKind::string:
			return type == TEXTOID || type == NAMEOID;
		case FieldKind::boolean:
			return type == BOOLOID;
		case FieldKind::instant:
			return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID;
		case FieldKind::wall_clock:
			return type == TIMESTAMPOID || type == DATEOID;
		case FieldKind::day:
			return type == DATEOID;
		case FieldKind::uuid:
			return type == UUIDOID;
		case FieldKind::json_text:
			return type == TEXTOID;
		case FieldKind::object_id:
			return is_object_id_type(type);
		case FieldKind::other:
			break;
	}
	return false;
}

/* glibc's C.UTF-8 compares code points, whose order is that of the bytes, since it has such a locale of its own: 2.35. */
static bool
is_c_utf8(const char *locale)
{
	int major = 0;
	int minor = 0;

	return (pg_strcasecmp(locale, "C.UTF-8") == 0 || pg_strcasecmp(locale, "C.utf8") == 0) &&
		   sscanf(gnu_get_libc_version(), "%d.%d", &major, &minor) == 2 &&
		   (major > 2 || (major == 2 && minor >= 35));
}

/* The name of a collation's locale if libc provides it, else null. */
static const char *
libc_locale(Oid collation)
{
	bool is_default = collation == DEFAULT_COLLATION_OID;
	int cache = is_default ? DATABASEOID : COLLOID;
	HeapTuple tuple =
		SearchSysCache1(cache, ObjectIdGetDatum(is_default ? MyDatabaseId : collation));
	const char *result = nullptr;
	bool isnull;

	if (!HeapTupleIsValid(tuple))
		return nullptr;
	char provider = is_default
						? reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple))->datlocprovider
						: reinterpret_cast<Form_pg_collation>(GETSTRUCT(tuple))->collprovider;
	Datum locale = SysCacheGetAttr(
		cache, tuple, is_default ? Anum_pg_database_datcollate : Anum_pg_collation_collcollate,
		&isnull);
	if (provider == COLLPROVIDER_LIBC && !isnull)
		result = TextDatumGetCString(locale);
	ReleaseSysCache(tuple);
	return result;
}

bool
compares_bytes(Oid collation)
{
	if (!OidIsValid(collation))
		return false;
	if (tenancy_collation_is_c(collation))
		return true;

	const char *locale = libc_locale(collation);
	return locale != nullptr && is_c_utf8(locale);
}

/* Equality is that of the bytes under every deterministic collation. */
static bool
collation_allows(FieldKind kind, Comparison comparison, Oid collation)
{
	if (kind != FieldKind::string && kind != FieldKind::json_text)
		return true;
	switch (comparison)
	{
		case Comparison::less:
		case Comparison::less_equal:
		case Comparison::greater:
		case Comparison::greater_equal:
			return compares_bytes(collation);
		default:
			return OidIsValid(collation) && get_collation_isdeterministic(collation);
	}
}

/* What an operator of the type's own btree family does with a field on its left side. */
static bool
comparison_of(Oid op, Oid column_type, FieldKind kind, Comparison *comparison)
{
	Oid family = lookup_type_cache(column_type, TYPECACHE_BTREE_OPFAMILY)->btree_opf;

	switch (OidIsValid(family) ? get_op_opfamily_strategy(op, family) : 0)
	{
		case BTEqualStrategyNumber:
			*comparison = Comparison::equal;
			return true;
		case BTLessStrategyNumber:
			*comparison = Comparison::less;
			break;
		case BTLessEqualStrategyNumber:
			*comparison = Comparison::less_equal;
			break;
		case BTGreaterEqualStrategyNumber:
			*comparison = Comparison::greater_equal;
			break;
		case BTGreaterStrategyNumber:
			*comparison = Comparison::greater;
			break;
		default:
			return false;
	}
	return kind != FieldKind::boolean && kind != FieldKind::uuid && kind != FieldKind::json_text;
}

Var *
column_of(RelOptInfo *relation, Expr *expression)
{
	while (IsA(expression, RelabelType))
		expression = reinterpret_cast<RelabelType *>(expression)->arg;
	if (!IsA(expression, Var))
		return nullptr;

	auto *var = reinterpret_cast<Var *>(expression);
	return var->varno == static_cast<int>(relation->relid) && var->varlevelsup == 0 &&
				   var->varattno > 0
			   ? var
			   : nullptr;
}

/* What can be computed before the scan starts. */
static bool
is_operand(PlannerInfo *root, RelOptInfo *relation, Expr *expression)
{
	Node *node = reinterpret_cast<Node *>(expression);

	return !bms_is_member(static_cast<int>(relation->relid), pull_varnos(root, node)) &&
		   !contain_volatile_functions(node) && !contain_subplans(node);
}

/* The field that an expression is: a column, or what ->> shows of one; false if it is none. */
static bool
describe_field(RelOptInfo *relation, Oid foreign_table, Expr *expression, Shippable *result)
{
	Var *column = column_of(relation, expression);

	*result = {};
	result->column = column;
	result->condition.operand = -1;
	result->exact = true;
	if (column != nullptr)
	{
		ColumnOptions options = column_options(foreign_table, column->varattno);
		result->condition.path = options.path;
		result->condition.kind = field_kind(getBaseType(column->vartype));
		return options.is_field();
	}
	result->condition.kind = FieldKind::json_text;
	result->column = json_text_field(relation, foreign_table, expression, &result->condition.path);
	return result->column != nullptr;
}

/* The type whose operators compare a field. */
static Oid
field_type(const Shippable *field)
{
	return field->condition.kind == FieldKind::json_text ? TEXTOID
														 : getBaseType(field->column->vartype);
}

/* Whether ->> shows no text among the operand's but of strings. */
static bool
json_text_is_exact(Expr *operand)
{
	if (!IsA(operand, Const))
		return false;

	auto *constant = reinterpret_cast<Const *>(operand);
	if (constant->constisnull)
		return true;
	if (constant->consttype == TEXTOID)
		return only_strings_show(TextDatumGetCString(constant->constvalue));
	if (constant->consttype != TEXTARRAYOID)
		return false;

	Datum *texts;
	bool *nulls;
	int count;
	deconstruct_array(DatumGetArrayTypeP(constant->constvalue), TEXTOID, -1, false, TYPALIGN_INT,
					  &texts, &nulls, &count);
	for (int i = 0; i < count; i++)
		if (!nulls[i] && !only_strings_show(TextDatumGetCString(texts[i])))
			return false;
	return true;
}

/* Whether a comparison of numerics is the same in both worlds: against small integers, NaN and the infinities. */
static bool
decimal_is_exact(Expr *operand)
{
	int64 value;

	if (!IsA(operand, Const) || reinterpret_cast<Const *>(operand)->constisnull)
		return false;
	Numeric number = DatumGetNumeric(reinterpret_cast<Const *>(operand)->constvalue);
	return numeric_is_nan(number) || numeric_is_inf(number) ||
		   numeric_is_small_integer(number, &value);
}

/* An operator with a field on one side: "other" is what stands on the other one, and "op" has the field on its left. */
static bool
describe_sides(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, OpExpr *clause, Oid *op,
			   Expr **other, Shippable *result)
{
	if (list_length(clause->args) != 2)
		return false;

	auto *left = static_cast<Expr *>(linitial(clause->args));
	auto *right = static_cast<Expr *>(lsecond(clause->args));
	*op = clause->opno;
	*other = right;
	if (!describe_field(relation, foreign_table, left, result))
	{
		*other = left;
		*op = get_commutator(*op);
		if (!OidIsValid(*op) || !describe_field(relation, foreign_table, right, result))
			return false;
	}
	return is_operand(root, relation, *other);
}

/* "<>" is in no operator family, but its negator is. */
static bool
is_inequality(Oid op, Oid type, FieldKind kind)
{
	Oid negator = get_negator(op);
	Comparison comparison;

	return OidIsValid(negator) && comparison_of(negator, type, kind, &comparison) &&
		   comparison == Comparison::equal;
}

static bool
comparison_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, OpExpr *clause,
					 Shippable *result)
{
	Expr *operand;
	Oid op;
	Oid left_type;
	Oid right_type;

	if (!describe_sides(root, relation, foreign_table, clause, &op, &operand, result))
		return false;

	Condition *condition = &result->condition;
	result->operand = operand;
	op_input_types(op, &left_type, &right_type);
	Oid type = field_type(result);
	if (!operand_fits(condition->kind, getBaseType(right_type)))
		return false;
	if (is_inequality(op, type, condition->kind))
		condition->comparison = Comparison::not_equal;
	else if (!comparison_of(op, type, condition->kind, &condition->comparison))
		return false;
	if (!collation_allows(condition->kind, condition->comparison, clause->inputcollid))
		return false;

	if (condition->kind == FieldKind::decimal)
		result->exact = decimal_is_exact(result->operand);
	else if (condition->kind == FieldKind::json_text)
		result->exact = json_text_is_exact(result->operand);
	/* What is not known for certain cannot be negated; nor is a jsonb's undefined, which is no null here. */
	return condition->comparison != Comparison::not_equal ||
		   (result->exact && condition->kind != FieldKind::json_text);
}

/* column = ANY (array), which is also what IN (list) is, and column <> ALL (array), NOT IN. */
static bool
any_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, ScalarArrayOpExpr *clause,
			  Shippable *result)
{
	auto *array = static_cast<Expr *>(lsecond(clause->args));
	Comparison comparison;

	if (!describe_field(relation, foreign_table, static_cast<Expr *>(linitial(clause->args)),
						result) ||
		!is_operand(root, relation, array))
		return false;

	Condition *condition = &result->condition;
	Oid element = get_base_element_type(exprType(reinterpret_cast<Node *>(array)));
	Oid type = field_type(result);
	bool matches = clause->useOr ? comparison_of(clause->opno, type, condition->kind, &comparison) &&
									   comparison == Comparison::equal
								 : is_inequality(clause->opno, type, condition->kind);
	if (!matches || !operand_fits(condition->kind, getBaseType(element)) ||
		!collation_allows(condition->kind, Comparison::any_of, clause->inputcollid))
		return false;

	condition->comparison = clause->useOr ? Comparison::any_of : Comparison::none_of;
	result->operand = array;
	if (condition->kind == FieldKind::json_text)
		result->exact = json_text_is_exact(array);
	else
		result->exact = condition->kind != FieldKind::decimal;
	return clause->useOr || (result->exact && condition->kind != FieldKind::json_text);
}

/* IS DISTINCT FROM is an operator "=" with another word. */
static bool
distinct_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, OpExpr *clause,
				   Comparison comparison, Shippable *result)
{
	if (!comparison_shippable(root, relation, foreign_table, clause, result) || !result->exact ||
		result->condition.comparison != Comparison::equal ||
		result->condition.kind == FieldKind::json_text)
		return false;
	result->condition.comparison = comparison;
	return true;
}

/* The operators and functions that look at the beginning of a string. */
static bool
pattern_comparison(Oid function, Comparison *comparison)
{
	switch (function)
	{
		case F_TEXTLIKE:
		case F_NAMELIKE:
			*comparison = Comparison::like;
			return true;
		case F_TEXTNLIKE:
		case F_NAMENLIKE:
			*comparison = Comparison::not_like;
			return true;
		case F_STARTS_WITH:
			*comparison = Comparison::starts_with;
			return true;
		default:
			return false;
	}
}

static bool
pattern_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, Oid function,
				  List *arguments, Oid collation, Shippable *result)
{
	Comparison comparison;

	if (!pattern_comparison(function, &comparison))
		return false;

	auto *operand = static_cast<Expr *>(lsecond(arguments));
	if (!describe_field(relation, foreign_table, static_cast<Expr *>(linitial(arguments)), result) ||
		result->condition.kind != FieldKind::string || !is_operand(root, relation, operand) ||
		exprType(reinterpret_cast<Node *>(operand)) != TEXTOID ||
		!collation_allows(FieldKind::string, comparison, collation))
		return false;
	result->condition.comparison = comparison;
	result->operand = operand;
	result->exact = false;
	if (IsA(operand, Const) && !reinterpret_cast<Const *>(operand)->constisnull)
	{
		Pattern pattern = pattern_read(
			comparison == Comparison::not_like ? Comparison::like : comparison,
			TextDatumGetCString(reinterpret_cast<Const *>(operand)->constvalue));
		result->exact = pattern.exact;
		if (pattern.prefix[0] == '\0' && !pattern.exact)
			return false;
	}
	return result->exact || comparison != Comparison::not_like;
}

/* A condition that is a column and a verb. */
static bool
test_shippable(RelOptInfo *relation, Oid foreign_table, Expr *argument, Comparison comparison,
			   Shippable *result)
{
	if (!describe_field(relation, foreign_table, argument, result) ||
		result->condition.kind == FieldKind::json_text)
		return false;
	result->condition.comparison = comparison;
	return true;
}

static Comparison
comparison_of_test(BoolTestType type)
{
	switch (type)
	{
		case IS_TRUE:
			return Comparison::is_true;
		case IS_NOT_TRUE:
			return Comparison::is_not_true;
		case IS_FALSE:
			return Comparison::is_false;
		case IS_NOT_FALSE:
			return Comparison::is_not_false;
		case IS_UNKNOWN:
			return Comparison::is_null;
		case IS_NOT_UNKNOWN:
			break;
	}
	return Comparison::is_not_null;
}

/*
 * Several conditions
 */

/*
 * A junction is exact if all that it joins are.  Of a conjunction the parts that are not shippable may be left to the local
 * evaluation; of "neither" all must be, and exact: what lets too much pass would keep too much away.
 */
static bool
junction_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, Comparison junction,
				   List *clauses, Shippable *result)
{
	List *children = NIL;
	bool exact = true;
	ListCell *cell;

	check_stack_depth();
	foreach (cell, clauses)
	{
		auto *child = static_cast<Shippable *>(palloc0(sizeof(Shippable)));

		if (clause_shippable(root, relation, foreign_table, static_cast<Expr *>(lfirst(cell)), child))
		{
			children = lappend(children, child);
			exact = exact && child->exact;
		}
		else if (junction == Comparison::both)
			exact = false;
		else
			return false;
	}
	*result = {};
	result->condition = {"", junction, FieldKind::other, -1};
	result->children = children;
	result->exact = exact;
	return children != NIL && (exact || junction != Comparison::neither);
}

/* How deep tests of truth lie in one another. */
struct TruthDepth
{
	int depth;
	int deepest;
};

static bool
measure_truth_depth(Node *node, TruthDepth *truth)
{
	if (node == nullptr)
		return false;

	bool test = IsA(node, BooleanTest);
	truth->depth += test;
	truth->deepest = Max(truth->deepest, truth->depth);
	expression_tree_walker(node, tenancy_walker(measure_truth_depth), truth);
	truth->depth -= test;
	return false;
}

/* Each doubles the filter, and what it takes to plan it. */
static constexpr int max_truth_depth = 4;

/*
 * A filter passes a document just if the clause is true, so it takes no notice of the difference between false and null.  Where
 * that matters it is made of two: the clause, and its negation, which is true just if the clause is false.
 */
static bool
truth_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, BooleanTest *test,
				Shippable *result)
{
	auto *negation =
		reinterpret_cast<Expr *>(negate_clause(reinterpret_cast<Node *>(copyObject(test->arg))));
	Comparison junction = Comparison::neither;
	List *clauses = NIL;
	TruthDepth truth = {};

	measure_truth_depth(reinterpret_cast<Node *>(test), &truth);
	if (truth.deepest > max_truth_depth)
		return false;
	switch (test->booltesttype)
	{
		case IS_TRUE:
			return clause_shippable(root, relation, foreign_table, test->arg, result);
		case IS_FALSE:
			return clause_shippable(root, relation, foreign_table, negation, result);
		case IS_NOT_TRUE:
			clauses = list_make1(test->arg);
			break;
		case IS_NOT_FALSE:
			clauses = list_make1(negation);
			break;
		case IS_UNKNOWN:
			clauses = list_make2(test->arg, negation);
			break;
		case IS_NOT_UNKNOWN:
			clauses = list_make2(test->arg, negation);
			junction = Comparison::either;
			break;
	}
	return junction_shippable(root, relation, foreign_table, junction, clauses, result);
}

static bool
boolean_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, BoolExpr *expression,
				  Shippable *result)
{
	auto *argument = static_cast<Expr *>(linitial(expression->args));

	if (expression->boolop != NOT_EXPR)
		return junction_shippable(
			root, relation, foreign_table,
			expression->boolop == OR_EXPR ? Comparison::either : Comparison::both,
			expression->args, result);
	if (IsA(argument, DistinctExpr))
		return distinct_shippable(root, relation, foreign_table,
								  reinterpret_cast<OpExpr *>(argument), Comparison::not_distinct,
								  result);
	return test_shippable(relation, foreign_table, argument, Comparison::is_false, result);
}

bool
clause_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, Expr *clause,
				 Shippable *result)
{
	switch (nodeTag(clause))
	{
		case T_OpExpr:
		{
			auto *op = reinterpret_cast<OpExpr *>(clause);
			return comparison_shippable(root, relation, foreign_table, op, result) ||
				   pattern_shippable(root, relation, foreign_table, get_opcode(op->opno), op->args,
									 op->inputcollid, result);
		}
		case T_FuncExpr:
		{
			auto *call = reinterpret_cast<FuncExpr *>(clause);
			return pattern_shippable(root, relation, foreign_table, call->funcid, call->args,
									 call->inputcollid, result);
		}
		case T_ScalarArrayOpExpr:
			return any_shippable(root, relation, foreign_table,
								 reinterpret_cast<ScalarArrayOpExpr *>(clause), result);
		case T_DistinctExpr:
			return distinct_shippable(root, relation, foreign_table,
									  reinterpret_cast<OpExpr *>(clause), Comparison::distinct,
									  result);
		case T_NullTest:
		{
			auto *test = reinterpret_cast<NullTest *>(clause);
			return !test->argisrow &&
				   test_shippable(relation, foreign_table, test->arg,
								  test->nulltesttype == IS_NULL ? Comparison::is_null
																: Comparison::is_not_null,
								  result);
		}
		case T_BooleanTest:
		{
			auto *test = reinterpret_cast<BooleanTest *>(clause);
			return test_shippable(relation, foreign_table, test->arg,
								  comparison_of_test(test->booltesttype), result) ||
				   truth_shippable(root, relation, foreign_table, test, result);
		}
		case T_BoolExpr:
			return boolean_shippable(root, relation, foreign_table,
									 reinterpret_cast<BoolExpr *>(clause), result);
		case T_Var:
		case T_RelabelType:
			return test_shippable(relation, foreign_table, clause, Comparison::is_true, result);
		default:
			return false;
	}
}

} // namespace bridge
