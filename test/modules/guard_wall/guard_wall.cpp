/*
 * guard_wall.cpp — drives the wall of mongo_bridge/guard.h from SQL: exceptions from blue frames, errors from red ones,
 * each with live objects that must be gone afterwards.
 */
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "guard.h"

using bridge::Error;
using bridge::guarded;
using bridge::own;

namespace
{

/* Counts itself and holds memory, so that one that is forgotten shows in both. */
class Probe
{
public:
	explicit Probe(bool fails = false) : memory_(1024, 'x')
	{
		if (fails)
			throw Error(bridge::sqlstate::fdw_error, "the constructor failed", "Nothing is left of it.");
		live++;
	}
	~Probe() { live--; }
	Probe(const Probe &) = delete;
	Probe &operator=(const Probe &) = delete;

	size_t size() const { return memory_.size(); }

	static int64 live;

private:
	std::vector<char> memory_;
};

int64 Probe::live = 0;

} // namespace

/* Blue: a few frames with destructors to unwind, then one of the things that can be thrown. */
static int
throw_below(int depth, const char *what)
{
	Probe probe;
	std::string text(100, 'y');

	if (depth > 0)
		return throw_below(depth - 1, what) + static_cast<int>(text.size());
	if (strcmp(what, "error") == 0)
		throw Error(bridge::sqlstate::unique_violation, "thrown by the test", "With a detail.",
					"With a hint.", 11000);
	if (strcmp(what, "standard") == 0)
		throw std::runtime_error("a standard exception");
	if (strcmp(what, "bad_alloc") == 0)
		throw std::bad_alloc();
	if (strcmp(what, "foreign") == 0)
		throw 42;
	return static_cast<int>(probe.size());
}

extern "C"
{
PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(guard_wall_throw);
PGDLLEXPORT Datum
guard_wall_throw(PG_FUNCTION_ARGS)
{
	const char *what = text_to_cstring(PG_GETARG_TEXT_PP(0));

	own<Probe>(CurrentMemoryContext);
	own<Probe>(CurTransactionContext);
	if (strcmp(what, "constructor") == 0)
		own<Probe>(CurrentMemoryContext, true);
	int answer = guarded([&] { return throw_below(3, what); });
	if (answer != 1024 + 300)
		elog(ERROR, "guarded() returned %d", answer);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(guard_wall_error);
PGDLLEXPORT Datum
guard_wall_error(PG_FUNCTION_ARGS)
{
	Probe *probe = own<Probe>(CurrentMemoryContext);

	own<Probe>(CurTransactionContext);
	ereport(ERROR, (errcode(ERRCODE_DIVISION_BY_ZERO),
					errmsg("raised above an object of %zu bytes", probe->size())));
}

PG_FUNCTION_INFO_V1(guard_wall_own);
PGDLLEXPORT Datum
guard_wall_own(PG_FUNCTION_ARGS)
{
	MemoryContext context = PG_GETARG_BOOL(1) ? TopTransactionContext : CurrentMemoryContext;

	for (int32 i = PG_GETARG_INT32(0); i > 0; i--)
		own<Probe>(context);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(guard_wall_fail);
PGDLLEXPORT Datum
guard_wall_fail(PG_FUNCTION_ARGS)
{
	const char *message = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *detail = text_to_cstring(PG_GETARG_TEXT_PP(1));
	const char *hint = text_to_cstring(PG_GETARG_TEXT_PP(2));

	if (PG_GETARG_BOOL(3))
		InterruptPending = QueryCancelPending = true;
	guarded([&] { throw Error(bridge::sqlstate::connection_failure, message, detail, hint); });
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(guard_wall_fail_with_bytes);
PGDLLEXPORT Datum
guard_wall_fail_with_bytes(PG_FUNCTION_ARGS)
{
	bytea *bytes = PG_GETARG_BYTEA_PP(0);
	const char *data = VARDATA_ANY(bytes);
	size_t length = VARSIZE_ANY_EXHDR(bytes);

	guarded([&] { throw Error(bridge::sqlstate::fdw_error, std::string(data, length)); });
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(guard_wall_live);
PGDLLEXPORT Datum
guard_wall_live(PG_FUNCTION_ARGS)
{
	TupleDesc descriptor;
	Datum values[2] = {Int64GetDatum(bridge::owned_objects), Int64GetDatum(Probe::live)};
	bool nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	PG_RETURN_DATUM(
		HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

PG_FUNCTION_INFO_V1(guard_wall_resident_kb);
PGDLLEXPORT Datum
guard_wall_resident_kb(PG_FUNCTION_ARGS)
{
	FILE *file = AllocateFile("/proc/self/statm", "r");
	long total = 0;
	long resident = 0;

	if (file == nullptr || fscanf(file, "%ld %ld", &total, &resident) != 2)
		elog(ERROR, "could not read /proc/self/statm");
	FreeFile(file);
	PG_RETURN_INT64(resident * (sysconf(_SC_PAGESIZE) / 1024));
}
}
