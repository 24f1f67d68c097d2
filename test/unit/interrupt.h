/*
 * interrupt.h — an interrupt flag as a backend has it: a signal handler raises it, at a time that the test sets.
 */
#ifndef PG_TENANCY_TEST_INTERRUPT_H
#define PG_TENANCY_TEST_INTERRUPT_H

#include <chrono>
#include <csignal>

#include <sys/time.h>

namespace test
{

inline volatile sig_atomic_t interrupt_flag = 0;

inline bool
interrupted() noexcept
{
	return interrupt_flag != 0;
}

/* Raises the flag by SIGALRM after so many milliseconds; lowers it and the alarm in the end. */
class InterruptAfter
{
public:
	explicit InterruptAfter(int ms)
	{
		struct sigaction action = {};
		struct itimerval timer = {{0, 0}, {ms / 1000, (ms % 1000) * 1000}};

		interrupt_flag = 0;
		action.sa_handler = [](int) { interrupt_flag = 1; };
		action.sa_flags = SA_RESTART; /* as PostgreSQL sets it */
		sigaction(SIGALRM, &action, nullptr);
		setitimer(ITIMER_REAL, &timer, nullptr);
	}
	~InterruptAfter()
	{
		struct itimerval none = {};

		setitimer(ITIMER_REAL, &none, nullptr);
		interrupt_flag = 0;
	}
};

class Stopwatch
{
public:
	long
	ms() const
	{
		return std::chrono::duration_cast<std::chrono::milliseconds>(
				   std::chrono::steady_clock::now() - start_)
			.count();
	}

private:
	std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

} // namespace test

#endif
