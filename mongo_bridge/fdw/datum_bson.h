/*
 * datum_bson.h — one SQL value to one BSON value: the way back of bson_convert.h.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_DATUM_BSON_H
#define PG_TENANCY_FDW_DATUM_BSON_H

#ifndef POSTGRES_H
#include "../bson/document.h"
#include "../guard.h"
#endif

namespace bridge
{

/* A SQL type as a source of conversions, resolved once for a column. */
struct DatumType
{
	Oid type;		/* the base type */
	bool object_id; /* it is an ObjectId, or its text is the 24 digits of one */
	int16 length;
	bool by_value;
	char align;
	DatumType *element; /* an array's elements, or null */
};

DatumType *datum_type_build(Oid type, bool object_id, MemoryContext context);

/* Appends a value that is not null; an ERROR that names "column" if BSON cannot hold it. */
void append_datum(bson_t *out, const char *key, const DatumType *type, Datum value,
				  const char *column);

/* A whole document, from jsonb or json; it belongs to the current memory context. */
const bson_t *document_from_datum(const DatumType *type, Datum value, const char *column);

} // namespace bridge

#endif
