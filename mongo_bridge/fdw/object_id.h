/*
 * object_id.h — the type tenancy_mongo.object_id: the 12 bytes of an ObjectId.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_OBJECT_ID_H
#define PG_TENANCY_FDW_OBJECT_ID_H

#ifndef POSTGRES_H
#include "../bson/value.h"
#include "../guard.h"
#endif

namespace bridge
{

/* Whether a type is tenancy_mongo.object_id. */
bool is_object_id_type(Oid type);

static inline const bson_oid_t *
datum_object_id(Datum value)
{
	return reinterpret_cast<const bson_oid_t *>(DatumGetPointer(value));
}

Datum object_id_datum(const bson_oid_t *id);

} // namespace bridge

#endif
