/*
 * statement.h — statements on the mirror's catalogue, planned once a session.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_STATEMENT_H
#define PG_TENANCY_STATEMENT_H

#include "mirror.h"

namespace bridge
{

constexpr int max_parameters = 8;

struct Statement
{
	const char *text;
	int count;
	Oid types[max_parameters];
	SPIPlanPtr plan;
};

/* Leaves SPI connected, with the result in SPI_tuptable; the caller calls SPI_finish(). */
void statement_execute(Statement *statement, Datum *values, const char *nulls = nullptr);

/* How many rows it was about. */
uint64 statement_run(Statement *statement, Datum *values, const char *nulls = nullptr);

/* A column of the result; text in the current context, null for NULL. */
Datum statement_column(uint64 row, int number, bool *isnull);
const char *statement_text(uint64 row, int number);

} // namespace bridge

#endif
