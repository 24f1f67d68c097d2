/*
 * access_matrix.h — what the answers of the access matrix (access_matrix.cpp) and its plans (access_plan.cpp) share.
 */
#ifndef PG_TENANCY_ACCESS_MATRIX_H
#define PG_TENANCY_ACCESS_MATRIX_H

#include "context_function.h"
#include "tenant_context.h"

namespace tenancy
{

RoleSet role_bit(ContextRole role);

/* 'client, admin' */
RoleSet parse_roles(const char *text);

/* The tenant's identifier in a type; false if it has none there.  The datum may point into the tenant. */
bool datum_of_tenant(const Tenant *tenant, IdType type, Datum *datum);

/* The tenants' identifiers as an array of a type; those that are none of that type are left out. */
ArrayType *array_of_tenants(const Tenant *const *tenants, int count, IdType type);

/* The tenants that the context reaches, if it reaches some and not all. */
const Tenant *const *reached_tenants(const Context &context, int *count);

} // namespace tenancy

#endif
