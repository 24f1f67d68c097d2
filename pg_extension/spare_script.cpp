/*
 * spare_script.cpp — which scripts can make a schema before its tenant is known.
 *
 * A spare (warm_pool.cpp) is made for a placeholder, in a schema of another name.  Whatever refers to objects follows the
 * schema's new name by itself; what the script wrote down as text does not, and what it computed from the text cannot be
 * found again.  So a script is taken only if every use of the two words can be followed:
 *
 *   @schema@   as the qualifier of a name, after SCHEMA, or first in a search_path; never inside a string
 *   @tenant@   the whole of a column's DEFAULT, or a whole value of INSERT … VALUES, in a script that does not compute with
 *              its rows afterwards: no SELECT, UPDATE, DO, function or rule, which could have derived a value from it
 *
 * Everything else is refused, and such a version is installed by its script as ever.  The check errs on that side.
 */
#include "tenancy.h"

namespace tenancy
{
namespace
{

/* A token of a script: its text up to the next white space. */
struct Token
{
	const char *text;
	int length;
};

struct Scan
{
	Token *tokens;
	int count;
};

Scan
scan_tokens(const char *text)
{
	const int room = static_cast<int>(strlen(text)) + 1;
	auto *starts = static_cast<int *>(palloc(room * sizeof(int)));
	auto *tokens = static_cast<Token *>(palloc0(room * sizeof(Token)));
	core_yy_extra_type extra;
	core_YYSTYPE value;
	YYLTYPE location;
	int count = 0;

	core_yyscan_t scanner = scanner_init(text, &extra, &ScanKeywords, ScanKeywordTokens);
	while (core_yylex(&value, &location, scanner) != 0)
		starts[count++] = location;
	scanner_finish(scanner);

	for (int i = 0; i < count; i++)
	{
		const char *begin = text + starts[i];
		const char *end = i + 1 < count ? text + starts[i + 1] : text + strlen(text);
		bool is_string = *begin == '\'' || *begin == '$' || *begin == '"';
		const char *stop = begin;

		/* A string may hold white space; what follows a token may be a comment. */
		while (stop < end && (is_string || !isspace((unsigned char) *stop)))
			stop++;
		while (stop > begin && isspace((unsigned char) stop[-1]))
			stop--;
		tokens[i] = {begin, static_cast<int>(stop - begin)};
	}
	return {tokens, count};
}

bool
token_is(const Scan &scan, int i, const char *word)
{
	return i >= 0 && i < scan.count &&
		   scan.tokens[i].length == static_cast<int>(strlen(word)) &&
		   pg_strncasecmp(scan.tokens[i].text, word, scan.tokens[i].length) == 0;
}

bool
token_holds(const Scan &scan, int i, const char *text)
{
	return strstr(pnstrdup(scan.tokens[i].text, scan.tokens[i].length), text) != nullptr;
}

/* What may stand behind a default that is a literal and nothing more. */
bool
ends_default(const Scan &scan, int i)
{
	const char *const words[] = {",",	  ")",			";",	  "NOT",		"NULL", "PRIMARY",
								 "UNIQUE", "REFERENCES", "CHECK", "CONSTRAINT", "::"};

	if (i == scan.count)
		return true;
	for (const char *word : words)
		if (token_is(scan, i, word))
			return true;
	return false;
}

bool
schema_is_qualifier(const Scan &scan, int i, const char *schema)
{
	if (!token_is(scan, i, schema))
		return false;
	/* The scanner gives the dot as a token of its own, without white space between. */
	return token_is(scan, i + 1, ".") || token_is(scan, i - 1, "SCHEMA") ||
		   (token_is(scan, i - 2, "search_path") && (token_is(scan, i - 1, "TO") || token_is(scan, i - 1, "=")));
}

const char *
refusal_of_tokens(const char *text, const SpareWords &words, bool is_insert)
{
	Scan scan = scan_tokens(text);
	const char *literal = quote_literal_cstr(words.tenant);

	for (int i = 0; i < scan.count; i++)
	{
		if (token_holds(scan, i, words.schema) && !schema_is_qualifier(scan, i, words.schema))
			return "it uses @schema@ otherwise than to qualify a name";
		if (token_is(scan, i, "current_schema") || token_is(scan, i, "current_schemas"))
			return "it asks for the name of its schema";
		if (!is_insert && token_holds(scan, i, words.tenant) &&
			!(token_is(scan, i, literal) && token_is(scan, i - 1, "DEFAULT") &&
			  ends_default(scan, i + 1)))
			return "it uses @tenant@ otherwise than as a column's default or a row's value";
	}
	return nullptr;
}

/* A value of VALUES that is not the placeholder must not hold it, nor read anything. */
bool
holds_placeholder(Node *node, void *tenant)
{
	if (!node)
		return false;
	if (IsA(node, SubLink))
		return true;
	if (IsA(node, A_Const))
	{
		auto *constant = castNode(A_Const, node);

		return !constant->isnull && IsA(&constant->val, String) &&
			   strstr(strVal(&constant->val), static_cast<const char *>(tenant)) != nullptr;
	}
	return raw_expression_tree_walker(node, tenancy_walker(holds_placeholder), tenant);
}

bool
is_placeholder(Node *node, const char *tenant)
{
	while (node && IsA(node, TypeCast))
		node = castNode(TypeCast, node)->arg;
	return node && IsA(node, A_Const) && !castNode(A_Const, node)->isnull &&
		   IsA(&castNode(A_Const, node)->val, String) &&
		   strcmp(strVal(&castNode(A_Const, node)->val), tenant) == 0;
}

bool
insert_can_be_followed(InsertStmt *insert, const SpareWords &words)
{
	auto *select = (SelectStmt *) insert->selectStmt;
	ListCell *row, *value;

	if (!select || !IsA(select, SelectStmt) || select->valuesLists == NIL ||
		insert->onConflictClause || insert->withClause || tenancy_returns(insert))
		return false;
	foreach (row, select->valuesLists)
		foreach (value, (List *) lfirst(row))
		{
			auto *node = static_cast<Node *>(lfirst(value));

			if (!is_placeholder(node, words.tenant) &&
				holds_placeholder(node, const_cast<char *>(words.tenant)))
				return false;
		}
	return true;
}

/* What a statement could do with rows that hold the placeholder. */
const char *
refusal_of_statement(Node *statement, const SpareWords &words)
{
	ListCell *cell;

	switch (nodeTag(statement))
	{
		case T_InsertStmt:
			return insert_can_be_followed(castNode(InsertStmt, statement), words)
					   ? nullptr
					   : "it uses @tenant@, and computes rows";
		case T_SelectStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
		case T_DoStmt:
		case T_CallStmt:
		case T_CopyStmt:
		case T_PrepareStmt:
		case T_ExecuteStmt:
		case T_CreateTableAsStmt:
		case T_CreateFunctionStmt:
		case T_CreateTrigStmt:
		case T_RuleStmt:
			return "it uses @tenant@, and computes with what it has made";
		case T_AlterTableStmt:
			foreach (cell, castNode(AlterTableStmt, statement)->cmds)
				if (lfirst_node(AlterTableCmd, cell)->subtype == AT_AlterColumnType)
					return "it uses @tenant@, and computes with what it has made";
			return nullptr;
		default:
			return nullptr;
	}
}

} // namespace

const char *
spare_refusal(const char *script, const SpareWords &words)
{
	List *statements = split_script(substitute_script(script, words.schema, words.tenant));
	bool names_tenant = strstr(script, "@tenant@") != nullptr;
	ListCell *cell;

	foreach (cell, statements)
	{
		const char *text = static_cast<ScriptStatement *>(lfirst(cell))->text;
		List *parsed = raw_parser(text, RAW_PARSE_DEFAULT);
		Node *statement = parsed ? linitial_node(RawStmt, parsed)->stmt : nullptr;

		if (!statement)
			continue;
		const char *refusal = refusal_of_tokens(text, words, IsA(statement, InsertStmt));
		if (!refusal && names_tenant)
			refusal = refusal_of_statement(statement, words);
		if (refusal)
			return refusal;
	}
	return nullptr;
}

} // namespace tenancy
