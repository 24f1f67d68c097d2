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
 *
 * MongoDB's operators compare within a type only, so that null, missing and misfitting values never satisfy them, and they
 * look into arrays.  An array at the end of a path does not fit these columns and is an error when it is read; one in the
 * middle makes the field missing here, and is excluded there.
 *
 * A document that a shipped condition excludes is not read, so a value in it that does not fit is not complained about.
 */
#include <gnu/libc-version.h>

#include "fdw.h"

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
			return FieldKind::other;
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

static bool
collation_allows(FieldKind kind, Comparison comparison, Oid collation)
{
	if (kind != FieldKind::string)
		return true;
	if (comparison == Comparison::equal || comparison == Comparison::any_of)
		return OidIsValid(collation) && get_collation_isdeterministic(collation);
	return compares_bytes(collation);
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
	return kind != FieldKind::boolean && kind != FieldKind::uuid;
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

static void
describe_column(Oid foreign_table, Var *column, Shippable *result)
{
	ColumnOptions options = column_options(foreign_table, column->varattno);

	result->column = column;
	result->condition.path = options.document ? nullptr : options.path;
	result->condition.kind = field_kind(getBaseType(column->vartype));
	result->condition.operand = -1;
	result->operand = nullptr;
	result->exact = true;
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

static bool
comparison_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, OpExpr *clause,
					 Shippable *result)
{
	if (list_length(clause->args) != 2)
		return false;

	auto *left = static_cast<Expr *>(linitial(clause->args));
	auto *right = static_cast<Expr *>(lsecond(clause->args));
	Oid op = clause->opno;
	Var *column = column_of(relation, left);

	if (column == nullptr)
	{
		column = column_of(relation, right);
		right = left;
		op = get_commutator(op);
	}
	if (column == nullptr || !OidIsValid(op) || !is_operand(root, relation, right))
		return false;

	Oid left_type;
	Oid right_type;
	op_input_types(op, &left_type, &right_type);
	describe_column(foreign_table, column, result);
	Condition *condition = &result->condition;
	if (condition->path == nullptr || !operand_fits(condition->kind, getBaseType(right_type)) ||
		!comparison_of(op, getBaseType(column->vartype), condition->kind, &condition->comparison) ||
		!collation_allows(condition->kind, condition->comparison, clause->inputcollid))
		return false;

	result->operand = right;
	if (condition->kind == FieldKind::decimal)
		result->exact = decimal_is_exact(right);
	return true;
}

/* column = ANY (array), which is also what IN (list) is. */
static bool
any_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, ScalarArrayOpExpr *clause,
			  Shippable *result)
{
	auto *array = static_cast<Expr *>(lsecond(clause->args));
	Var *column = column_of(relation, static_cast<Expr *>(linitial(clause->args)));

	if (!clause->useOr || column == nullptr || !is_operand(root, relation, array))
		return false;

	describe_column(foreign_table, column, result);
	Condition *condition = &result->condition;
	Oid element = get_base_element_type(exprType(reinterpret_cast<Node *>(array)));
	if (condition->path == nullptr || !operand_fits(condition->kind, getBaseType(element)) ||
		!comparison_of(clause->opno, getBaseType(column->vartype), condition->kind,
					   &condition->comparison) ||
		condition->comparison != Comparison::equal ||
		!collation_allows(condition->kind, Comparison::any_of, clause->inputcollid))
		return false;

	condition->comparison = Comparison::any_of;
	result->operand = array;
	result->exact = condition->kind != FieldKind::decimal;
	return true;
}

/* A condition that is a column and a verb. */
static bool
test_shippable(RelOptInfo *relation, Oid foreign_table, Expr *argument, Comparison comparison,
			   Shippable *result)
{
	Var *column = column_of(relation, argument);

	if (column == nullptr)
		return false;
	describe_column(foreign_table, column, result);
	result->condition.comparison = comparison;
	return result->condition.path != nullptr;
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

bool
clause_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, Expr *clause,
				 Shippable *result)
{
	switch (nodeTag(clause))
	{
		case T_OpExpr:
			return comparison_shippable(root, relation, foreign_table,
										reinterpret_cast<OpExpr *>(clause), result);
		case T_ScalarArrayOpExpr:
			return any_shippable(root, relation, foreign_table,
								 reinterpret_cast<ScalarArrayOpExpr *>(clause), result);
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
								  comparison_of_test(test->booltesttype), result);
		}
		case T_BoolExpr:
		{
			auto *expression = reinterpret_cast<BoolExpr *>(clause);
			return expression->boolop == NOT_EXPR &&
				   test_shippable(relation, foreign_table,
								  static_cast<Expr *>(linitial(expression->args)),
								  Comparison::is_false, result);
		}
		case T_Var:
		case T_RelabelType:
			return test_shippable(relation, foreign_table, clause, Comparison::is_true, result);
		default:
			return false;
	}
}

} // namespace bridge
