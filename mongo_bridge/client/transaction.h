/*
 * transaction.h — one transaction of MongoDB.
 *
 * It is one session on the primary, from the first command to commit() or abort(); the server sees
 * it begin with the first command.  Reads see one snapshot and what the transaction itself has
 * written.  It shares the connection with the Client that it came from and may outlive it.  The
 * destructor aborts what is still open.
 */
#ifdef POSTGRES_H
#error "client/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_CLIENT_TRANSACTION_H
#define PG_TENANCY_CLIENT_TRANSACTION_H

#include "link.h"

namespace bridge
{

class Transaction
{
public:
	/* Looks for the primary; throws 0A000 where there are no transactions, which is a server that
	 * stands alone. */
	explicit Transaction(Client &client);
	~Transaction();
	Transaction(const Transaction &) = delete;
	Transaction &operator=(const Transaction &) = delete;

	/* Runs a command and returns its reply; a write error in it is thrown.  After any error the
	 * transaction is over. */
	Document command(const char *database, const bson_t *command, const std::string &what);

	/*
	 * Throws 40001 and the like if MongoDB has refused, and 08007 if the answer was lost: then
	 * nobody knows.
	 */
	void commit();

	/* Bounded in time; what cannot be told the server ends by its own time limit. */
	void abort() noexcept;

	const std::shared_ptr<Link> &
	link() const noexcept
	{
		return link_;
	}
	const Session &
	session() const noexcept
	{
		return session_;
	}
	uint32_t
	server() const noexcept
	{
		return server_;
	}

private:
	std::shared_ptr<Link> link_;
	Session session_; /* ends before the link does */
	uint32_t server_;
	bool open_ = true;
};

} // namespace bridge

#endif
