/*
 * cursor_floor.cpp — what a scan costs at the least: the time in which libmongoc reads a cursor and visits every key.
 *
 *     cursor_floor uri database [documents] < command
 *
 * The command, one as extended JSON that opens a cursor (find, or aggregate with $changeStream), comes on standard
 * input, so that it can be the very one that the foreign data wrapper sends.  With a number it stops after so many
 * documents: a change stream has no end.  Prints one line of JSON.
 */
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <iterator>
#include <string>

#include <mongoc/mongoc.h>

namespace
{

struct Counts
{
	uint64_t documents;
	uint64_t bytes;
	uint64_t keys;
	uint64_t checksum; /* so that no value's reading can be left out */
};

void
visit_value(const bson_iter_t *field, Counts *counts)
{
	uint32_t length;

	switch (bson_iter_type(field))
	{
		case BSON_TYPE_UTF8:
			counts->checksum += static_cast<unsigned char>(*bson_iter_utf8(field, &length)) + length;
			break;
		case BSON_TYPE_INT32:
			counts->checksum += static_cast<uint32_t>(bson_iter_int32(field));
			break;
		case BSON_TYPE_INT64:
			counts->checksum += static_cast<uint64_t>(bson_iter_int64(field));
			break;
		case BSON_TYPE_DOUBLE:
			counts->checksum += static_cast<uint64_t>(static_cast<int64_t>(bson_iter_double(field)));
			break;
		case BSON_TYPE_DATE_TIME:
			counts->checksum += static_cast<uint64_t>(bson_iter_date_time(field));
			break;
		case BSON_TYPE_BOOL:
			counts->checksum += bson_iter_bool(field);
			break;
		case BSON_TYPE_OID:
			counts->checksum += bson_iter_oid(field)->bytes[11];
			break;
		default:
			break;
	}
}

void
visit(bson_iter_t *field, Counts *counts)
{
	bson_iter_t child;

	while (bson_iter_next(field))
	{
		counts->keys++;
		if (bson_iter_recurse(field, &child))
			visit(&child, counts);
		else
			visit_value(field, counts);
	}
}

[[noreturn]] void
fail(const char *what, const char *why)
{
	fprintf(stderr, "cursor_floor: %s: %s\n", what, why);
	exit(1);
}

/* The server that is asked for every batch: without its number libmongoc looks for "server 0", and may abort. */
uint32_t
choose_server(mongoc_client_t *client)
{
	bson_error_t error;
	mongoc_server_description_t *server =
		mongoc_client_select_server(client, true, nullptr, &error);

	if (!server)
		fail("server", error.message);
	const uint32_t id = mongoc_server_description_id(server);
	mongoc_server_description_destroy(server);
	return id;
}

/* The cursor that the command opens. */
mongoc_cursor_t *
open_cursor(mongoc_client_t *client, const char *database, const std::string &json)
{
	const uint32_t server = choose_server(client);
	bson_error_t error;
	bson_t reply;
	bson_iter_t batch_size;
	bson_t *options = bson_new();
	bson_t *command = bson_new_from_json(reinterpret_cast<const uint8_t *>(json.data()),
										 static_cast<ssize_t>(json.size()), &error);
	if (!command)
		fail("command", error.message);
	if (!mongoc_client_command_simple_with_server_id(client, database, command, nullptr, server,
													 &reply, &error))
		fail("command", error.message);
	BSON_APPEND_INT32(options, "serverId", static_cast<int32_t>(server));

	/* The following batches are to be as the command wants its first. */
	if (bson_iter_init(&batch_size, command) &&
		(bson_iter_find(&batch_size, "batchSize") ||
		 (bson_iter_init(&batch_size, command) &&
		  bson_iter_find_descendant(&batch_size, "cursor.batchSize", &batch_size))))
		BSON_APPEND_INT64(options, "batchSize", bson_iter_as_int64(&batch_size));

	mongoc_cursor_t *cursor = mongoc_cursor_new_from_command_reply_with_opts(client, &reply, options);
	bson_destroy(options);
	bson_destroy(command);
	return cursor;
}

Counts
read_cursor(mongoc_cursor_t *cursor, uint64_t limit)
{
	Counts counts = {};
	const bson_t *document;
	bson_error_t error;

	while (counts.documents < limit)
	{
		bson_iter_t field;

		if (!mongoc_cursor_next(cursor, &document))
		{
			if (mongoc_cursor_error(cursor, &error))
				fail("cursor", error.message);
			if (!mongoc_cursor_more(cursor) || limit == UINT64_MAX)
				break;
			continue;
		}
		counts.documents++;
		counts.bytes += document->len;
		if (bson_iter_init(&field, document))
			visit(&field, &counts);
	}
	return counts;
}

} // namespace

int
main(int argc, char **argv)
{
	if (argc != 3 && argc != 4)
	{
		fputs("usage: cursor_floor uri database [documents] < command\n", stderr);
		return 2;
	}
	std::string command((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
	uint64_t limit = argc == 4 ? strtoull(argv[3], nullptr, 10) : UINT64_MAX;

	mongoc_init();
	mongoc_client_t *client = mongoc_client_new(argv[1]);
	if (!client)
		fail("uri", "not a connection string");

	auto start = std::chrono::steady_clock::now();
	mongoc_cursor_t *cursor = open_cursor(client, argv[2], command);
	Counts counts = read_cursor(cursor, limit);
	std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;

	printf("{\"documents\": %llu, \"bytes\": %llu, \"keys\": %llu, \"checksum\": %llu, \"seconds\": %.4f, "
		   "\"cpu_seconds\": %.4f}\n",
		   static_cast<unsigned long long>(counts.documents), static_cast<unsigned long long>(counts.bytes),
		   static_cast<unsigned long long>(counts.keys), static_cast<unsigned long long>(counts.checksum),
		   seconds.count(), static_cast<double>(clock()) / CLOCKS_PER_SEC);

	mongoc_cursor_destroy(cursor);
	mongoc_client_destroy(client);
	mongoc_cleanup();
	return 0;
}
