/*
 * tenant_registry.cpp — what the context asks of the registry: does this tenant exist, is it active.
 */
#include "own_table.h"
#include "tenant_context.h"

namespace tenancy
{

/* Columns of tenancy.tenants; an update script may add some at the end, never reorder them. */
constexpr AttrNumber Anum_tenants_status = 6;

static OwnTable registry = {"tenants", "tenants_pkey"};

void
tenant_registry_init()
{
	own_table_register(&registry);
}

uint64
registry_generation()
{
	return registry.generation;
}

static TenantState
state_of_word(const char *word)
{
	if (strcmp(word, "active") == 0)
		return TenantState::active;
	if (strcmp(word, "suspended") == 0)
		return TenantState::suspended;
	if (strcmp(word, "inactive") == 0)
		return TenantState::inactive;
	if (strcmp(word, "archived") == 0)
		return TenantState::archived;
	return TenantState::provisioning;
}

static void
read_state(HeapTuple row, TupleDesc descriptor, void *state)
{
	bool null;
	Datum status = heap_getattr(row, Anum_tenants_status, descriptor, &null);

	*static_cast<TenantState *>(state) =
		null ? TenantState::provisioning : state_of_word(TextDatumGetCString(status));
}

TenantState
tenant_state(const char *id)
{
	TenantState state = TenantState::unknown;

	if (!find_own_table(&registry))
		return TenantState::no_registry;
	(void) visit_own_row(&registry, id, read_state, &state);
	return state;
}

} // namespace tenancy
