/*
 * run_command.cpp — run_command(): any command of MongoDB, its reply as JSON.
 *
 * It is the administrator's way to what SQL has no words for.  It acts with the connection of a foreign server, so its
 * power is that of the server's credentials: EXECUTE is nobody's by default, and USAGE on the server is asked for
 * besides.  Arguments and result are json, because the order of a command's keys matters.
 */
#include "connection.h"
#include "bson_datum.h"
#include "option.h"

namespace bridge
{

/* A command and its reply; both come in the constructor, so that own<Exchange>() is the whole conversation. */
struct Exchange
{
	Exchange(Client &client, const char *database, const char *json)
		: command(Document::parse(json)), reply(client.command(database, command.get()))
	{
	}

	Document command;
	Document reply;
};

static void
check_is_object(const char *json)
{
	if (json[strspn(json, " \t\r\n")] != '{')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("command for MongoDB must be a JSON object"),
						errhint("SELECT tenancy_mongo.run_command('server', 'admin', '{\"ping\": 1}');")));
}

} // namespace bridge

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_mongo_run_command);

PGDLLEXPORT Datum
tenancy_mongo_run_command(PG_FUNCTION_ARGS)
{
	using namespace bridge;
	const char *server = NameStr(*PG_GETARG_NAME(0));
	const char *database = text_to_cstring(PG_GETARG_TEXT_PP(1));
	const char *json = text_to_cstring(PG_GETARG_TEXT_PP(2));

	check_is_object(json);
	Client *client = connection_get(usable_server(server)->serverid, GetUserId());
	auto *exchange = own<Exchange>(CurrentMemoryContext, *client, database, json);

	PG_RETURN_TEXT_P(cstring_to_text(bson_document_text(exchange->reply.get())));
}
}
