/*
 * tenant.cpp — the tenant in force, as tenancy.so knows it, and the database that is the tenant's.
 */
#include "tenancy_api.h"
#include "tenant.h"

namespace bridge
{

const char *
current_tenant()
{
	static const TenancyApi *api = nullptr;

	if (api == nullptr)
		api = static_cast<TenancyApi *>(*find_rendezvous_variable(TENANCY_API_RENDEZVOUS));
	if (api == nullptr || api->version != TENANCY_API_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign tables that follow the tenant need the tenant context"),
				 errdetail("The library \"tenancy\" is not loaded, or is of another version."),
				 errhint("Add this line to postgresql.conf and restart the server: "
						 "shared_preload_libraries = 'tenancy'")));
	return api->current_tenant();
}

/*
 * The tenant's id goes into a name, so it must be nothing but letters, digits, - and _, whoever made it.  It goes there as
 * it is: ids that fold to one another have databases of their own, or, where they differ in case only, MongoDB refuses the
 * second.
 */
static void
check_name(const char *pattern, const char *tenant, const char *database)
{
	static constexpr const char *own[] = {"admin", "config", "local"};
	const char *reason = nullptr;

	for (const char *name : own)
		if (pg_strcasecmp(database, name) == 0)
			reason = "The database is MongoDB's own.";
	if (strlen(database) > max_database_name)
		reason = "The database's name would be longer than 63 bytes.";
	for (const char *c = tenant; *c != '\0'; c++)
		if (!isalnum(static_cast<unsigned char>(*c)) && *c != '-' && *c != '_')
			reason = "The tenant's id has other characters than letters, digits, - and _.";
	if (reason != nullptr)
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("the tenant in force has no database \"%s\"", pattern),
						errdetail("%s", reason)));
}

const char *
route_database(const char *pattern)
{
	const char *place = strstr(pattern, tenant_placeholder);

	if (place == nullptr)
		return pattern;

	const char *tenant = current_tenant();
	if (tenant == nullptr)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("no tenant is in force"),
						errdetail("Database \"%s\" is the tenant's.", pattern),
						errhint("SELECT tenancy.set_tenant('...');")));

	const char *database = psprintf("%.*s%s%s", static_cast<int>(place - pattern), pattern, tenant,
									place + strlen(tenant_placeholder));
	check_name(pattern, tenant, database);
	return database;
}

} // namespace bridge
