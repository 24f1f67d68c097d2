/*
 * cursor.cpp — from batch to batch.
 */
#include "cursor.h"

namespace bridge
{

Cursor::Cursor(Client &client, const char *database, const bson_t *command, const char *what)
	: what_(std::string("could not read ") + what), cursor_(client.link(), database)
{
	cursor_.open(command, what_);
}

Cursor::Cursor(const Transaction &transaction, const char *database, const bson_t *command,
			   const char *what)
	: what_(std::string("could not read ") + what), cursor_(transaction.link(), database)
{
	cursor_.join(transaction);
	cursor_.open(command, what_);
}

Cursor::Cursor(Client &client, const char *database, const char *what)
	: what_(std::string("could not read ") + what), cursor_(client.link(), database)
{
}

bool
Cursor::is_ready()
{
	if (failed_ || has_buffered())
		return true;
	if (!cursor_.awaits_reply() && cursor_.is_open())
	{
		if (!cursor_.link()->is_free())
			return false;
		cursor_.request(more_, what_);
	}
	return cursor_.reply_has_come(what_);
}

const bson_t *
Cursor::next()
{
	if (failed_)
		throw Error(sqlstate::fdw_error, what_, "The cursor failed before.");
	failed_ = true; /* unless this call ends well */
	for (;;)
	{
		const bson_t *document = cursor_.batch().next();

		if (document == nullptr && cursor_.batch().malformed())
			throw Error(sqlstate::fdw_error, what_, "The server sent a malformed batch.");
		if (document != nullptr || !cursor_.is_open())
		{
			failed_ = false;
			return document;
		}
		cursor_.get_more(more_, what_);
		/* Who reads on will read further: the server works on the batch after this one meanwhile. */
		if (!patient_ || cursor_.link()->is_free())
			cursor_.request(more_, what_);
	}
}

} // namespace bridge
