/*
 * grouping.h — what the files of a pushed grouping share.
 *
 *   aggregate.cpp       which aggregates MongoDB may compute, and the rows that come of its groups
 *   group_command.cpp   the command that is exact for whatever the documents hold
 *   group_plain.cpp     the quick ones, and whether their answer is the same
 *   group_filter.cpp    the conditions of single aggregates
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_GROUPING_H
#define PG_TENANCY_FDW_GROUPING_H

#include "expression.h"
#include "fdw.h"

namespace bridge
{

/* What a column of the result is made of. */
enum class OutputKind
{
	key,
	count_rows,
	count_values,
	count_distinct,
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
	int filter = -1;  /* the number of its condition; -1: none */
};

/* The conditions of aggregates: as lists, like a scan's. */
struct GroupFilters
{
	List *conditions;
	const Operand *operands;
};

/* group_filter.cpp: whether a condition can be an expression, and the expression, which is true just if the condition is. */
bool filter_is_possible(const Shippable *part);
void put_filter(bson_t *out, const char *key, List *condition, const Operand *operands, bool plain);

/* {$cond: [condition, value, otherwise]}, or the value alone if the output has no condition. */
template <class Put, class Otherwise>
void
put_filtered(bson_t *out, const char *key, int filter, const GroupFilters *filters, bool plain,
			 Put put, Otherwise otherwise)
{
	if (filter < 0)
	{
		put(out, key);
		return;
	}
	put_list(out, key, "$cond",
			 [&](bson_t *cond)
			 {
				 put_filter(cond, "0", list_nth_node(List, filters->conditions, filter),
							filters->operands, plain);
				 put(cond, "1");
				 otherwise(cond, "2");
			 });
}

/*
 * How a plan keeps them: a list of outputs, and one of guarded columns, each with the same things.
 */
List *output_to_list(const Output *output);
Output output_from_list(List *list);

/* The column whose different values are counted; null: none is. */
const Output *find_distinct(List *outputs);

/* The same with another name: {name: {op: "$name"}}, of groups that are put together. */
void put_merged(bson_t *group, const char *name, const char *op);

/* The number of first groups whose distinct value is one. */
void put_count_distinct(bson_t *group, const char *name);

/* group_command.cpp: the $group stage, and the second one that puts together what the first has parted by distinct values. */
void put_exact_merge(bson_t *group, List *outputs, List *guards);
void put_exact_group(bson_t *group, List *outputs, List *guards, const GroupFilters *filters);

/* group_plain.cpp: the same. */
void put_plain_merge(bson_t *group, const PlainGroup *plain);
void put_plain_group(bson_t *group, const PlainGroup *plain, const GroupFilters *filters);

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
