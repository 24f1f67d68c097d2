/*
 * mirror_mapping.cpp — from a document to a row of the local table.
 *
 * The columns are matched by name.  Every column of the foreign table must have a local column of the same type; local
 * columns that the foreign table lacks are filled by their defaults when a row appears and are left alone afterwards, so
 * that a table may carry columns of its own.
 *
 * Rows are found by the document's _id: one column is read from "_id", and a unique index stands on it alone.  If that
 * column is text, an ObjectId becomes its 24 hexadecimal digits.  A *string* _id that looks like this would name the
 * same row; it is a misfit, because two documents must never meet in one row.  For the same reason the key's collation
 * must be deterministic.
 */
#include "mirror.h"

namespace bridge
{
namespace
{

/* Is this the column that the foreign one becomes?  0 if there is none of that name. */
AttrNumber
local_column(TupleDesc local, const char *name)
{
	for (int i = 0; i < local->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(local, i);
		if (!column->attisdropped && strcmp(NameStr(column->attname), name) == 0)
			return column->attnum;
	}
	return InvalidAttrNumber;
}

bool
fail(MappingProblem *problem, int sqlstate, const char *message, const char *detail,
	 const char *hint)
{
	*problem = {sqlstate, message, detail, hint};
	return false;
}

/* The table's name as it stands in a hint. */
const char *
qualified_name(Relation relation)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
									  RelationGetRelationName(relation));
}

bool
same_type(Form_pg_attribute local, Form_pg_attribute foreign)
{
	return local->atttypid == foreign->atttypid &&
		   (local->atttypmod == -1 || local->atttypmod == foreign->atttypmod);
}

/* Why this column cannot take what the foreign one gives; true if it can. */
bool
check_column(Relation local, Form_pg_attribute foreign, AttrNumber number, MappingProblem *problem)
{
	const char *name = NameStr(foreign->attname);
	const char *type = format_type_with_typemod(foreign->atttypid, foreign->atttypmod);
	const char *message = psprintf("table \"%s\" cannot hold column \"%s\" of the foreign table",
								   RelationGetRelationName(local), name);

	if (number == InvalidAttrNumber)
		return fail(problem, ERRCODE_DATATYPE_MISMATCH, message, "It has no column of that name.",
					psprintf("ALTER TABLE %s ADD COLUMN %s %s;", qualified_name(local),
							 quote_identifier(name), type));

	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(local), number - 1);
	if (!same_type(column, foreign))
		return fail(problem, ERRCODE_DATATYPE_MISMATCH, message,
					psprintf("Its column is of type %s, the foreign one of type %s.",
							 format_type_with_typemod(column->atttypid, column->atttypmod), type),
					psprintf("ALTER TABLE %s ALTER COLUMN %s TYPE %s;", qualified_name(local),
							 quote_identifier(name), type));
	if (column->attgenerated)
		return fail(problem, ERRCODE_DATATYPE_MISMATCH, message, "Its column is generated.",
					nullptr);
	return true;
}

/* Matches the columns, and writes down the definition; a document always has its key, so that NOT NULL is no news there. */
bool
match_columns(Mapping *mapping, Relation foreign, Relation local, MappingProblem *problem)
{
	TupleDesc from = RelationGetDescr(foreign);
	TupleDesc to = RelationGetDescr(local);
	StringInfoData definition;

	initStringInfo(&definition);
	for (int i = 0; i < from->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(from, i);
		AttrNumber number;

		if (column->attisdropped)
			continue;
		number = local_column(to, NameStr(column->attname));
		if (!check_column(local, column, number, problem))
			return false;
		mapping->to_local[i] = number;
		mapping->required[i] = TupleDescAttr(to, number - 1)->attnotnull;
		mapping->from_document[number - 1] = true;
		appendStringInfo(&definition, "%s:%u:%d:%s%s\n", NameStr(column->attname), column->atttypid,
						 column->atttypmod, column_map_path(mapping->columns, i + 1),
						 mapping->required[i] && i + 1 != mapping->foreign_key ? " not null" : "");
	}
	mapping->definition = definition.data;
	return true;
}

bool
is_key_index(Relation index, AttrNumber key)
{
	Form_pg_index form = index->rd_index;

	return form->indisunique && form->indimmediate && form->indisvalid && form->indisready &&
		   form->indnkeyatts == 1 && form->indkey.values[0] == key &&
		   index->rd_rel->relam == BTREE_AM_OID && RelationGetIndexExpressions(index) == NIL &&
		   RelationGetIndexPredicate(index) == NIL;
}

/* Finds the unique index by which rows are looked up, and its equality. */
bool
find_key_index(Mapping *mapping, Relation local, MappingProblem *problem)
{
	ListCell *cell;
	const char *column =
		NameStr(TupleDescAttr(RelationGetDescr(local), mapping->local_key - 1)->attname);

	foreach (cell, RelationGetIndexList(local))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (is_key_index(index, mapping->local_key) && !OidIsValid(mapping->key_index))
		{
			Oid type = index->rd_opcintype[0];
			Oid equal =
				get_opfamily_member(index->rd_opfamily[0], type, type, BTEqualStrategyNumber);
			mapping->key_index = RelationGetRelid(index);
			mapping->key_equal = get_opcode(equal);
			mapping->key_collation = index->rd_indcollation[0];
		}
		index_close(index, AccessShareLock);
	}
	if (!OidIsValid(mapping->key_index))
		return fail(problem, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					psprintf("table \"%s\" has no unique index on column \"%s\"",
							 RelationGetRelationName(local), column),
					"The mirror finds a document's row by its _id.",
					psprintf("CREATE UNIQUE INDEX ON %s (%s);", qualified_name(local),
							 quote_identifier(column)));
	if (OidIsValid(mapping->key_collation) && mapping->key_collation != C_COLLATION_OID &&
		!get_collation_isdeterministic(mapping->key_collation))
		return fail(problem, ERRCODE_FEATURE_NOT_SUPPORTED,
					psprintf("column \"%s\" of table \"%s\" has a nondeterministic collation",
							 column, RelationGetRelationName(local)),
					"Two documents would meet in one row.", nullptr);
	return true;
}

