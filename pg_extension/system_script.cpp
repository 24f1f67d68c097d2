/*
 * system_script.cpp — the scripts of systems: read when they are registered, run in a tenant's schema.
 *
 * A script is checked when it is registered, so that a syntax error meets the one who wrote it and not the first tenant
 * who gets it.  Statements are taken apart here and run one by one: an error then shows its own statement, not the whole
 * script.
 *
 * A script runs as tenancy_owner, never as the superuser who owns the extension, with search_path = the schema and
 * pg_temp last.  It is trusted with the schemas of tenants, not with the server.  The tables of a tenant bind their owner
 * too, and a migration whose UPDATE finds no row says nothing: so while a script runs, the tenant in whose schema it runs
 * is in force.  Other tenants' rows stay out of its sight (and script_guard.cpp has the rest).
 */
#include "tenancy.h"

namespace tenancy
{

static int
line_at(const char *script, int offset)
{
	int line = 1;

	for (int i = 0; i < offset; i++)
		line += script[i] == '\n';
	return line;
}

/* The parser tells a position in the script; as a position in the client's query it would mislead. */
static void
script_error(void *argument)
{
	auto *script = static_cast<const char *>(argument);
	int position = geterrposition();

	if (position <= 0)
		return;
	int offset = pg_mbcharcliplen(script, strlen(script), position - 1);
	const char *begin = script + offset, *end = script + offset;
	while (begin > script && begin[-1] != '\n')
		begin--;
	while (*end && *end != '\n')
		end++;
	errposition(0);
	errcontext("line %d of the script: %.*s", line_at(script, offset), (int) (end - begin), begin);
}

/* A statement begins where the last one's semicolon was; its line is that of its first word. */
static int
skip_to_first_word(const char *script, int offset)
{
	for (;;)
	{
		while (isspace((unsigned char) script[offset]))
			offset++;
		if (script[offset] != '-' || script[offset + 1] != '-')
			return offset;
		while (script[offset] && script[offset] != '\n')
			offset++;
	}
}

static void
check_statement(Node *statement, int line)
{
	const char *what = nullptr;

	if (IsA(statement, TransactionStmt))
		what = "transaction control";
	else if (IsA(statement, CopyStmt) && !castNode(CopyStmt, statement)->filename)
		what = "COPY from or to the client";
	if (what)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a system's script cannot use %s", what),
						errdetail("It is run within the transaction that provisions a tenant."),
						errcontext("line %d of the script", line)));
}

List *
split_script(const char *script)
{
	ErrorContextCallback callback = {error_context_stack, script_error, const_cast<char *>(script)};
	List *statements = NIL;
	ListCell *cell;

	error_context_stack = &callback;
	List *parsed = pg_parse_query(script);
	error_context_stack = callback.previous;

	foreach (cell, parsed)
	{
		RawStmt *raw = lfirst_node(RawStmt, cell);
		int begin = skip_to_first_word(script, raw->stmt_location);
		int end = raw->stmt_len > 0 ? raw->stmt_location + raw->stmt_len : (int) strlen(script);
		auto *statement = static_cast<ScriptStatement *>(palloc(sizeof(ScriptStatement)));

		statement->text = pnstrdup(script + begin, end - begin);
		statement->line = line_at(script, begin);
		check_statement(raw->stmt, statement->line);
		statements = lappend(statements, statement);
	}
	return statements;
}

/* Quoted, so that a script may write CREATE INDEX ON @schema@.t and VALUES (@tenant@). */
char *
substitute_script(const char *script, const char *schema, const char *tenant)
{
	Datum result = CStringGetTextDatum(script);

	result = DirectFunctionCall3Coll(replace_text, C_COLLATION_OID, result,
									 CStringGetTextDatum("@schema@"),
									 CStringGetTextDatum(quote_identifier(schema)));
	result = DirectFunctionCall3Coll(replace_text, C_COLLATION_OID, result,
									 CStringGetTextDatum("@tenant@"),
									 CStringGetTextDatum(quote_literal_cstr(tenant)));
	return TextDatumGetCString(result);
}

