/*
 * look_up_join.h — what planning and running a join by batches of look-ups share.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_LOOK_UP_JOIN_H
#define PG_TENANCY_FDW_LOOK_UP_JOIN_H

#include "pg.h"

namespace bridge
{

/* How many keys the first batch has; each has twice as many as the one before, up to the greatest number. */
inline constexpr int first_keys = 100;
inline constexpr int most_keys = 1000;

/* What a plan carries in custom_private. */
enum class LookUpItem
{
	type,	 /* Integer */
	sources, /* List of int: where each column comes from */
	key		 /* List of Oid: the key's operator, its collation, and the type of the outer side */
};

/* look_up_exec.cpp: the node of a plan. */
Node *create_look_up(CustomScan *plan);

} // namespace bridge

#endif
