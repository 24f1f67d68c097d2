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

struct IdTypeFacts
{
	Oid type;
	Oid array;
	Oid collation;
	int16 length;
	bool by_value;
	char alignment;
	Oid equality; /* the function */
};
const IdTypeFacts &id_type_facts(IdType type);

/* The type of an expression's value; what is none of the three counts as text. */
IdType id_type(Node *id);

enum class ContextFunction
{
	current_tenant,		  /* () */
	current_scope_tenant, /* () */
	current_scope,		  /* () gives an array */
	in_scope,			  /* (id) */
	still_in_scope,		  /* (id): the same, and the planner takes it to be true */
	is_current_tenant,	  /* (id) */
	is_scope_tenant		  /* (id) */
};
constexpr int CONTEXT_FUNCTIONS = 7;

/* The function's OID, remembered; invalid where the extension is not installed. */
Oid context_function(ContextFunction function, IdType type);

/* A call of it, with the identifier as argument if it takes one. */
Expr *call_context_function(ContextFunction function, Node *id);

/*
 * The "location" of a comparison with constants that stands beside still_in_scope(): it is there for the planner to see
 * which partitions it needs, and a filter can do without it.
 */
constexpr int FOR_THE_PLANNER = -7407;

void context_function_init();

} // namespace tenancy

#endif
