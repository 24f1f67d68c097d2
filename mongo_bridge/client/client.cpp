/*
 * client.cpp — whole commands, and who the deployment is.
 */
#include "client.h"
#include "link.h"

namespace bridge
{

Client::Client(const ConnectionOptions &options, Interrupted interrupted)
	: link_(std::make_shared<Link>(options, interrupted))
{
}

Client::~Client() = default;

bool
Client::broken() const noexcept
{
	return link_->broken();
}

void
Client::mark_broken() noexcept
{
	link_->mark_broken();
}

mongoc_client_t *
Client::handle() noexcept
{
	return link_->driver();
}

Document
Client::command(const char *database, const bson_t *command, bool read)
{
	bson_iter_t name;
	Document reply;

	if (!bson_iter_init(&name, command) || !bson_iter_next(&name))
		throw Error(sqlstate::invalid_parameter_value, "command for MongoDB is empty");

	std::string what = std::string("could not run command \"") + bson_iter_key(&name) +
					   "\" on database \"" + database + "\"";
	if (read)
		link_->run_read(database, command, reply.get(), what);
	else
		link_->run_write(database, command, reply.get(), what);
	return reply;
}

Document
Client::write(const char *database, const bson_t *command, const std::string &what)
{
	Document reply;

	link_->run_write(database, command, reply.get(), what);
	return reply;
}

std::string
Client::deployment_id()
{
	Document question;
	bson_iter_t reply;
	bson_iter_t field;

	BSON_APPEND_INT32(question.get(), "replSetGetConfig", 1);
	try
	{
		Document answer = command("admin", question.get());

		if (bson_iter_init(&reply, answer.get()) &&
			bson_iter_find_descendant(&reply, "config.settings.replicaSetId", &field) &&
			BSON_ITER_HOLDS_OID(&field))
		{
			char id[25];
			bson_oid_to_string(bson_iter_oid(&field), id);
			return id;
		}
	}
	catch (const Error &e)
	{
		/* Not permitted, or no replica set: every user may ask for the set's name. */
		if (e.server_code == 0 || broken())
			throw;
	}

	question.clear();
	BSON_APPEND_INT32(question.get(), "hello", 1);
	Document answer = command("admin", question.get());
	if (bson_iter_init_find(&field, answer.get(), "setName") && BSON_ITER_HOLDS_UTF8(&field))
		return bson_iter_utf8(&field, nullptr);
	return "";
}

} // namespace bridge
