/*
 * document.h — a BSON document with an owner.
 *
 * bson_t frees its memory only if somebody calls bson_destroy; this is that somebody.  Red code keeps one by
 * own<Document>(context) and appends with libbson's C functions, none of which throws.
 */
#ifdef POSTGRES_H
#error "bson/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_BSON_DOCUMENT_H
#define PG_TENANCY_BSON_DOCUMENT_H

#include <string>

#include <bson/bson.h>

namespace bridge
{

class Document
{
public:
	Document() noexcept { bson_init(&bson_); }
	explicit Document(const bson_t *other) { bson_copy_to(other, &bson_); }
	~Document() { bson_destroy(&bson_); }
	Document(Document &&other) noexcept
	{
		bson_init(&bson_);
		bson_steal(&bson_, &other.bson_);
		bson_init(&other.bson_);
	}
	Document &
	operator=(Document &&other) noexcept
	{
		bson_destroy(&bson_);
		bson_init(&bson_);
		bson_steal(&bson_, &other.bson_);
		bson_init(&other.bson_);
		return *this;
	}
	Document(const Document &) = delete;
	Document &operator=(const Document &) = delete;

	/* Extended JSON, relaxed or canonical, to a document; throws Error 22P02 with libbson's reason. */
	static Document parse(const char *json);

	bson_t *get() noexcept { return &bson_; }
	const bson_t *get() const noexcept { return &bson_; }
	void clear() noexcept { bson_reinit(&bson_); }

	/* Relaxed extended JSON. */
	std::string json() const;

private:
	bson_t bson_;
};

} // namespace bridge

#endif
