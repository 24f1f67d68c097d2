/*
 * tenancy.cpp — the table of contents of tenancy.so.
 *
 *   tenant_context.cpp    the setting that names the tenant in force, and who may write it
 *   context_lock.cpp      what keeps a transaction to one context, and a bound role to its own
 *   context_access.cpp    how far the context reaches: client, admin of a scope, superadmin
 *   context_token.cpp     a context that the application hands over signed
 *   token_key.cpp         the keys that tokens are signed with
 *   context_lifetime.cpp  what ends a context, and what must not outlive it
 *   temporary_table.cpp   temporary tables, which the next tenant must not read
 *   policy_guard.cpp      no statement of a tenant's session reads past the policies
 *   script_guard.cpp      what a system's script cannot reach
 *   changed_table.cpp     which table a change of an object concerns
 *   side_channel.cpp      LOCK TABLE, EXPLAIN and others that tell more than rows
 *   stat_tenants.cpp      what each tenant does, counted in shared memory
 *   tenant_name.cpp       tenant identifiers, and the schema and role names that follow from them
 *   own_table.cpp         the extension's own tables, read without SPI
 *   tenant_registry.cpp   what the context asks of the registry: does this tenant exist, is it active
 *   tenant_schema.cpp     the schema of one tenant's system: made, never adopted
 *   rls_policy.cpp        protect() and the text that it runs
 *   access_rule.cpp       declare_access(): which role classes may read and write a table
 *   access_matrix.cpp     which role class reaches a row
 *   access_plan.cpp       the condition that is planned for the role class in force
 *   policy_plan.cpp       what plans ask for each row, made cheap
 *   policy_cost.cpp       what the planner reckons for a question that is asked once
 *   protected_schema.cpp  schemas whose new tables are protected by an event trigger
 *   isolation_report.cpp  which policies keep tenants apart
 *   semantic_version.cpp  versions of systems: precedence and ranges
 *   system_catalog.cpp    who registers systems
 *   system_script.cpp     scripts of systems, read and run
 *   system_schema.cpp     what a script made: found, protected, granted
 *   system_install.cpp    a system in a tenant's own schema
 *   system_update.cpp     one script of a migration in a tenant's schema
 *   data_loss.cpp         what a rollback would take away
 *   warm_pool.cpp         schemas that are ready before their tenants come
 *   spare_script.cpp      which scripts can make a schema before its tenant is known
 *   script_scope.cpp      what is done otherwise while the script of a system runs
 *   empty_index.cpp       empty indexes of a system without a build
 *   database_command.cpp  commands that need a database to themselves
 *   rollout.cpp           leading all tenants of a system to a version
 *   launcher.cpp          the one static background worker (in ../bgworker)
 *   child_worker.cpp      the workers that a supervisor keeps running (in ../bgworker, for both libraries)
 *   service_worker.cpp    what the next two do alike (in ../bgworker)
 *   rollout_worker.cpp    the workers of rollouts (in ../bgworker)
 *   pool_worker.cpp       keeps the warm pool full (in ../bgworker)
 *
 * The lifecycle of a tenant is SQL (tenant_lifecycle.sql), because it is transactions over rows.
 */
#include "tenancy.h"

extern "C"
{
PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	/*
	 * A context that is defined only when the first function of the library is called can be forged before: the server
	 * keeps a setting that nobody has defined for whoever writes it.
	 */
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tenancy must be loaded when the server starts"),
				 errdetail("A tenant context that is defined later could be forged before."),
				 errhint("Add this line to postgresql.conf and restart the server: "
						 "shared_preload_libraries = 'tenancy'")));

	static TenancyApi api = {
		TENANCY_API_VERSION,		 tenancy::current_tenant,	tenancy::launcher_wake,
		tenancy::workers_wake,		 tenancy::worker_enter,		tenancy::worker_set_level,
		tenancy::worker_wait,		 tenancy::worker_look_up,	tenancy::supervisor_report,
		tenancy::mirror_generation,
	};
	*find_rendezvous_variable(TENANCY_API_RENDEZVOUS) = &api;

	tenancy::tenant_registry_init();
	tenancy::tenant_context_init();
	tenancy::access_plan_init();
	tenancy::policy_plan_init();
	tenancy::policy_cost_init();
	tenancy::script_guard_init();
	tenancy::database_command_init();
	tenancy::data_loss_init();
	tenancy::rollout_init();
	tenancy::warm_pool_init();
	tenancy::script_scope_init();
	tenancy::empty_index_init();
	tenancy::launcher_init();

	MarkGUCPrefixReserved("tenancy");
}
}
