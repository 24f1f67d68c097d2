/*
 * system_update.cpp — one script of a migration in one tenant's schema.
 *
 * What the script makes is protected and granted as an installation's is.  What was there before keeps its grants; its
 * policies are looked at again, since a script may have dropped one.
 */
#include "tenancy.h"

namespace tenancy
{

void
migration_error(void *argument)
{
	errcontext("%s", static_cast<const char *>(argument));
}

static void
run_migration(const TenantSchema &schema, const char *text)
{
	SystemScript script = {text, schema.name, schema.tenant, false, 0};
	List *known = relations_of_schema(schema.oid);

	run_system_script(&script);
	protect_and_grant(schema, known);
}

static void
run_verification(const char *tenant, const char *schema, const char *text)
{
	SystemScript script = {text, schema, tenant, true, 0};

	run_system_script(&script);
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_run_migration);
PG_FUNCTION_INFO_V1(tenancy_run_verification);

/* What it is about stands in the error's context. */
PGDLLEXPORT Datum
tenancy_run_migration(PG_FUNCTION_ARGS)
{
	const char *name = NameStr(*PG_GETARG_NAME(2));
	tenancy::TenantSchema schema = {text_to_cstring(PG_GETARG_TEXT_PP(0)),
									NameStr(*PG_GETARG_NAME(1)), name,
									get_namespace_oid(name, false)};
	ErrorContextCallback callback = {error_context_stack, tenancy::migration_error,
									 text_to_cstring(PG_GETARG_TEXT_PP(4))};

	SPI_connect();
	error_context_stack = &callback;
	tenancy::run_migration(schema, text_to_cstring(PG_GETARG_TEXT_PP(3)));
	error_context_stack = callback.previous;
	SPI_finish();
	PG_RETURN_VOID();
}

PGDLLEXPORT Datum
tenancy_run_verification(PG_FUNCTION_ARGS)
{
	ErrorContextCallback callback = {error_context_stack, tenancy::migration_error,
									 text_to_cstring(PG_GETARG_TEXT_PP(3))};

	SPI_connect();
	error_context_stack = &callback;
	tenancy::run_verification(text_to_cstring(PG_GETARG_TEXT_PP(0)), NameStr(*PG_GETARG_NAME(1)),
							  text_to_cstring(PG_GETARG_TEXT_PP(2)));
	error_context_stack = callback.previous;
	SPI_finish();
	PG_RETURN_VOID();
}
}