static void
statement_error(void *argument)
{
	auto *script = static_cast<const SystemScript *>(argument);

	if (script->line > 0)
		errcontext("line %d of the script", script->line);
}

/* A statement of a verification holds unless it says false. */
static void
check_verdict(const ScriptStatement *statement)
{
	if (!SPI_tuptable || SPI_gettypeid(SPI_tuptable->tupdesc, 1) != BOOLOID)
		return;
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool null;
		Datum verdict = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &null);

		if (null || !DatumGetBool(verdict))
			ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION), errmsg("verification has failed"),
							errdetail("This is not true: %s", statement->text)));
	}
}

static void
run_statement(const ScriptStatement *statement, bool is_verification)
{
	int result = SPI_execute(statement->text, is_verification, 0);

	if (result < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a system's script cannot hold this statement: %s", statement->text)));
	if (is_verification && result == SPI_OK_SELECT)
		check_verdict(statement);
}

BorrowedRole
begin_script(const char *tenant, Oid schema)
{
	refuse_nested_script();
	BorrowedRole borrowed =
		become_owner(psprintf("%s, pg_temp", quote_identifier(get_namespace_name(schema))));

	/* Parallel workers would not know the tenant. */
	(void) set_config_option("max_parallel_workers_per_gather", "0", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	if (!tenant_id_problem(tenant))
		enter_script(tenant);
	guard_script(tenant, schema);
	return borrowed;
}

void
end_script(const BorrowedRole &borrowed)
{
	release_script();
	leave_script();
	become_caller(borrowed);
}

void
run_system_script(SystemScript *script)
{
	ErrorContextCallback callback = {error_context_stack, statement_error, script};
	List *statements =
		split_script(substitute_script(script->text, script->schema, script->tenant));
	Oid schema = get_namespace_oid(script->schema, false);
	ListCell *cell;

	BorrowedRole borrowed = begin_script(script->tenant, schema);
	/* Planning for them costs more than the index of an empty table. */
	(void) set_config_option("max_parallel_maintenance_workers", "0", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	error_context_stack = &callback;
	enter_script_schema(schema);
	foreach (cell, statements)
	{
		auto *statement = static_cast<ScriptStatement *>(lfirst(cell));

		CHECK_FOR_INTERRUPTS();
		script->line = statement->line;
		run_statement(statement, script->is_verification);
		script->processed = SPI_processed;
	}
	leave_script_schema();
	script->line = 0;
	error_context_stack = callback.previous;
	end_script(borrowed);
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_check_script);
PG_FUNCTION_INFO_V1(tenancy_script_checksum);

PGDLLEXPORT Datum
tenancy_check_script(PG_FUNCTION_ARGS)
{
	char *script = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (tenancy::split_script(tenancy::substitute_script(script, "tenant_a_b", "a")) == NIL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the script of a system must not be empty")));
	PG_RETURN_VOID();
}

/* Of one script as it is, of several as the JSON array of them; always of their bytes in UTF-8. */
PGDLLEXPORT Datum
tenancy_script_checksum(PG_FUNCTION_ARGS)
{
	ArrayType *scripts = PG_GETARG_ARRAYTYPE_P(0);
	Datum *values;
	bool *nulls;
	int count;

	deconstruct_array(scripts, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
	if (count == 0 || (count == 1 && nulls[0]))
		PG_RETURN_NULL();
	text *whole = DatumGetTextPP(
		count == 1 ? values[0] : DirectFunctionCall1(array_to_json, PointerGetDatum(scripts)));
	char *bytes = pg_server_to_any(text_to_cstring(whole), VARSIZE_ANY_EXHDR(whole), PG_UTF8);
	Datum digest = DirectFunctionCall1(sha256_bytea, CStringGetTextDatum(bytes));
	char digits[2 * PG_SHA256_DIGEST_LENGTH];

	hex_encode(VARDATA_ANY(DatumGetPointer(digest)), PG_SHA256_DIGEST_LENGTH, digits);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(digits, sizeof(digits)));
}
}
