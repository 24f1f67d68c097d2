/*
 * document_map.h — from the columns of a foreign table to the fields of a document, in one walk.
 *
 * A DocumentMap is built once from the columns' paths ("payload.owner.id") and then walks each raw document once,
 * never decoding a field that nobody wants and stopping when it has them all.  It remembers in which order the fields
 * came last time, since documents of one collection mostly agree on it, so that the common field costs one comparison.
 *
 * A path goes through embedded documents only: where it meets an array the field counts as missing, because an array
 * has no single value.  Of two fields with one name the first wins, as in MongoDB's own matching.
 *
 * The map keeps the iterators itself: where libbson was built with extra alignment (Debian's is) a bson_iter_t wants an
 * address that is a multiple of 128, which palloc does not give.  Never palloc one, nor a bson_t.
 */
#ifdef POSTGRES_H
#error "bson/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_BSON_DOCUMENT_MAP_H
#define PG_TENANCY_BSON_DOCUMENT_MAP_H

#include <memory>
#include <vector>

#include <bson/bson.h>

namespace bridge
{

class DocumentMap
{
public:
	/* paths[i] is column i's path, or null for a column that is not wanted (or is the whole document). */
	DocumentMap(const char *const *paths, int count);
	~DocumentMap();
	DocumentMap(const DocumentMap &) = delete;
	DocumentMap &operator=(const DocumentMap &) = delete;

	/*
	 * Finds the fields of one document, which must outlive the calls of field().  False is returned if the document is
	 * malformed as far as it had to be read; then no field is present.  Nothing is allocated.
	 */
	bool find(const bson_t *document) noexcept;

	/* Column i's field in the last document, placed on its value; null if it is missing. */
	const bson_iter_t *
	field(int column) const noexcept
	{
		const Field &field = fields_[column];
		return field.document == document_ ? &field.iter : nullptr;
	}

private:
	struct Level;
	struct Field
	{
		bson_iter_t iter;
		uint64_t document = 0; /* the number of the document that it was found in */
	};

	bool walk(Level *level, const uint8_t *data, uint32_t length) noexcept;
	bool take(Level *level, int child, const uint8_t *data, uint32_t length, uint32_t offset,
			  uint32_t key_length) noexcept;

	std::unique_ptr<Level> root_;
	std::vector<Field> fields_;
	uint64_t document_ = 1;
};

} // namespace bridge

#endif
