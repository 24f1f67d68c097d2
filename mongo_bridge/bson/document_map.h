/*
 * document_map.h — from the columns of a foreign table to the fields of a document, in one walk.
 *
 * A DocumentMap is built once from the columns' paths ("payload.owner.id") and then walks each raw document once,
 * never decoding a field that nobody wants.  It remembers in which order the fields came last time, since documents of
 * one collection mostly agree on it, so that the common field costs one comparison.
 *
 * A path goes through embedded documents only: where it meets an array the field counts as missing, because an array
 * has no single value.  Of two fields with one name the first wins, as in MongoDB's own matching.
 */
#ifdef POSTGRES_H
#error "bson/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_BSON_DOCUMENT_MAP_H
#define PG_TENANCY_BSON_DOCUMENT_MAP_H

#include <memory>

#include <bson/bson.h>

namespace bridge
{

class DocumentMap
{
public:
	/* paths[i] is column i's path, or null for a column that is not wanted (or is the whole document). */
	DocumentMap(const char *const *paths, int count);
	~DocumentMap();

	/*
	 * For each column: fields[i] is placed on its value and present[i] is true, or present[i] is false.  False is
	 * returned if the document is malformed.
	 */
	bool find(const bson_t *document, bson_iter_t *fields, bool *present) noexcept;

private:
	struct Node;
	std::unique_ptr<Node> root_;
};

} // namespace bridge

#endif
