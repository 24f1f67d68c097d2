/*
 * pool_client.cpp — many clients of a connection pooler, each of which checks that it sees its own tenant and nobody else.
 *
 *     pool_client conninfo way clients seconds [tokens [queries]]
 *
 * All clients are connected and have a transaction under way at once, in a few threads.  The clients' tenants are
 * tenant-0, tenant-1 …, so that a server connection of the pooler has another tenant with nearly every transaction:
 *
 *     token   the token of the client's line in the file "tokens", set once; every eighth client sets none and has to see
 *             nothing, every fourth takes the next line's token in the middle
 *     local   BEGIN, set_tenant(), the query and COMMIT in one message, for another tenant each time
 *     plain   the query with a literal WHERE, against a table that is not protected: what the pooler and the query cost
 *     named   the same by clients that each have an application_name of their own: what the pooler and the server need to carry
 *             any setting at all
 *
 * With "queries" a transaction is BEGIN, so many queries and COMMIT, each a message of its own.
 *
 * The table "orders" (id, tenant_id), and "plain_orders" like it, hold rows of each tenant.  Prints one line: transactions
 * a second, their number, wrong answers, errors.  The exit status is 1 if any answer was wrong or missing; the first of them
 * are described on standard error.
 */
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <sys/resource.h>

#include <libpq-fe.h>

