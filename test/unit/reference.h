/*
 * reference.h — what DocumentMap is held against: libbson's own iterator, used the plain and slow way.
 */
#ifndef PG_TENANCY_TEST_REFERENCE_H
#define PG_TENANCY_TEST_REFERENCE_H

#include <string>

#include <bson/bson.h>

/* The first field of each name on the path, through documents only. */
inline bool
plain_search(const bson_t *document, const char *path, bson_iter_t *field)
{
	std::string rest = path;

	if (!bson_iter_init(field, document))
		return false;
	for (;;)
	{
		size_t dot = rest.find('.');
		std::string key = rest.substr(0, dot);
		bool found = false;

		while (!found && bson_iter_next(field))
			found = key == bson_iter_key(field);
		if (!found || dot == std::string::npos)
			return found;

		bson_iter_t below;
		if (!BSON_ITER_HOLDS_DOCUMENT(field) || !bson_iter_recurse(field, &below))
			return false;
		*field = below;
		rest = rest.substr(dot + 1);
	}
}

/* The document that a field holds, be it the scope of code. */
inline bool
holds_document(const bson_iter_t *field, bson_iter_t *below, bool *sound)
{
	if (BSON_ITER_HOLDS_CODEWSCOPE(field))
	{
		const uint8_t *scope;
		uint32_t code_length, scope_length;

		bson_iter_codewscope(field, &code_length, &scope_length, &scope);
		*sound = bson_iter_init_from_data(below, scope, scope_length);
		return true;
	}
	if (!BSON_ITER_HOLDS_DOCUMENT(field) && !BSON_ITER_HOLDS_ARRAY(field))
		return false;
	*sound = bson_iter_recurse(field, below);
	return true;
}

/* bson_validate does not look at the end of an embedded document: its last byte, and nothing behind a zero before it. */
inline bool
ends_are_sound(bson_iter_t *field)
{
	const uint8_t *document = field->raw;
	uint32_t length = field->len;
	uint32_t end = 4;

	while (bson_iter_next(field))
	{
		bson_iter_t below;
		bool sound;

		if (holds_document(field, &below, &sound) && !(sound && ends_are_sound(&below)))
			return false;
		end = field->next_off;
	}
	return end == length - 1 && document[end] == 0;
}

inline bool
is_sound(const bson_t *document)
{
	bson_iter_t field;

	return bson_validate(document, BSON_VALIDATE_NONE, nullptr) && bson_iter_init(&field, document) &&
		   ends_are_sound(&field);
}

#endif
