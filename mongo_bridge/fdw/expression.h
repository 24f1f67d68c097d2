/*
 * expression.h — expressions of an aggregation pipeline, piece by piece.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_EXPRESSION_H
#define PG_TENANCY_FDW_EXPRESSION_H

#include "fdw.h"

namespace bridge
{

/* {op: argument}, where "put" appends the argument under the key that it is given. */
template <class Put>
void
put_unary(bson_t *out, const char *key, const char *op, Put put)
{
	bson_t call;

	bson_append_document_begin(out, key, -1, &call);
	put(&call, op);
	bson_append_document_end(out, &call);
}

/* {op: [ … ]}, where "put" appends the arguments. */
template <class Put>
void
put_list(bson_t *out, const char *key, const char *op, Put put)
{
	put_unary(out, key, op,
			  [&](bson_t *call, const char *name)
			  {
				  bson_t arguments;
				  bson_append_array_begin(call, name, -1, &arguments);
				  put(&arguments);
				  bson_append_array_end(call, &arguments);
			  });
}

/* "$path" */
static inline void
put_field(bson_t *out, const char *key, const char *path)
{
	bson_append_utf8(out, key, -1, psprintf("$%s", path), -1);
}

} // namespace bridge

#endif