bool
find_key(Mapping *mapping, Relation foreign, Relation local, MappingProblem *problem)
{
	if (mapping->foreign_key == InvalidAttrNumber)
		return fail(
			problem, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
			psprintf("foreign table \"%s\" has no column for the document's _id",
					 RelationGetRelationName(foreign)),
			"The mirror finds a document's row by its _id.",
			psprintf("ALTER FOREIGN TABLE %s ADD COLUMN _id text;", qualified_name(foreign)));
	mapping->local_key = mapping->to_local[mapping->foreign_key - 1];
	mapping->key_type =
		getBaseType(TupleDescAttr(RelationGetDescr(local), mapping->local_key - 1)->atttypid);
	return find_key_index(mapping, local, problem);
}

/* Columns that no document fills: their defaults are evaluated for new rows. */
void
find_defaults(Mapping *mapping, Relation local)
{
	TupleDesc descriptor = RelationGetDescr(local);

	mapping->default_columns =
		static_cast<AttrNumber *>(palloc0(sizeof(AttrNumber) * Max(1, descriptor->natts)));
	mapping->defaults =
		static_cast<ExprState **>(palloc0(sizeof(ExprState *) * Max(1, descriptor->natts)));
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(descriptor, i);
		Node *expression;

		if (column->attisdropped || column->attgenerated || mapping->from_document[i])
			continue;
		expression = build_column_default(local, i + 1);
		if (!expression)
			continue;
		mapping->default_columns[mapping->default_count] = i + 1;
		mapping->defaults[mapping->default_count++] =
			ExecInitExpr(expression_planner(reinterpret_cast<Expr *>(expression)), nullptr);
	}
}

/* 24 hexadecimal digits: what an ObjectId becomes in a text column. */
bool
looks_like_object_id(const bson_iter_t *id)
{
	uint32_t length;
	const char *text;

	if (!BSON_ITER_HOLDS_UTF8(id))
		return false;
	text = bson_iter_utf8(id, &length);
	return length == 24 && strspn(text, "0123456789abcdef") >= 24;
}

bool
key_is_ambiguous(const Mapping *mapping, const bson_iter_t *id)
{
	return (mapping->key_type == TEXTOID || mapping->key_type == VARCHAROID ||
			mapping->key_type == BPCHAROID) &&
		   looks_like_object_id(id);
}

} // namespace

Mapping *
mapping_build(Relation foreign, Relation local, MemoryContext context, MappingProblem *problem)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	Mapping *mapping = static_cast<Mapping *>(palloc0(sizeof(Mapping)));
	int foreign_natts = RelationGetDescr(foreign)->natts;
	int local_natts = RelationGetDescr(local)->natts;

	mapping->columns = column_map_build(foreign, nullptr, context);
	mapping->foreign_natts = foreign_natts;
	mapping->to_local = static_cast<AttrNumber *>(palloc0(sizeof(AttrNumber) * foreign_natts));
	mapping->required = static_cast<bool *>(palloc0(foreign_natts));
	mapping->from_document = static_cast<bool *>(palloc0(local_natts));
	mapping->values = static_cast<Datum *>(palloc0(sizeof(Datum) * foreign_natts));
	mapping->isnull = static_cast<bool *>(palloc0(foreign_natts));

	mapping->foreign_key = column_map_key(mapping->columns);
	if (!match_columns(mapping, foreign, local, problem) ||
		!find_key(mapping, foreign, local, problem))
		mapping = nullptr;
	else
		find_defaults(mapping, local);
	MemoryContextSwitchTo(caller);
	return mapping;
}

bool
mapping_convert(Mapping *mapping, const bson_t *document, Mismatch *mismatch)
{
	bson_iter_t id;

	if (!column_map_convert(mapping->columns, document, mapping->values, mapping->isnull, mismatch))
		return false;

	mismatch->document_id = nullptr;
	mismatch->bson_type = mismatch->sql_type = nullptr;
	if (!bson_iter_init_find(&id, document, "_id") || mapping->isnull[mapping->foreign_key - 1])
	{
		mismatch->path = "_id";
		mismatch->sqlstate = "23502";
		mismatch->reason = "The document has no usable _id.";
		return false;
	}
	if (key_is_ambiguous(mapping, &id))
	{
		mismatch->path = "_id";
		mismatch->sqlstate = "23505";
		mismatch->reason = "A string of 24 hexadecimal digits would name the row of an ObjectId.";
		return false;
	}
	for (int i = 0; i < mapping->foreign_natts; i++)
		if (mapping->required[i] && mapping->isnull[i])
		{
			mismatch->path = column_map_path(mapping->columns, i + 1);
			mismatch->sqlstate = "23502";
			mismatch->reason = "The field is null or missing, and its column is NOT NULL.";
			return false;
		}
	return true;
}

bool
mapping_convert_key(Mapping *mapping, const bson_iter_t *id, Datum *key)
{
	Mismatch mismatch;
	bool isnull;

	return !key_is_ambiguous(mapping, id) &&
		   column_map_convert_field(mapping->columns, mapping->foreign_key, id, key, &isnull,
									&mismatch) &&
		   !isnull;
}

} // namespace bridge
