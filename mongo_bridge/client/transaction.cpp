/*
 * transaction.cpp — the driver's session carries the transaction's number; commands are sent as
 * they are.
 */
#include "error.h"
#include "transaction.h"

namespace bridge
{

static constexpr char beginning[] = "could not begin a transaction of MongoDB";
static constexpr char committing[] = "could not commit the transaction of MongoDB";

Transaction::Transaction(Client &client) : link_(client.link())
{
	bson_error_t error = {};

	server_ = link_->select_server(true, beginning);
	if (!link_->has_transactions(server_))
		throw Error(sqlstate::feature_not_supported, beginning,
					"The server stands alone; only members of a replica set have transactions.",
					"Make it a replica set, or let writes take effect at once, which no ROLLBACK "
					"undoes: ALTER SERVER ... OPTIONS (ADD transactions 'false');");
	session_ = link_->start_session(beginning);

	std::unique_ptr<mongoc_transaction_opt_t, decltype(&mongoc_transaction_opts_destroy)> options(
		mongoc_transaction_opts_new(), mongoc_transaction_opts_destroy);
	std::unique_ptr<mongoc_read_concern_t, decltype(&mongoc_read_concern_destroy)> snapshot(
		mongoc_read_concern_new(), mongoc_read_concern_destroy);
	std::unique_ptr<mongoc_write_concern_t, decltype(&mongoc_write_concern_destroy)> majority(
		mongoc_write_concern_new(), mongoc_write_concern_destroy);
	mongoc_read_concern_set_level(snapshot.get(), MONGOC_READ_CONCERN_LEVEL_SNAPSHOT);
	mongoc_write_concern_set_w(majority.get(), MONGOC_WRITE_CONCERN_W_MAJORITY);
	mongoc_transaction_opts_set_read_concern(options.get(), snapshot.get());
	mongoc_transaction_opts_set_write_concern(options.get(), majority.get());
	if (!mongoc_client_session_start_transaction(session_.get(), options.get(), &error))
		link_->fail(error, nullptr, beginning);
}

Transaction::~Transaction()
{
	abort();
}

Document
Transaction::command(const char *database, const bson_t *command, const std::string &what)
{
	Document reply;

	link_->run_on(server_, session_.get(), database, command, reply.get(), what);
	check_write_errors(reply.get(), what);
	return reply;
}

void
Transaction::commit()
{
	bson_error_t error = {};
	Document reply;

	open_ = false;
	link_->make_free(committing);
	bson_destroy(reply.get());
	if (mongoc_client_session_commit_transaction(session_.get(), reply.get(), &error))
		return;

	/* The driver has tried twice. */
	bool unknown = mongoc_error_has_label(reply.get(), "UnknownTransactionCommitResult");
	try
	{
		link_->fail(error, reply.get(), committing);
	}
	catch (const Error &e)
	{
		if (!unknown && !link_->broken())
			throw;
		throw Error(sqlstate::transaction_resolution_unknown, committing,
					e.detail + "\nIt is not known whether MongoDB has committed.",
					"Look at the collection before you repeat the transaction.");
	}
}

void
Transaction::abort() noexcept
{
	if (!open_)
		return;
	open_ = false;
	link_->abort_last(session_.get());
}

} // namespace bridge
