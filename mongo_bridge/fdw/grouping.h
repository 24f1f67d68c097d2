/*
 * grouping.h — what the files of a pushed grouping share.
 *
 *   aggregate.cpp       which aggregates MongoDB may compute, and the rows that come of its groups
 *   group_command.cpp   the command that is exact for whatever the documents hold
 *   group_plain.cpp     the quick one, and whether its answer is the same
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_GROUPING_H
#define PG_TENANCY_FDW_GROUPING_H

#include "fdw.h"

namespace bridge
{

/* What a column of the result is made of. */
enum class OutputKind
{
	key,
	count_rows,
	count_values,
	sum,
	average,
	least,
	greatest
};

struct Output
{
	OutputKind kind;
	const char *path; /* of the argument, or the key; "" for count(*) */
	Oid argument;	  /* its type */
	Oid result;		  /* the column's type and typmod */
	int32 typmod;
	bool not_null;	  /* the argument is null in no document that is met */
};

/*
 * How a plan keeps them: a list of outputs, and one of guarded columns, each with the same things.
 */
List *output_to_list(const Output *output);
Output output_from_list(List *list);

/* group_command.cpp: the $group stage. */
void put_exact_group(bson_t *group, List *outputs, List *guards);

/* group_plain.cpp */
void put_plain_group(bson_t *group, const PlainGroup *plain);

/* What a group says of one output: its value (null: NULL) and of how many values it was made (-1: not asked for). */
struct PlainValue
{
	const bson_iter_t *field;
	bson_iter_t space;
	int64 count;
};

/* Whether the group's answer is what the exact command would give; else nothing more is to be read. */
bool plain_group_agrees(PlainGroup *plain, const bson_t *group);
void plain_group_value(const PlainGroup *plain, const bson_t *group, int output, PlainValue *value);

} // namespace bridge

#endif
