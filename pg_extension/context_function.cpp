/*
 * context_function.cpp — the functions that conditions are made of, found once.
 *
 * The planner asks for them with every statement, and a look-up by name costs as much as a small plan.
 */
#include "context_function.h"

namespace tenancy
{

struct Signature
{
	const char *name;
	bool takes_id; /* else it has one name for each type */
	bool gives_array;
};
static const Signature signatures[CONTEXT_FUNCTIONS] = {
	{"current_tenant", false, false}, {"current_scope_tenant", false, false}, {"current_scope", false, true},
	{"in_scope", true, false},		  {"still_in_scope", true, false},		  {"is_current_tenant", true, false},
	{"is_scope_tenant", true, false},
};
static const char *const name_suffixes[ID_TYPES] = {"", "_uuid", "_bigint"};

/* The planner would look all of this up for each statement. */
static const IdTypeFacts facts[ID_TYPES] = {
	{TEXTOID, TEXTARRAYOID, DEFAULT_COLLATION_OID, -1, false, TYPALIGN_INT, F_TEXTEQ},
	{UUIDOID, UUIDARRAYOID, InvalidOid, UUID_LEN, false, TYPALIGN_CHAR, F_UUID_EQ},
	{INT8OID, INT8ARRAYOID, InvalidOid, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, F_INT8EQ},
};

static Oid functions[CONTEXT_FUNCTIONS][ID_TYPES];
static bool known;

const IdTypeFacts &
id_type_facts(IdType type)
{
	return facts[(int) type];
}

IdType
id_type(Node *id)
{
	Oid type = exprType(id);

	for (int i = 0; i < ID_TYPES; i++)
		if (type == facts[i].type)
			return (IdType) i;
	return IdType::text;
}

static Oid
look_up(Oid schema, const Signature &signature, IdType type)
{
	const char *name = signature.takes_id ? signature.name : psprintf("%s%s", signature.name, name_suffixes[(int) type]);
	oidvector *arguments = buildoidvector(&facts[(int) type].type, signature.takes_id ? 1 : 0);

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name), PointerGetDatum(arguments),
						   ObjectIdGetDatum(schema));
}

Oid
context_function(ContextFunction function, IdType type)
{
	if (unlikely(!known))
	{
		/* What changes while we look is not known. */
		known = true;
		Oid schema = get_namespace_oid("tenancy", true);

		for (int f = 0; f < CONTEXT_FUNCTIONS; f++)
			for (int t = 0; t < ID_TYPES; t++)
				functions[f][t] = OidIsValid(schema) ? look_up(schema, signatures[f], (IdType) t) : InvalidOid;
	}
	return functions[(int) function][(int) type];
}

Expr *
call_context_function(ContextFunction function, Node *id)
{
	const Signature &signature = signatures[(int) function];
	IdType type = id_type(id);
	Oid oid = context_function(function, type);
	Oid result = signature.takes_id ? BOOLOID : signature.gives_array ? facts[(int) type].array : facts[(int) type].type;

	if (!OidIsValid(oid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("function tenancy.%s does not exist for type %s", signature.name, format_type_be(facts[(int) type].type)),
						errhint("ALTER EXTENSION tenancy UPDATE;")));
	return (Expr *) makeFuncExpr(oid, result, signature.takes_id ? list_make1(id) : NIL,
								 signature.takes_id ? InvalidOid : facts[(int) type].collation,
								 signature.takes_id ? exprCollation(id) : InvalidOid, COERCE_EXPLICIT_CALL);
}

static void
forget(Datum, int, uint32)
{
	known = false;
}

void
context_function_init()
{
	CacheRegisterSyscacheCallback(PROCOID, forget, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, forget, (Datum) 0);
}

} // namespace tenancy
