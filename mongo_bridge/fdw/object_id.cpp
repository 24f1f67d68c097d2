/*
 * object_id.cpp — the type tenancy_mongo.object_id: the 12 bytes of an ObjectId.
 *
 * Its order is that of the bytes, as MongoDB's is; the first four are the second in which the id was made.
 */
#include "../bson/value.h"
#include "../guard.h"
#include "object_id.h"

namespace bridge
{

static constexpr int id_length = 12;
static_assert(sizeof(bson_oid_t) == id_length, "an ObjectId is its bytes");

/* The type is found by its name: a database that makes the extension anew has another one. */
bool
is_object_id_type(Oid type)
{
	Oid schema;

	if (type < FirstNormalObjectId || get_typlen(type) != id_length)
		return false;
	schema = get_namespace_oid("tenancy_mongo", true);
	return OidIsValid(schema) &&
		   GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("object_id"),
						   ObjectIdGetDatum(schema)) == type;
}

Datum
object_id_datum(const bson_oid_t *id)
{
	auto *result = static_cast<bson_oid_t *>(palloc(id_length));

	*result = *id;
	return PointerGetDatum(result);
}

static int
compare(FunctionCallInfo fcinfo)
{
	return memcmp(PG_GETARG_POINTER(0), PG_GETARG_POINTER(1), id_length);
}

static Datum
creation_time(const bson_oid_t *id)
{
	int64 seconds = 0;

	for (int i = 0; i < 4; i++)
		seconds = seconds << 8 | id->bytes[i];
	seconds -= static_cast<int64>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	return TimestampTzGetDatum(seconds * USECS_PER_SEC);
}

} // namespace bridge

using bridge::id_length;

extern "C"
{
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_in);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_out);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_recv);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_send);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_lt);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_le);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_eq);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_ne);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_ge);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_gt);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_cmp);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_hash);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_hash_extended);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_created_at);
	PG_FUNCTION_INFO_V1(tenancy_mongo_object_id_to_bytea);

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_in(PG_FUNCTION_ARGS)
	{
		const char *text = PG_GETARG_CSTRING(0);
		bson_oid_t id;

		if (!bridge::object_id_from_text(text, &id))
			ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
							errmsg("invalid input syntax for type %s: \"%s\"", "object_id", text),
							errdetail("An ObjectId is 24 hexadecimal digits.")));
		return bridge::object_id_datum(&id);
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_out(PG_FUNCTION_ARGS)
	{
		bridge::ObjectIdText text =
			bridge::object_id_text(*bridge::datum_object_id(PG_GETARG_DATUM(0)));

		PG_RETURN_CSTRING(pstrdup(text.text));
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_recv(PG_FUNCTION_ARGS)
	{
		bson_oid_t id;

		pq_copymsgbytes(reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0)),
						reinterpret_cast<char *>(id.bytes), id_length);
		return bridge::object_id_datum(&id);
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_send(PG_FUNCTION_ARGS)
	{
		StringInfoData buffer;

		pq_begintypsend(&buffer);
		pq_sendbytes(&buffer, PG_GETARG_POINTER(0), id_length);
		PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_lt(PG_FUNCTION_ARGS)
	{
		PG_RETURN_BOOL(bridge::compare(fcinfo) < 0);
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_le(PG_FUNCTION_ARGS)
	{
		PG_RETURN_BOOL(bridge::compare(fcinfo) <= 0);
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_eq(PG_FUNCTION_ARGS)
	{
		PG_RETURN_BOOL(bridge::compare(fcinfo) == 0);
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_ne(PG_FUNCTION_ARGS)
	{
		PG_RETURN_BOOL(bridge::compare(fcinfo) != 0);
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_ge(PG_FUNCTION_ARGS)
	{
		PG_RETURN_BOOL(bridge::compare(fcinfo) >= 0);
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_gt(PG_FUNCTION_ARGS)
	{
		PG_RETURN_BOOL(bridge::compare(fcinfo) > 0);
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_cmp(PG_FUNCTION_ARGS)
	{
		PG_RETURN_INT32(bridge::compare(fcinfo));
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_hash(PG_FUNCTION_ARGS)
	{
		return hash_any(reinterpret_cast<unsigned char *>(PG_GETARG_POINTER(0)), id_length);
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_hash_extended(PG_FUNCTION_ARGS)
	{
		return hash_any_extended(reinterpret_cast<unsigned char *>(PG_GETARG_POINTER(0)), id_length,
								 static_cast<uint64>(PG_GETARG_INT64(1)));
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_created_at(PG_FUNCTION_ARGS)
	{
		return bridge::creation_time(bridge::datum_object_id(PG_GETARG_DATUM(0)));
	}

	PGDLLEXPORT Datum
	tenancy_mongo_object_id_to_bytea(PG_FUNCTION_ARGS)
	{
		auto *result = static_cast<bytea *>(palloc(VARHDRSZ + id_length));

		SET_VARSIZE(result, VARHDRSZ + id_length);
		memcpy(VARDATA(result), PG_GETARG_POINTER(0), id_length);
		PG_RETURN_BYTEA_P(result);
	}
}
