/*
 * mirror_route.cpp — which tables a document goes to.
 *
 * A namespace may feed several tables.  Most take every document.  A table that is one tenant's takes those whose
 * tenant_field names that tenant; all such tables of one foreign table and namespace are a *route*.  A document of a route
 * is in one table or in none, and an update may move it.
 *
 * A batch knows a route as one table, its *head*, so that a document is reduced to one change and looked up once, whoever
 * it belongs to.  Before the batch is applied, each change of a head becomes what it means to the members: the row goes to
 * the document's tenant and, unless the document cannot have been another's before, away from all others.  That is one
 * transaction, so that nobody ever sees a document with two tenants or, while it moves, with none.  A member that is being
 * copied is ahead of the stream: what has moved to it meanwhile leaves the others when the stream comes to the move.
 *
 * A document cannot have been another's if it was inserted, or if MongoDB tells that an update has not touched the tenant's
 * field; of a document that was looked up, nobody knows.  A deletion concerns all members, because it tells the key alone.
 *
 * What is a tenant's is decided as a scan of the foreign table decides it: the field is a string and that tenant's id, and
 * neither it nor what it stands in is an array.
 */
#include "event_batch.h"

namespace bridge
{

struct Route
{
	MirrorTable head;
	int count;
	MirrorTable **members; /* by tenant */
};

const char *
tenant_database(const char *database, const char *tenant)
{
	const char *place;
	StringInfoData result;

	initStringInfo(&result);
	while (tenant && (place = strstr(database, "{tenant}")) != nullptr)
	{
		appendBinaryStringInfo(&result, database, static_cast<int>(place - database));
		appendStringInfoString(&result, tenant);
		database = place + strlen("{tenant}");
	}
	appendStringInfoString(&result, database);
	return result.data;
}

bool
tells_tenants_apart(const TableOptions *options)
{
	return options->tenant_field || strstr(options->database, "{tenant}");
}

void
append_tenant_filter(bson_t *command, const char *name, const char *tenant_field, const char *tenant)
{
	bson_t filter;

	if (!tenant_field)
		return;
	bson_append_document_begin(command, name, -1, &filter);
	bson_append_utf8(&filter, tenant_field, -1, tenant, -1);
	bson_append_document_end(command, &filter);
}

/* The string at a path, through documents only; null if there is none. */
static const char *
string_at(const bson_t *document, const char *path)
{
	bson_iter_t field;
	bson_iter_t inner;
	const char *end;
	const char *text;
	uint32_t length;

	if (!bson_iter_init(&field, document))
		return nullptr;
	while ((end = strchr(path, '.')) != nullptr)
	{
		if (!bson_iter_find_w_len(&field, path, static_cast<int>(end - path)) ||
			!BSON_ITER_HOLDS_DOCUMENT(&field) || !bson_iter_recurse(&field, &inner))
			return nullptr;
		field = inner;
		path = end + 1;
	}
	if (!bson_iter_find(&field, path) || !BSON_ITER_HOLDS_UTF8(&field))
		return nullptr;

	/* A string that holds a zero byte is no tenant's id, whatever stands before it. */
	text = bson_iter_utf8(&field, &length);
	return strlen(text) == length ? text : nullptr;
}

bool
is_of_tenant(const bson_t *document, const char *tenant_field, const char *tenant)
{
	const char *found;

	if (!tenant_field)
		return true;
	found = string_at(document, tenant_field);
	return found && strcmp(found, tenant) == 0;
}

/* ---- the tables of a namespace ---- */

static int
compare_namespaces(const char *database, const char *collection, const MirrorTable *table)
{
	int result = strcmp(collection, table->collection);

	return result != 0 ? result : strcmp(database, table->database);
}

static int
compare_sources(const void *a, const void *b)
{
	const MirrorTable *left = *static_cast<MirrorTable *const *>(a);
	const MirrorTable *right = *static_cast<MirrorTable *const *>(b);

	return compare_namespaces(left->database, left->collection, right);
}

/* Members of one route stand together, by tenant. */
static int
compare_members(const void *a, const void *b)
{
	const MirrorTable *left = *static_cast<MirrorTable *const *>(a);
	const MirrorTable *right = *static_cast<MirrorTable *const *>(b);

	if (left->foreign != right->foreign)
		return left->foreign < right->foreign ? -1 : 1;
	if (int result = compare_namespaces(left->database, left->collection, right))
		return result;
	return strcmp(left->tenant, right->tenant);
}

/* A foreign table whose database follows the tenant has a route in each, and their documents may have the same keys. */
static uint64
identity_of_route(const MirrorTable *member)
{
	const auto *database = reinterpret_cast<const unsigned char *>(member->database);
	const auto *collection = reinterpret_cast<const unsigned char *>(member->collection);

	return hash_bytes_extended(collection, static_cast<int>(strlen(member->collection)),
							   hash_bytes_extended(database, static_cast<int>(strlen(member->database)), member->foreign));
}

static MirrorTable *
make_route(MirrorTable **members, int count)
{
	auto *route = static_cast<Route *>(palloc0(sizeof(Route)));

	route->head = *members[0];
	route->head.local = members[0]->foreign; /* whose OID no other table has */
	route->head.identity = identity_of_route(members[0]);
	route->head.phase = Phase::follow;
	route->head.since = nullptr;
	route->head.misfits = nullptr;
	route->head.route = route;
	route->members = members;
	route->count = count;
	return &route->head;
}

/* How many members, from the first on, are one route. */
static int
route_length(MirrorTable *const *members, int count)
{
	int n = 1;

	while (n < count && members[n]->foreign == members[0]->foreign &&
		   compare_sources(&members[n], &members[0]) == 0)
		n++;
	return n;
}

void
route_build(Stream *stream)
{
	MemoryContext caller = MemoryContextSwitchTo(stream->context);
	Size size = sizeof(MirrorTable *) * Max(1, stream->table_count);
	auto **members = static_cast<MirrorTable **>(palloc(size));
	int count = 0;

	stream->sources = static_cast<MirrorTable **>(palloc(size));
	stream->source_count = 0;
	for (int i = 0; i < stream->table_count; i++)
	{
		MirrorTable *table = &stream->tables[i];

		table->identity = table->local;
		if (table->tenant_field)
			members[count++] = table;
		else
			stream->sources[stream->source_count++] = table;
	}
	qsort(members, count, sizeof(MirrorTable *), compare_members);
	for (int i = 0, n; i < count; i += n)
	{
		n = route_length(members + i, count - i);
		stream->sources[stream->source_count++] = make_route(members + i, n);
	}
	stream->has_routes = count > 0;
	qsort(stream->sources, stream->source_count, sizeof(MirrorTable *), compare_sources);
	MemoryContextSwitchTo(caller);
}

MirrorTable *const *
route_find(const Stream *stream, const char *database, const char *collection, int *count)
{
	int low = 0;
	int high = stream->source_count;

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (compare_namespaces(database, collection, stream->sources[middle]) > 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (*count = 0; low + *count < stream->source_count; ++*count)
		if (compare_namespaces(database, collection, stream->sources[low + *count]) != 0)
			break;
	return stream->sources + low;
}

/* ---- the changes of a route ---- */

/* Might a field, or what it stands in, or what stands in it, be what was changed? */
bool
route_is_touched(const MirrorTable *head, const char *changed_field)
{
	size_t length = strlen(changed_field);
	size_t field_length = strlen(head->tenant_field);

	return strncmp(changed_field, head->tenant_field, Min(length, field_length)) == 0 &&
		   (length == field_length ||
			(length < field_length ? head->tenant_field[length] : changed_field[field_length]) ==
				'.');
}

/* The member that a document belongs to, or null. */
static MirrorTable *
member_of(const Route *route, const Change *change)
{
	bson_t document;
	const char *tenant;
	int low = 0;
	int high = route->count - 1;

	if (change->kind != ChangeKind::upsert ||
		!bson_init_static(&document, change->document, change->document_length))
		return nullptr;
	tenant = string_at(&document, route->head.tenant_field);
	while (tenant && low <= high)
	{
		int middle = (low + high) / 2;
		int order = strcmp(tenant, route->members[middle]->tenant);

		if (order == 0)
			return route->members[middle];
		if (order > 0)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return nullptr;
}

/* Is the change news to this member? */
static bool
concerns_member(const MirrorTable *member, const Change *change)
{
	return member->phase == Phase::follow &&
		   (!member->since || change->event_time > position_time(member->since));
}

static void
expand(EventBatch *batch, const Change *change)
{
	const Route *route = change->table->route;
	MirrorTable *owner = member_of(route, change);

	if (change->kind == ChangeKind::nothing)
		return;
	for (int i = 0; i < route->count; i++)
	{
		MirrorTable *member = route->members[i];
		Change part = *change;

		if ((member != owner && !change->elsewhere) || !concerns_member(member, change))
			continue;
		part.table = member;
		part.routed = true;
		if (member != owner)
			part.kind = ChangeKind::remove;
		member->last_event_at = Max(member->last_event_at, route->head.last_event_at);
		event_batch_append(batch, &part);
	}
}

void
route_changes(EventBatch *batch, const Stream *stream)
{
	const Change *changes = batch->changes;
	const int count = batch->count;

	if (!stream->has_routes)
		return;
	event_batch_restart(batch);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (changes[i].table->route)
			expand(batch, &changes[i]);
		else
			event_batch_append(batch, &changes[i]);
	}
	for (int i = 0; i < stream->source_count; i++)
		if (stream->sources[i]->route)
			stream->sources[i]->events = stream->sources[i]->last_event_at = 0;
}

} // namespace bridge
