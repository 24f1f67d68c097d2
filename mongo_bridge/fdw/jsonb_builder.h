/*
 * jsonb_builder.h — jsonb, written from a stream of keys and values.
 *
 * It makes the same bytes as pushJsonbValue and JsonbValueToJsonb, in less than half of their time: a container is written
 * when it ends, from its parts, which are references until then, and its keys are sorted where they lie.  Strings and
 * numerics that it is given must live until the end.
 *
 * Everything here is red; a builder is plain data.
 */
#ifndef PG_TENANCY_FDW_JSONB_BUILDER_H
#define PG_TENANCY_FDW_JSONB_BUILDER_H

#include "pg.h"

namespace bridge
{

struct JsonbBuilder
{
	void begin(bool is_array);
	void end();
	void key(const char *bytes, uint32 length);
	void string(const char *bytes, uint32 length);
	void number(Numeric value);
	void boolean(bool value);
	void null();

	/* The finished value. */
	Jsonb *finish();

	/* A value with its key, which has not found its place yet. */
	struct Part
	{
		const char *key;
		uint32 key_length;
		uint32 length;
		JEntry type;
		const char *data;
	};

	/* A container that has not ended: where its parts start. */
	struct Level
	{
		int first;
		bool is_array;
	};

	Part *parts;
	int used;
	int room;
	Level *levels;
	int depth;
	int level_room;
	const char *next_key;
	uint32 next_key_length;

private:
	void add(JEntry type, const char *data, uint32 length);
	Jsonb *write(const Part *from, int count, uint32 flags);
};
static_assert(std::is_trivially_destructible_v<JsonbBuilder>);

} // namespace bridge

#endif
