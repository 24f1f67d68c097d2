/*
 * bson_convert.h — one BSON value to one SQL type: what bson_datum.cpp is made of.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_BSON_CONVERT_H
#define PG_TENANCY_FDW_BSON_CONVERT_H

#ifndef POSTGRES_H
#include "../bson/value.h"
#include "../guard.h"
#endif

namespace bridge
{

/* Why a value does not fit. */
struct Refusal
{
	const char *sqlstate;
	const char *reason; /* one sentence */
};

/* A SQL type as a target of conversions, resolved once for a column. */
struct ValueType
{
	Oid declared; /* perhaps a domain */
	Oid type;	  /* its base type */
	int32 typmod;
	bool (*convert)(const ValueType *type, const bson_iter_t *field, Datum *value,
					Refusal *refusal);

	/* A domain's constraints, or null. */
	DomainConstraintRef *domain;
	ExprContext *domain_context;

	/* An array's elements, or null. */
	ValueType *element;

	/* numeric(p,s): 10 to the power of p - s, which an absolute value must be below. */
	Numeric limit;
};

/* Null if there is no conversion to this type. */
ValueType *value_type_build(Oid type, int32 typmod, MemoryContext context);

/* Converts a field, which may be null (missing). */
bool value_convert(const ValueType *type, const bson_iter_t *field, Datum *value, bool *isnull,
				   Refusal *refusal);

/* The numerics that a column gets; pushdown must know them exactly. */
Numeric numeric_from_double(double value);
Numeric numeric_from_decimal(const bson_decimal128_t *value);

/* bson_jsonb.cpp: any value as jsonb or json, and the whole document. */
bool jsonb_from_field(const bson_iter_t *field, Datum *value, Refusal *refusal);
bool json_from_field(const bson_iter_t *field, Datum *value, Refusal *refusal);
bool jsonb_from_document(const bson_t *document, Datum *value, Refusal *refusal);
bool json_from_document(const bson_t *document, Datum *value, Refusal *refusal);

/* A string's bytes may become a text; false with a refusal if they are no valid UTF-8 or hold a NUL. */
bool check_text(const char *bytes, uint32 length, Refusal *refusal);

static inline bool
refuse(Refusal *refusal, const char *sqlstate, const char *reason)
{
	refusal->sqlstate = sqlstate;
	refusal->reason = reason;
	return false;
}

} // namespace bridge

#endif
