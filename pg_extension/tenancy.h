/*
 * tenancy.h — what the features of tenancy.so offer each other.
 */
#ifndef PG_TENANCY_TENANCY_H
#define PG_TENANCY_TENANCY_H

#include "pg.h"
#include "tenancy_api.h"

namespace tenancy
{

/* Each feature's part of _PG_init, in the order in which tenancy.cpp calls them. */
void tenant_context_init(); /* and the features that the context consists of */
void tenant_registry_init();
void access_plan_init();
void policy_plan_init();
void policy_cost_init();
void database_command_init();
void data_loss_init();
void rollout_init();
void warm_pool_init();
void script_scope_init();
void empty_index_init();
void launcher_init();

/* tenant_context.cpp: the tenant in force, or null. */
const char *current_tenant();

/* How far the context reaches. */
enum class ContextRole
{
	none,
	client,	   /* one tenant */
	admin,	   /* the tenants of a scope */
	superadmin /* every tenant */
};

ContextRole current_role_class();

/* While a system's script runs, the tenant in whose schema it runs is in force; an error ends that by itself. */
void enter_script(const char *tenant);
void leave_script();

/* tenant_name.cpp */
constexpr int TENANT_ID_MAX = 50;	/* VARCHAR(50) in the documents */
constexpr int SYSTEM_TYPE_MAX = 24; /* leaves room for a name cut to 63 bytes */

/* Why "id" cannot name a tenant, as an errdetail sentence; null if it can. */
const char *tenant_id_problem(const char *id);
extern const char *const tenant_id_hint;

/* Raises the errors that the two above describe. */
void check_tenant_id(const char *id);

/* "id", cut to what a message should hold. */
const char *clip_for_message(const char *id);

bool system_type_is_good(const char *type);
void fold_tenant_id(const char *id, char folded[TENANT_ID_MAX + 1]);
void tenant_schema_name(const char *id, const char *system_type, NameData *name);
void tenant_role_name(const char *id, NameData *name);

/* tenant_registry.cpp */
enum class TenantState
{
	no_registry, /* the extension is not installed in this database */
	unknown,
	provisioning,
	active,
	suspended,
	inactive,
	archived
};

TenantState tenant_state(const char *id);

/* Grows whenever a tenant's state may have changed. */
uint64 registry_generation();

/* tenant_schema.cpp: runs SQL of ours; the caller has connected to SPI. */
void run(const char *sql);

void lock_tenant(const char *id);
bool hold_tenant(const char *id); /* for the session; false if somebody else has the lock */
void ensure_tenant_role(const char *id, NameData *role);
void check_schema_is_free(const char *id, const char *schema);
Oid create_tenant_schema(const char *id, const char *schema);
Oid tenancy_owner();

/* A role to be for a while; ERROR restores the caller's by itself. */
struct BorrowedRole
{
	Oid caller;
	int security_context;
	int guc_level;
};
BorrowedRole become_role(Oid role, const char *search_path);
BorrowedRole become_owner(const char *search_path);
void become_caller(const BorrowedRole &borrowed);

/* access_matrix.cpp: role classes as a set of bits, and as words: "client, admin". */
using RoleSet = uint32;
RoleSet role_set_of_word(const char *word);
const char *words_of_roles(RoleSet roles);

/* access_rule.cpp: which classes may read and write a table. */
struct DeclaredAccess
{
	RoleSet readers;
	RoleSet writers;
	bool is_default; /* the client's own rows and nobody else's */
};

/* A declaration that is about to be written. */
struct PendingAccess
{
	Oid table;
	DeclaredAccess access;
};
DeclaredAccess declared_access(Oid table, const PendingAccess *pending);

/*
 * rls_policy.cpp: protects a table and its children, by the column or for the one tenant that is
 * given; runs the statements that are missing, which protection_sql() writes.
 */
void protect_table(Oid table, const char *column, const char *tenant);
char *protection_sql(Oid table, const char *column, const char *tenant, LOCKMODE lock,
					 const PendingAccess *pending = nullptr);

/* The statements of protect() run, for a table that was not protected before. */
bool protection_runs();

/* It has a policy that protect() makes, or the documents' recipe: bound to the tenant, switched on or not. */
bool has_isolation_policy(Oid table);

/* How a table is protected: by a column, or for a tenant.  False if it is not. */
bool protection_of(Oid table, const char **column, const char **tenant);
void check_table_owner(Oid table);

/* An expression of a row of pg_policy, or null. */
Node *policy_expression(HeapTuple policy, AttrNumber attribute, TupleDesc descriptor);

/* protected_schema.cpp: runs SQL of ours with the rights of the extension's owner. */
void run_as_extension(const char *sql);

/* system_script.cpp: the statements of a system's script, a list of ScriptStatement. */
struct ScriptStatement
{
	const char *text;
	int line;
};
List *split_script(const char *script);

/* The script with @schema@ and @tenant@ replaced, by a quoted identifier and a quoted literal. */
char *substitute_script(const char *script, const char *schema, const char *tenant);

/* A script to run in a tenant's schema. */
struct SystemScript
{
	const char *text;
	const char *schema;
	const char *tenant;
	bool is_verification; /* a query that says false fails */
	int line;			  /* of the statement that runs; 0 if none does */
	uint64 processed;	  /* rows, by its last statement */
};

/* Runs it as tenancy_owner; the caller has connected to SPI. */
void run_system_script(SystemScript *script);

/* The same for SQL of ours that calls what a script has made: between the two, the caller is tenancy_owner. */
BorrowedRole begin_script(const char *tenant, Oid schema);
void end_script(const BorrowedRole &borrowed);

/* script_guard.cpp: from here on, nothing beyond a tenant's schema is changed; there is one script at a time. */
void script_guard_init();
void refuse_nested_script();
void guard_script(const char *tenant, Oid schema);
void release_script();
bool script_runs();

/* What bounds the statement, a script or a function that one has left, and the table is isolated for another tenant. */
bool is_beyond_script(Oid relation);
[[noreturn]] void refuse_to_script(Oid relation);

/*
 * changed_table.cpp, of an object access hook: a change that a statement wants, other than the triggers of a foreign key;
 * whose table's, whose schema's; the table that a foreign key refers to; and one that is wanted of those that use an object.
 */
bool changes_object(ObjectAccessType access, void *arguments);
Oid table_of_object(ObjectAccessType access, Oid catalog, Oid object, void *arguments);
Oid schema_of_object(Oid catalog, Oid object);
Oid table_referred_to(Oid constraint);
Oid table_that_uses(Oid catalog, Oid object, bool (*is_wanted)(Oid table));
Oid table_of_domain_check(Oid constraint, bool (*is_wanted)(Oid table));

/* system_schema.cpp: a schema of a tenant's, and who uses it. */
struct TenantSchema
{
	const char *tenant;
	const char *role;
	const char *name;
	Oid oid;
};
List *objects_of_schema(Oid schema, Oid catalog, Oid other_catalog = InvalidOid, List **others = nullptr);
List *relations_of_schema(Oid schema);
void protect_and_grant(const TenantSchema &schema, List *known);
void grant_usage(const TenantSchema &schema);
bool sequence_needs_grant(Oid sequence);

/*
 * warm_pool.cpp: a system in a new schema, protected and granted but for USAGE; or a ready one, with USAGE, whose OID is put
 * into "schema".  False if there is none.  The caller has connected to SPI.
 */
Oid make_system_schema(const TenantSchema &schema, const char *version_id, bool verifies);
bool claim_spare(const char *version_id, TenantSchema *schema);
extern int pool_size;

/* spare_script.cpp: what a script is run with before its tenant is known; why it cannot be, or null. */
struct SpareWords
{
	const char *schema;
	const char *tenant;
};
const char *spare_refusal(const char *script, const SpareWords &words);

/*
 * script_scope.cpp: the schema whose system's script runs, or InvalidOid.  Nothing needs to be restored after an error.
 */
Oid script_schema();
void enter_script_schema(Oid schema);
void leave_script_schema();
Oid table_altered_by_script(); /* while its ALTER TABLE runs */

/* system_update.cpp: an error context callback, whose argument is the text. */
void migration_error(void *description);

/* launcher.cpp: what it offers to tenancy_mongo.so; tenancy_api.h describes them. */
void launcher_wake();
void workers_wake();
bool worker_enter(Oid database, TenancyWorkerKind kind, Oid server);
void worker_set_level(TimestampTz when, uint64 applied);
bool worker_wait(Oid server, uint64 applied, long timeout_ms);
pid_t worker_look_up(Oid server, TenancyWorkerKind kind, TimestampTz *level_at);
void supervisor_report(bool has_work);
uint64 mirror_generation();

/* launcher.cpp: at commit, has the launcher start this database's supervisor of a service. */
void service_wake(TenancyWorkerKind supervisor);

/* launcher.cpp: how many workers of a kind serve an object of this database; and is there a launcher? */
int count_service_workers(TenancyWorkerKind kind, Oid server);
bool launcher_runs();

/* rollout.cpp: one step of a rollout, in the caller's transaction; the caller has connected to SPI. */
struct RolloutStep
{
	const char *action;
	int wait_ms;
	const char *tenant;	 /* whose scripts the caller runs */
	const char *verdict; /* why it stops before it is done, or null */
};
SPIPlanPtr prepare_rollout_step(bool in_worker);
RolloutStep rollout_step(SPIPlanPtr plan, int rollout, int64 *after);

/* rollout.cpp: throws the catalog caches away when they have grown beyond a bound; between transactions. */
void bound_caches();
extern int max_rollout_workers;
extern int rollout_worker_tenants;

/*
 * launcher.cpp: ends every worker of ours in a database and keeps new ones out until the transaction is over; for
 * commands that need the database to themselves.
 */
void launcher_hold_database(Oid database);

} // namespace tenancy

#endif
