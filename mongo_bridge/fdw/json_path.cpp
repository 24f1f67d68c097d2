/*
 * json_path.cpp — column -> 'a' ->> 'b' as a field.
 *
 * What ->> shows of a string is the string; of everything else it is the text of a JSON value, which begins with a digit, a
 * minus, a bracket, or is true or false.  So a text that cannot be one of those is found as a string, and nothing else; for
 * the others all that is no string is fetched as well, and compared here.
 *
 * Names with a dot, or a dollar sign in front, are no path: MongoDB would read them otherwise, and what jsonb shows under
 * "$date" and its kin is no field.  Of two fields with one name MongoDB looks at the first and jsonb keeps the last.
 */
#include "../bson/document.h"
#include "../bson/value.h"
#include "fdw.h"

namespace bridge
{

static constexpr Oid jsonb_field_operator = 3211;
static constexpr Oid jsonb_text_operator = 3477;
static constexpr Oid json_field_operator = 3962;
static constexpr Oid json_text_operator = 3963;

/* A constant that can be a part of a path, else null. */
static const char *
path_name(Expr *expression)
{
	if (!IsA(expression, Const))
		return nullptr;

	auto *constant = reinterpret_cast<Const *>(expression);
	if (constant->constisnull || constant->consttype != TEXTOID)
		return nullptr;
	const char *name = TextDatumGetCString(constant->constvalue);
	return name[0] == '\0' || name[0] == '$' || strchr(name, '.') != nullptr ? nullptr : name;
}

/* The column and, in "names", the path below it; null if the expression is no such chain. */
static Var *
walk(RelOptInfo *relation, Expr *expression, List **names)
{
	if (!IsA(expression, OpExpr))
		return column_of(relation, expression);

	auto *op = reinterpret_cast<OpExpr *>(expression);
	if ((op->opno != jsonb_field_operator && op->opno != json_field_operator) ||
		list_length(op->args) != 2)
		return nullptr;
	const char *name = path_name(static_cast<Expr *>(lsecond(op->args)));
	if (name == nullptr)
		return nullptr;
	*names = lcons(makeString(pstrdup(name)), *names);
	return walk(relation, static_cast<Expr *>(linitial(op->args)), names);
}

Var *
json_text_field(RelOptInfo *relation, Oid foreign_table, Expr *expression, const char **path)
{
	if (!IsA(expression, OpExpr))
		return nullptr;

	auto *op = reinterpret_cast<OpExpr *>(expression);
	if ((op->opno != jsonb_text_operator && op->opno != json_text_operator) ||
		list_length(op->args) != 2)
		return nullptr;

	List *names = NIL;
	const char *last = path_name(static_cast<Expr *>(lsecond(op->args)));
	Var *column = walk(relation, static_cast<Expr *>(linitial(op->args)), &names);
	if (last == nullptr || column == nullptr ||
		(column->vartype != JSONBOID && column->vartype != JSONOID))
		return nullptr;

	ColumnOptions options = column_options(foreign_table, column->varattno);
	if (options.rest)
		return nullptr; /* it lacks what other columns hold */
	StringInfoData text;
	ListCell *cell;
	initStringInfo(&text);
	if (!options.document)
		appendStringInfo(&text, "%s.", options.path);
	foreach (cell, names)
		appendStringInfo(&text, "%s.", strVal(lfirst(cell)));
	appendStringInfoString(&text, last);
	*path = text.data;
	return column;
}

bool
only_strings_show(const char *text)
{
	return strchr("-0123456789{[", text[0]) == nullptr || text[0] == '\0'
			   ? strcmp(text, "true") != 0 && strcmp(text, "false") != 0
			   : false;
}

/* A string that is one of "values"; with "others" also everything that is no string. */
void
put_json_text(bson_t *out, const char *path, const Items *values, bool others)
{
	Items alternatives = new_items();
	bson_t *string = new_document();
	bson_t inner;
	bson_t type;

	bson_append_document_begin(string, path, -1, &inner);
	BSON_APPEND_ARRAY(&inner, "$in", values->array);
	BSON_APPEND_UTF8(&inner, "$type", "string");
	BSON_APPEND_DOCUMENT_BEGIN(&inner, "$not", &type);
	BSON_APPEND_UTF8(&type, "$type", "array");
	bson_append_document_end(&inner, &type);
	bson_append_document_end(string, &inner);
	alternatives.add(string);
	if (others)
	{
		bson_t *other = new_document();
		bson_append_document_begin(other, path, -1, &inner);
		BSON_APPEND_NULL(&inner, "$ne");
		BSON_APPEND_DOCUMENT_BEGIN(&inner, "$not", &type);
		BSON_APPEND_UTF8(&type, "$type", "string");
		bson_append_document_end(&inner, &type);
		bson_append_document_end(other, &inner);
		alternatives.add(other);

		/* An array that holds a null is not $ne null, and one that holds a string is of type string. */
		bson_t *array = new_document();
		bson_append_document_begin(array, path, -1, &inner);
		BSON_APPEND_UTF8(&inner, "$type", "array");
		bson_append_document_end(array, &inner);
		alternatives.add(array);
	}
	put_together(out, "$or", &alternatives);
}

} // namespace bridge
