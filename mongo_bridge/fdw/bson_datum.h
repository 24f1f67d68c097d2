/*
 * bson_datum.h — from raw BSON to Datums, the one conversion that scans and mirrors share.
 *
 * A ColumnMap joins a foreign table's columns (types, typmods, paths) with a DocumentMap.  A value that does not fit its
 * column is never rounded, cut or turned into NULL: it is a Mismatch that names the document, the path and both types.
 * Scans report it as an error; the mirror puts the document among the misfits and goes on.
 *
 * Everything here is red.  Datums are made in the current memory context.
 */
#ifndef PG_TENANCY_FDW_BSON_DATUM_H
#define PG_TENANCY_FDW_BSON_DATUM_H

#ifndef POSTGRES_H
#include "../bson/document_map.h"
#include "../guard.h"
#endif

namespace bridge
{

struct ColumnMap;

/* Why a document does not fit, as plain text in the memory context of the call. */
struct Mismatch
{
	const char *sqlstate;	 /* of the error that a scan would report */
	const char *document_id; /* the document's _id in relaxed extended JSON */
	const char *path;
	const char *bson_type; /* as MongoDB's $type names it: "string", "int", "decimal" … */
	const char *sql_type;  /* as format_type_with_typemod names it */
	const char *reason;	   /* one sentence: what is wrong with the value */
};

/*
 * Builds the map of a foreign table, in "context".  "wanted" holds attribute numbers (offset by
 * FirstLowInvalidHeapAttributeNumber, as in pull_varattnos); null means all columns.
 */
ColumnMap *column_map_build(Relation foreign_table, Bitmapset *wanted, MemoryContext context);

/* The path that a column is read from ("" for a whole-document column), and the column that holds "_id" (0 if none). */
const char *column_map_path(const ColumnMap *map, AttrNumber attribute);
AttrNumber column_map_key(const ColumnMap *map);

/*
 * Converts one document; values and isnull are indexed by attribute number - 1.  Columns that are not wanted, dropped
 * columns and fields that are null or missing become NULL.  Returns false and fills "mismatch" if it does not fit.
 */
bool column_map_convert(ColumnMap *map, const bson_t *document, Datum *values, bool *isnull,
						Mismatch *mismatch);

/* Reports a mismatch as an ERROR. */
[[noreturn]] void report_mismatch(const Mismatch *mismatch, Relation foreign_table);

/*
 * Converts one value that stands alone (a change event's documentKey._id) to the type of one column of the map.
 */
bool column_map_convert_field(ColumnMap *map, AttrNumber attribute, const bson_iter_t *field,
							  Datum *value, bool *isnull, Mismatch *mismatch);

/* BSON to jsonb, built directly; and relaxed extended JSON of a value, for messages and misfits. */
Jsonb *bson_to_jsonb(const bson_t *document);
char *bson_value_text(const bson_iter_t *field);
char *bson_document_text(const bson_t *document);

} // namespace bridge

#endif
