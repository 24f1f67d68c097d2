/*
 * context_function.h — the functions that conditions are made of, one for each type that a tenant's column can have.
 */
#ifndef PG_TENANCY_CONTEXT_FUNCTION_H
#define PG_TENANCY_CONTEXT_FUNCTION_H

#include "tenancy.h"

namespace tenancy
{

/* The types that a tenant's column can have. */
enum class IdType
{
	text,
	uuid,
	bigint
};
constexpr int ID_TYPES = 3;

/* The type of an expression's value; what is none of the three counts as text. */
IdType id_type(Node *id);

enum class ContextFunction
{
	current_tenant,		  /* () */
	current_scope_tenant, /* () */
	current_scope,		  /* () gives an array */
	in_scope,			  /* (id) */
	is_current_tenant	  /* (id) */
};
constexpr int CONTEXT_FUNCTIONS = 5;

/* The function's OID, remembered; invalid where the extension is not installed. */
Oid context_function(ContextFunction function, IdType type);

/* A call of it, with the identifier as argument if it takes one. */
Expr *call_context_function(ContextFunction function, Node *id);

void context_function_init();

} // namespace tenancy

#endif
