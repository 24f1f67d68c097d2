/*
 * sanitizer_start.cpp — starts AddressSanitizer in a program that is not built with it.
 *
 * Preloaded beside the sanitizer and linked with "-z initfirst", it runs before every other library's start, and its
 * malloc() lets the sanitizer start.  Otherwise that happens in the first malloc() of all, and if a library calls that
 * one from within bindtextdomain(), as libgpg-error does, the sanitizer's look-up of a symbol that is not there asks
 * gettext for the error's translation under gettext's own lock; later the server waits for that lock for ever.
 */
#include <cstdlib>

__attribute__((constructor)) static void
start()
{
	void *volatile block = malloc(1);
	free(block);
}
