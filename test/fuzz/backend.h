/*
 * backend.h — a stand-in for the few functions of PostgreSQL that conversions call, so that they run without a server.
 *
 * Memory is malloc's, each piece by itself, so that the sanitizers see the first byte too far; it goes with end_document().
 * Errors leave by longjmp, as in the server.  A numeric is a decimal number as text, with the operations that are asked of
 * it; arrays touch what they are given.
 */
#ifndef PG_TENANCY_FUZZ_BACKEND_H
#define PG_TENANCY_FUZZ_BACKEND_H

#include <csetjmp>
#include <string>

#include "pg.h"

namespace fuzz
{

/* Where an error leads, and its SQLSTATE. */
extern sigjmp_buf on_error;
extern int error_code;

/* Frees whatever was allocated since the last time, or keeps it for good. */
void end_document();
void keep_memory();

/* The number of a numeric as text, "NaN" and "Infinity" among them. */
std::string numeric_text(Numeric value);

} // namespace fuzz

#endif
