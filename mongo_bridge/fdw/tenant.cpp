/*
 * tenant.cpp — the tenant in force, as tenancy.so knows it.
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
				 errmsg("foreign tables with option \"tenant_field\" need the tenant context"),
				 errdetail("The library \"tenancy\" is not loaded, or is of another version."),
				 errhint("Add this line to postgresql.conf and restart the server: "
						 "shared_preload_libraries = 'tenancy'")));
	return api->current_tenant();
}

} // namespace bridge