namespace
{

using Clock = std::chrono::steady_clock;

constexpr int threads_wanted = 8;
constexpr int reports_wanted = 10;
constexpr int fewest_rounds = 4; /* on a machine however slow: some with each token */

struct Client
{
	PGconn *connection = nullptr;
	int tenant = 0; /* whose rows it has to see; -1 for none */
	long transactions = 0;
	bool moved = false;
};

std::string conninfo;
std::string way;
int queries = 0; /* in a transaction block; 0 for one without */
std::vector<std::string> tokens;
std::atomic<long> wrong{0}, errors{0}, transactions{0};

std::string
tenant_name(int tenant)
{
	return "tenant-" + std::to_string(tenant);
}

void
report(const char *what, const std::string &detail)
{
	if (wrong + errors <= reports_wanted)
		fprintf(stderr, "%s: %s\n", what, detail.c_str());
}

/* Sets a token, and sees that the server reports it: that is what a pooler goes by. */
bool
set_token(Client *client, int tenant)
{
	const char *value = tokens[tenant].c_str();
	PGresult *result = PQexecParams(client->connection, "SELECT set_config('tenancy.token', $1, false)", 1, nullptr, &value,
									nullptr, nullptr, 0);
	bool good = PQresultStatus(result) == PGRES_TUPLES_OK;
	const char *reported = PQparameterStatus(client->connection, "tenancy.token");

	PQclear(result);
	if (!good || !reported || tokens[tenant] != reported)
	{
		errors++;
		report("token is not reported", PQerrorMessage(client->connection));
		return false;
	}
	client->tenant = tenant;
	return true;
}

/* For the rows of a point look-up; each tenant has ids of its own, tenant + 1000 * n. */
std::string
query_of(const Client &client)
{
	static const char *const columns = "SELECT coalesce(min(tenant_id), ''), coalesce(max(tenant_id), ''), count(*) FROM ";
	std::string ids = std::to_string(client.tenant < 0 ? client.transactions % 100 : client.tenant) + " AND " +
					  std::to_string((client.tenant < 0 ? client.transactions % 100 : client.tenant) + 5);

	if (way == "plain" || way == "named")
		return std::string(columns) + "plain_orders WHERE id BETWEEN " + ids + " AND tenant_id = '" +
			   tenant_name(client.tenant) + "'";
	std::string query = std::string(columns) + "orders WHERE id BETWEEN " + ids;
	if (way == "local")
		return "BEGIN; SELECT tenancy.set_tenant('" + tenant_name(client.tenant) + "'); " + query + "; COMMIT";
	return query;
}

/* The one row that the query gave has to be the client's own, and to be there. */
void
check(const Client &client, const PGresult *row)
{
	std::string name = client.tenant < 0 ? "" : tenant_name(client.tenant);
	std::string first = PQgetvalue(row, 0, 0), last = PQgetvalue(row, 0, 1), count = PQgetvalue(row, 0, 2);

	if (first == name && last == name && count == (client.tenant < 0 ? "0" : "1"))
		return;
	wrong++;
	report("wrong answer", "\"" + name + "\" sees " + count + " rows of " + first + " to " + last);
}

void
finish(Client *client, bool is_query)
{
	bool answered = !is_query;

	while (PGresult *result = PQgetResult(client->connection))
	{
		ExecStatusType status = PQresultStatus(result);

		if (status == PGRES_TUPLES_OK && PQnfields(result) == 3)
		{
			check(*client, result);
			answered = true;
		}
		else if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		{
			errors++;
			report("error", PQresultErrorMessage(result));
		}
		PQclear(result);
	}
	if (!answered)
	{
		errors++;
		report("no answer", PQerrorMessage(client->connection));
	}
}

/* Between two transactions. */
void
prepare(Client *client, int number, int tenants, bool late)
{
	if (way == "local")
		client->tenant = (client->tenant + 7) % tenants;
	else if (way == "token" && late && !client->moved && client->tenant >= 0 && number % 4 == 1)
	{
		client->moved = true;
		set_token(client, (client->tenant + 1) % tenants);
	}
}

/* One message of each client, and their answers; an empty command is the client's query. */
void
exchange(Client *clients, int count, const std::string &command)
{
	for (int i = 0; i < count; i++)
		if (!PQsendQuery(clients[i].connection, command.empty() ? query_of(clients[i]).c_str() : command.c_str()))
		{
			errors++;
			report("could not send", PQerrorMessage(clients[i].connection));
		}
	for (int i = 0; i < count; i++)
		finish(&clients[i], command.empty());
}

/*
 * In a transaction block only as many clients can be under way as the pooler has connections, and a thread that waits for
 * the first of its clients would leave others' connections idle: so there each thread has one client under way.
 */
void
transact(Client *clients, int count)
{
	if (queries == 0)
		exchange(clients, count, "");
	for (int i = 0; i < count && queries > 0; i++)
	{
		exchange(&clients[i], 1, "BEGIN");
		for (int query = 0; query < queries; query++)
			exchange(&clients[i], 1, "");
		exchange(&clients[i], 1, "COMMIT");
	}
	for (int i = 0; i < count; i++)
		clients[i].transactions++;
	transactions += count;
}

void
run(Client *clients, int first, int count, int tenants, Clock::time_point half, Clock::time_point end)
{
	for (int round = 0; (Clock::now() < end || round < fewest_rounds) && errors == 0; round++)
	{
		bool late = Clock::now() > half;

		for (int i = 0; i < count; i++)
			prepare(&clients[i], first + i, tenants, late);
		transact(clients, count);
	}
}

bool
connect(Client *client, int number, int tenants)
{
	client->connection = PQconnectdb(conninfo.c_str());
	if (PQstatus(client->connection) != CONNECTION_OK)
	{
		fprintf(stderr, "could not connect: %s", PQerrorMessage(client->connection));
		return false;
	}
	client->tenant = number % tenants;
	if (way == "token")
	{
		client->tenant = -1;
		return number % 8 == 0 || set_token(client, number % tenants);
	}
	if (way == "named")
		PQclear(PQexec(client->connection, ("SET application_name = 'client " + std::to_string(number) + "'").c_str()));
	return true;
}

void
allow_files(int files)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < static_cast<rlim_t>(files))
	{
		limit.rlim_cur = static_cast<rlim_t>(files) < limit.rlim_max ? files : limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int
play(int count, double seconds, int tenants)
{
	std::vector<Client> clients(count);
	std::vector<std::thread> threads;
	int share = (count + threads_wanted - 1) / threads_wanted;

	for (int i = 0; i < count; i++)
		if (!connect(&clients[i], i, tenants))
			return 2;

	auto start = Clock::now();
	auto span = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
	for (int first = 0; first < count; first += share)
		threads.emplace_back(run, &clients[first], first, std::min(share, count - first), tenants, start + span / 2,
							 start + span);
	for (std::thread &thread : threads)
		thread.join();

	double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
	printf("%.0f transactions/s, %ld transactions, %ld wrong, %ld errors\n", transactions / elapsed, transactions.load(),
		   wrong.load(), errors.load());
	for (Client &client : clients)
		PQfinish(client.connection);
	return wrong == 0 && errors == 0 && transactions > 0 ? 0 : 1;
}

} // namespace

int
main(int argc, char **argv)
{
	if (argc < 5 || (strcmp(argv[2], "token") == 0 && argc < 6))
	{
		fprintf(stderr, "usage: pool_client conninfo token|local|plain|named clients seconds [tokens [queries]]\n");
		return 2;
	}
	conninfo = argv[1];
	way = argv[2];
	if (argc > 5)
	{
		std::ifstream file(argv[5]);
		for (std::string line; std::getline(file, line);)
			tokens.push_back(line);
	}
	if (argc > 6)
		queries = atoi(argv[6]);
	allow_files(2 * atoi(argv[3]) + 100);
	return play(atoi(argv[3]), atof(argv[4]), tokens.empty() ? 100 : static_cast<int>(tokens.size()));
}
