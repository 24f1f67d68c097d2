/*
 * known_table.cpp — what a session remembers of foreign tables.
 *
 * Which collections have been found, and for which groupings the quick commands have failed.  Both spare round trips and decide
 * nothing else.  What is known of a table is forgotten when it is altered or analysed, of all tables when a server is altered.
 */
#include "known_table.h"

namespace bridge
{

/* The key of both memories, with a name that tells one thing of a table from another. */
struct KnownThing
{
	Oid table;
	char name[NAMEDATALEN];
};

struct KnownCollection
{
	KnownThing key;
};

struct KnownGrouping
{
	KnownThing key;
	GroupTry attempt;
};

/* A session may serve many tenants, each with a database of its own. */
static constexpr long max_known = 1000;

static HTAB *collections = nullptr;
static HTAB *groupings = nullptr;

/* Their entries begin with the key. */
static void
forget(HTAB *memory, Oid table)
{
	HASH_SEQ_STATUS scan;

	hash_seq_init(&scan, memory);
	while (auto *known = static_cast<KnownThing *>(hash_seq_search(&scan)))
		if (!OidIsValid(table) || known->table == table)
			hash_search(memory, known, HASH_REMOVE, nullptr);
}

static void
forget_table(Datum arg, Oid table)
{
	forget(collections, table);
	forget(groupings, table);
}

static HTAB *
make_memory(const char *name, Size entry_size)
{
	HASHCTL control = {};

	control.keysize = sizeof(KnownThing);
	control.entrysize = entry_size;
	return hash_create(name, 64, &control, HASH_ELEM | HASH_BLOBS);
}

static void
prepare()
{
	if (groupings != nullptr)
		return;
	if (collections == nullptr)
		collections = make_memory("tenancy_mongo collections", sizeof(KnownCollection));
	groupings = make_memory("tenancy_mongo groupings", sizeof(KnownGrouping));
	CacheRegisterRelcacheCallback(forget_table, (Datum) 0);
	CacheRegisterSyscacheCallback(
		FOREIGNSERVEROID, [](Datum arg, int cache, uint32 hash) { forget_table(arg, InvalidOid); },
		(Datum) 0);
}

/* Null if it is not known and not to be entered. */
static void *
lookup(HTAB **memory, Oid table, const char *name, HASHACTION action)
{
	KnownThing key = {};

	prepare();
	if (action == HASH_ENTER && hash_get_num_entries(*memory) >= max_known)
		forget(*memory, InvalidOid);
	key.table = table;
	strlcpy(key.name, name, sizeof(key.name));
	return hash_search(*memory, &key, action, nullptr);
}

bool
collection_is_known(Oid foreign_table, const char *database)
{
	return lookup(&collections, foreign_table, database, HASH_FIND) != nullptr;
}

void
remember_collection(Oid foreign_table, const char *database)
{
	lookup(&collections, foreign_table, database, HASH_ENTER);
}

/* Constants are no part of an item, so there are few for a table. */
static const char *
item_name(List *item)
{
	const char *text = nodeToString(item);

	unsigned long long hash = hash_bytes_extended(reinterpret_cast<const unsigned char *>(text),
												  static_cast<int>(strlen(text)), 0);

	return psprintf("%016llx", hash);
}

GroupTry
known_group_try(Oid foreign_table, List *item)
{
	auto *known =
		static_cast<KnownGrouping *>(lookup(&groupings, foreign_table, item_name(item), HASH_FIND));

	return known != nullptr ? known->attempt : GroupTry::numbers;
}

void
remember_group_try(Oid foreign_table, List *item, GroupTry attempt)
{
	auto *known = static_cast<KnownGrouping *>(
		lookup(&groupings, foreign_table, item_name(item), HASH_ENTER));

	known->attempt = attempt;
}

} // namespace bridge
