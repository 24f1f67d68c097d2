/*
 * path_tree.h — the paths of a table's columns as a tree: what is read from it, and what is left.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_PATH_TREE_H
#define PG_TENANCY_FDW_PATH_TREE_H

#ifndef POSTGRES_H
#include "../bson/document.h"
#include "../guard.h"
#endif

namespace bridge
{

/* A field that a column is, or that has such fields below it. */
struct PathNode
{
	const char *name;
	int column;		/* -1: none */
	bool tenant;	/* the tenant's own field, for which no column is */
	List *children; /* of PathNode */
};

/* The node of a path, which is made if it is not there; and the one of a name just below, or null. */
PathNode *path_tree_node(PathNode *root, const char *path);
PathNode *path_tree_child(const PathNode *node, const char *name);

/* Appends the fields that no column is.  An embedded document of which nothing is left is left out. */
void append_unmapped(bson_t *out, bson_iter_t *fields, const PathNode *level);

} // namespace bridge

#endif
