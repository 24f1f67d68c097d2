/*
 * guard.h — the wall between C++ exceptions and PostgreSQL's longjmp.
 *
 * Every frame has one colour.  A blue frame may throw and never calls PostgreSQL.  A red frame may be longjmp-ed over:
 * it holds only trivially destructible locals, and nothing in it throws.
 *
 *   guarded([&] { … })     is the only way from red to blue.  It catches everything, copies the words into a plain
 *                          struct on the stack, leaves the catch block, and then reports the error.
 *   own<T>(context, …)     is the only home of a C++ object that has a destructor: it is deleted when its memory
 *                          context is reset, so an ERROR, a cancel and a normal end release it by one mechanism.
 *
 * There is no guard the other way round (longjmp to exception), because nothing blue calls PostgreSQL.
 */
#ifndef PG_TENANCY_GUARD_H
#define PG_TENANCY_GUARD_H

#ifndef POSTGRES_H
#include <new>
#include <type_traits>
#include <utility>

#include "client/error.h"
#endif
#include "pg.h"

namespace bridge
{

/* An Error's words, as plain data. */
struct Failure
{
	char state[6];
	int server_code;
	char message[512];
	char detail[2048];
	char hint[512];
};
static_assert(std::is_trivially_destructible_v<Failure>);

void record_failure(Failure *failure, const char *state, const char *message, const char *detail,
					const char *hint, int server_code) noexcept;

/* Reports a failure.  A pending cancel or shutdown comes first, as it is what broke the driver's wait, but not before 08007. */
[[noreturn]] void raise_failure(const Failure *failure);

/* How many objects own<T>() keeps alive in this process; the wall's test wants to see 0. */
extern int64 owned_objects;

/* Runs blue code; true if it ended normally, else "failure" tells. */
template <class Body>
bool
attempt(Failure *failure, Body &&body) noexcept
{
	try
	{
		body();
		return true;
	}
	catch (const Error &e)
	{
		record_failure(failure, e.state, e.message.c_str(), e.detail.c_str(), e.hint.c_str(),
					   e.server_code);
	}
	catch (const std::bad_alloc &)
	{
		record_failure(failure, sqlstate::out_of_memory, "out of memory", "", "", 0);
	}
	catch (const std::exception &e)
	{
		record_failure(failure, sqlstate::internal_error, "unexpected C++ exception", e.what(), "", 0);
	}
	catch (...)
	{
		record_failure(failure, sqlstate::internal_error, "unexpected C++ exception", "", "", 0);
	}
	return false;
}

/* The way from red to blue.  What it returns must be plain data. */
template <class Body>
auto
guarded(Body &&body) -> decltype(body())
{
	static_assert(std::is_trivially_destructible_v<std::remove_reference_t<Body>>,
				  "the body captures by reference or plain data: it lies in a red frame");
	using Result = decltype(body());
	Failure failure;

	if constexpr (std::is_void_v<Result>)
	{
		if (!attempt(&failure, body))
			raise_failure(&failure);
	}
	else
	{
		static_assert(std::is_trivially_destructible_v<Result>, "only plain data crosses the wall");
		Result result{};
		if (!attempt(&failure, [&] { result = body(); }))
			raise_failure(&failure);
		return result;
	}
}

/* The home of a C++ object with a destructor. */
template <class T, class... Args>
T *
own(MemoryContext context, Args &&...args)
{
	static_assert(std::is_nothrow_destructible_v<T>);
	static_assert(((std::is_lvalue_reference_v<Args> || std::is_trivially_destructible_v<Args>) && ...),
				  "a temporary object would lie in a red frame");

	/* The callback is allocated before the object and registered after it: neither step can leak it. */
	auto *callback = static_cast<MemoryContextCallback *>(
		MemoryContextAlloc(context, sizeof(MemoryContextCallback)));
	T *object = guarded([&] { return new T(std::forward<Args>(args)...); });

	callback->arg = object;
	callback->func = [](void *arg) {
		delete static_cast<T *>(arg);
		owned_objects--;
	};
	MemoryContextRegisterResetCallback(context, callback);
	owned_objects++;
	return object;
}

} // namespace bridge

#endif
