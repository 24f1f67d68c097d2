/*
 * path_tree.cpp — the paths of a table's columns as a tree: what is read from it, and what is left.
 */
#include "../bson/document.h"
#include "../guard.h"
#include "path_tree.h"

namespace bridge
{

PathNode *
path_tree_child(const PathNode *node, const char *name)
{
	ListCell *cell;

	foreach (cell, node->children)
	{
		auto *child = static_cast<PathNode *>(lfirst(cell));
		if (strcmp(child->name, name) == 0)
			return child;
	}
	return nullptr;
}

static PathNode *
make_child(PathNode *node, const char *name)
{
	PathNode *child = path_tree_child(node, name);

	if (child != nullptr)
		return child;
	child = static_cast<PathNode *>(palloc0(sizeof(PathNode)));
	child->name = name;
	child->column = -1;
	node->children = lappend(node->children, child);
	return child;
}

PathNode *
path_tree_node(PathNode *root, const char *path)
{
	PathNode *node = root;

	for (const char *dot; (dot = strchr(path, '.')) != nullptr; path = dot + 1)
		node = make_child(node, pnstrdup(path, static_cast<Size>(dot - path)));
	return make_child(node, pstrdup(path));
}

/* Whether something is left of an embedded document; of an empty one it is the document itself. */
static bool
has_unmapped(const bson_iter_t *start, const PathNode *level)
{
	bool empty = true;
	bson_iter_t fields = *start;
	bson_iter_t inner;

	while (bson_iter_next(&fields))
	{
		const PathNode *node = path_tree_child(level, bson_iter_key(&fields));

		empty = false;
		if (node == nullptr)
			return true;
		if (node->column < 0 && (!BSON_ITER_HOLDS_DOCUMENT(&fields) ||
								 !bson_iter_recurse(&fields, &inner) || has_unmapped(&inner, node)))
			return true;
	}
	return empty;
}

void
append_unmapped(bson_t *out, bson_iter_t *fields, const PathNode *level)
{
	while (bson_iter_next(fields))
	{
		const char *key = bson_iter_key(fields);
		const PathNode *node = path_tree_child(level, key);
		bson_iter_t inner;
		bson_t document;

		if (node == nullptr || (node->column < 0 && (!BSON_ITER_HOLDS_DOCUMENT(fields) ||
													 !bson_iter_recurse(fields, &inner))))
			bson_append_iter(out, key, -1, fields);
		else if (node->column < 0 && has_unmapped(&inner, node))
		{
			bson_append_document_begin(out, key, -1, &document);
			append_unmapped(&document, &inner, node);
			bson_append_document_end(out, &document);
		}
	}
}

} // namespace bridge
