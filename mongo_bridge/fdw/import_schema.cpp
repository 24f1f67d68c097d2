/*
 * import_schema.cpp — IMPORT FOREIGN SCHEMA: a foreign table for each collection of a database.
 *
 * describe.cpp finds the columns; this file names the tables, obeys LIMIT TO and EXCEPT, and writes the statements, which
 * the server parses and runs.  Names and options come from MongoDB, where anybody may have written them, so every name is
 * quoted as an identifier and every option as a literal, and types are named with their schema.
 *
 * What is not as one might think (fields of several types, fields left out) is told in a NOTICE for each table.
 */
#include "../bson/shape.h"
#include "../client/client.h"
#include "describe.h"
#include "import_schema.h"
#include "option.h"
#include "tenant.h"

namespace bridge
{

static constexpr int max_remarks = 20;

/* The options of the statement. */
struct ImportOptions
{
	DescribeOptions describe;
	bool object_ids;	   /* ObjectIds get their own type */
	const char *updatable; /* null: not given */
};

/*
 * Options
 */

static int
number_value(DefElem *option, int highest)
{
	const char *value = defGetString(option);
	int number;

	if (value[0] == '\0' || value[strspn(value, "0123456789")] != '\0' ||
		!parse_int(value, &number, 0, nullptr) || number > highest)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"%s\"", option->defname),
						errdetail("It must be a whole number between 0 and %d.", highest)));
	return number;
}

static const char *
name_value(DefElem *option)
{
	const char *value = defGetString(option);

	if (value[0] == '\0' || name_is_cut(value))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"%s\"", option->defname),
						errdetail("It must be a column's name.")));
	return value;
}

static bool
names_value(DefElem *option)
{
	const char *value = defGetString(option);

	if (strcmp(value, "fold") != 0 && strcmp(value, "exact") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"%s\"", option->defname),
						errdetail("It must be exact or fold.")));
	return strcmp(value, "fold") == 0;
}

/* Whether a column of ObjectIds has their own type. */
static bool
object_ids_value(DefElem *option)
{
	const char *value = defGetString(option);

	if (strcmp(value, "text") != 0 && strcmp(value, "object_id") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"%s\"", option->defname),
						errdetail("It must be text or object_id.")));
	return strcmp(value, "object_id") == 0;
}

static ImportOptions
read_options(List *options)
{
	ImportOptions result = {};
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);
		const char *name = option->defname;

		if (strcmp(name, "sample_size") == 0)
			result.describe.sample_size = number_value(option, 1000000);
		else if (strcmp(name, "flatten") == 0)
			result.describe.flatten = number_value(option, 100);
		else if (strcmp(name, "names") == 0)
			result.describe.fold = names_value(option);
		else if (strcmp(name, "not_null") == 0)
			result.describe.not_null = defGetBoolean(option);
		else if (strcmp(name, "tenant_field") == 0)
		{
			result.describe.tenant_field = defGetString(option);
			check_path(name, result.describe.tenant_field);
		}
		else if (strcmp(name, "document") == 0)
			result.describe.document = name_value(option);
		else if (strcmp(name, "rest") == 0)
			result.describe.rest = name_value(option);
		else if (strcmp(name, "object_ids") == 0)
			result.object_ids = object_ids_value(option);
		else if (strcmp(name, "updatable") == 0)
			result.updatable = defGetBoolean(option) ? "true" : "false";
		else
			ereport(
				ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
				 errhint("Valid options of IMPORT FOREIGN SCHEMA are: sample_size, flatten, "
						 "names, not_null, tenant_field, document, rest, object_ids, updatable.")));
	}
	return result;
}

/*
 * Tenants
 *
 * The columns of a table tell what the documents look like that were looked at.  Where its rows follow the tenant so does the
 * sample.  All tenants' documents are looked at for who may ask describe_collection() for the same.
 */

static bool
may_describe_all()
{
	Oid types[] = {NAMEOID, TEXTOID, TEXTOID, INT4OID, INT4OID};
	List *name = list_make2(makeString(pstrdup("tenancy_mongo")),
							makeString(pstrdup("describe_collection")));
	Oid function = LookupFuncName(name, lengthof(types), types, true);

	return superuser() ||
		   (OidIsValid(function) &&
			DatumGetBool(DirectFunctionCall2(has_function_privilege_id, ObjectIdGetDatum(function),
											 CStringGetTextDatum("EXECUTE"))));
}

/* NOT NULL is of all rows, whosever they are. */
static void
limit_to_tenant(DescribeOptions *options)
{
	if (options->tenant_field == nullptr)
		return;

	const char *tenant = current_tenant();
	if (tenant != nullptr)
		options->tenant = pstrdup(tenant);
	bool all = (tenant == nullptr && options->sample_size > 0) || options->not_null;
	if (all && !may_describe_all())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to look at the documents of all tenants"),
				 tenant == nullptr
					 ? errdetail("No tenant is in force, so the sample would be of all tenants.")
					 : errdetail("Option \"not_null\" looks at all stored documents."),
				 tenant == nullptr ? errhint("SELECT tenancy.set_tenant('...');")
								   : errhint("Import without the option \"not_null\".")));
}

/*
 * Tables
 */

static bool
is_listed(ImportForeignSchemaStmt *statement, const char *table)
{
	ListCell *cell;

	foreach (cell, statement->table_list)
		if (strcmp(lfirst_node(RangeVar, cell)->relname, table) == 0)
			return true;
	return false;
}

/* Collections of MongoDB's own are tables only for who names them. */
static bool
is_wanted(ImportForeignSchemaStmt *statement, const char *collection, const char *table)
{
	bool own = strncmp(collection, "system.", 7) == 0;

	switch (statement->list_type)
	{
		case FDW_IMPORT_SCHEMA_LIMIT_TO:
			return is_listed(statement, table);
		case FDW_IMPORT_SCHEMA_EXCEPT:
			return !own && !is_listed(statement, table);
		default:
			return !own;
	}
}

/* As columns are named: one that is spelt just so keeps the name, the others get suffixes. */
static const char *
table_name(const char *collection, List *collections, bool fold)
{
	const char *name = plain_name(collection, fold);
	bool shared = false;
	ListCell *cell;

	if (strcmp(collection, name) == 0)
		return name;
	foreach (cell, collections)
	{
		const char *other = static_cast<Collection *>(lfirst(cell))->name;
		shared = shared || (strcmp(other, collection) != 0 &&
							strcmp(plain_name(other, fold), name) == 0);
	}
	return shared || name_is_cut(collection) ? distinct_name(collection, collection, fold) : name;
}

static void
check_limit(ImportForeignSchemaStmt *statement, List *tables)
{
	ListCell *wanted;

	if (statement->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO)
		return;
	foreach (wanted, statement->table_list)
	{
		const char *name = lfirst_node(RangeVar, wanted)->relname;
		bool found = false;
		ListCell *cell;

		foreach (cell, tables)
			found = found || strcmp(static_cast<const char *>(lfirst(cell)), name) == 0;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
					 errmsg("no collection of database \"%s\" becomes a foreign table \"%s\"",
							statement->remote_schema, name),
					 errdetail("LIMIT TO takes the names of the foreign tables: those of the "
							   "collections, but for names in lower case and names that are cut.")));
	}
}

/*
 * Statements
 */

static void
add_option(StringInfo text, const char *name, const char *value, bool *first)
{
	appendStringInfo(text, "%s%s %s", *first ? " OPTIONS (" : ", ", name, quote_literal_cstr(value));
	*first = false;
}

static void
add_column(StringInfo text, const DescribedColumn *column)
{
	bool first = true;

	appendStringInfo(text, "\n    %s %s", quote_identifier(column->name), column->type);
	if (strcmp(column->name, column->path) != 0)
		add_option(text, "path", column->path, &first);
	if (column->object_id)
		add_option(text, "object_id", "true", &first);
	if (!first)
		appendStringInfoChar(text, ')');
	if (column->not_null)
		appendStringInfoString(text, " NOT NULL");
}

static char *
create_statement(ImportForeignSchemaStmt *statement, const Collection *collection,
				 const char *table, List *columns, const ImportOptions *options)
{
	const DescribeOptions *describe = &options->describe;
	StringInfoData text;
	bool first = true;
	const char *separator = "";
	ListCell *cell;

	initStringInfo(&text);
	appendStringInfo(&text, "CREATE FOREIGN TABLE %s (", quote_identifier(table));
	foreach (cell, columns)
	{
		auto *column = static_cast<DescribedColumn *>(lfirst(cell));
		if (column->name == nullptr)
			continue;
		appendStringInfoString(&text, separator);
		add_column(&text, column);
		separator = ",";
	}
	if (describe->rest != nullptr)
	{
		appendStringInfo(&text, "%s\n    %s pg_catalog.jsonb OPTIONS (rest 'true')", separator,
						 quote_identifier(describe->rest));
		separator = ",";
	}
	if (describe->document != nullptr)
		appendStringInfo(&text, "%s\n    %s pg_catalog.jsonb OPTIONS (document 'true')", separator,
						 quote_identifier(describe->document));
	appendStringInfo(&text, "\n) SERVER %s", quote_identifier(statement->server_name));
	add_option(&text, "database", statement->remote_schema, &first);
	add_option(&text, "collection", collection->name, &first);
	if (describe->tenant_field != nullptr)
		add_option(&text, "tenant_field", describe->tenant_field, &first);
	if (!collection->plain || options->updatable != nullptr)
		add_option(&text, "updatable", collection->plain ? options->updatable : "false", &first);
	appendStringInfoChar(&text, ')');
	return text.data;
}

/*
 * Remarks
 */

struct Remarks
{
	StringInfoData text;
	int count;
};

static void
add_remark(Remarks *remarks, const char *remark)
{
	if (remarks->count++ < max_remarks)
		appendStringInfo(&remarks->text, "%s%s", remarks->count > 1 ? "\n" : "", remark);
}

/* Whether some document has the field, as far as the shape reaches. */
static bool
field_is_known(const Shape *shape, const char *path)
{
	size_t length = strcspn(path, ".");

	for (int i = 0; i < shape->count(); i++)
		if (shape->parent(i) < 0 && strlen(shape->name(i)) == length &&
			strncmp(shape->name(i), path, length) == 0)
			return true;
	return false;
}

static void
report(ImportForeignSchemaStmt *statement, const Collection *collection, const char *table,
	   const Shape *shape, List *columns, const DescribeOptions *options)
{
	Remarks remarks = {};
	ListCell *cell;

	initStringInfo(&remarks.text);
	foreach (cell, columns)
	{
		auto *column = static_cast<DescribedColumn *>(lfirst(cell));
		const char *seen = seen_types_text(shape, column->field);
		if (column->remark != nullptr)
			add_remark(&remarks,
					   psprintf("Field \"%s\" is %s: %s%s%s.", column->path,
								column->type == nullptr ? "left out"
														: column->type + strlen("pg_catalog."),
								column->remark, seen[0] != '\0' ? ": " : "", seen));
	}
	if (shape->left_out())
		add_remark(&remarks, psprintf("More than %d fields were seen; the others are left out.",
									  Shape::max_fields));
	if (options->tenant_field != nullptr && !field_is_known(shape, options->tenant_field))
		add_remark(&remarks, psprintf("No document that was seen has the tenant's field \"%s\".",
									  options->tenant_field));
	if (remarks.count == 0)
		return;
	if (remarks.count > max_remarks)
		appendStringInfo(&remarks.text, "\nAnd %d more.", remarks.count - max_remarks);
	ereport(NOTICE,
			(errmsg("foreign table \"%s\" is made from %s" UINT64_FORMAT " documents", table,
					shape->has_schema() ? "a validator and " : "", shape->documents()),
			 errdetail("%s", remarks.text.data),
			 errhint("SELECT * FROM tenancy_mongo.describe_collection(%s, %s, %s);",
					 quote_literal_cstr(statement->server_name),
					 quote_literal_cstr(statement->remote_schema),
					 quote_literal_cstr(collection->name))));
}

/*
 * The statement
 */

static void
use_object_id_type(List *columns)
{
	ListCell *cell;

	foreach (cell, columns)
	{
		auto *column = static_cast<DescribedColumn *>(lfirst(cell));

		if (!column->object_id)
			continue;
		column->type = "tenancy_mongo.object_id";
		column->object_id = false;
	}
}

static char *
import_collection(ImportForeignSchemaStmt *statement, Client *client, const char *database,
				  const Collection *collection, const char *table, const ImportOptions *options)
{
	Shape *shape = collection_shape(client, database, collection, &options->describe);
	List *columns = describe_columns(client, database, collection, shape, &options->describe);
	bool empty = options->describe.document == nullptr;
	ListCell *cell;

	foreach (cell, columns)
		empty = empty && static_cast<DescribedColumn *>(lfirst(cell))->name == nullptr;
	if (empty)
	{
		/* Nothing is known but that every document has this one. */
		auto *id = static_cast<DescribedColumn *>(palloc0(sizeof(DescribedColumn)));
		id->name = id->path = "_id";
		id->type = "pg_catalog.text";
		id->object_id = true;
		columns = list_make1(id);
		ereport(NOTICE, (errmsg("nothing is known of the documents of collection \"%s.%s\"",
								database, collection->name),
						 errdetail("Foreign table \"%s\" has a column for _id only.", table)));
	}
	else
		report(statement, collection, table, shape, columns, &options->describe);
	if (options->object_ids)
		use_object_id_type(columns);
	return create_statement(statement, collection, table, columns, options);
}

List *
import_foreign_schema(ImportForeignSchemaStmt *statement, Oid server)
{
	ImportOptions options = read_options(statement->options);
	limit_to_tenant(&options.describe);
	/* The tables follow the tenant; what they look like is asked of the tenant in force. */
	const char *database = route_database(statement->remote_schema);
	Client *client = living_client(server, GetUserId());
	List *collections = list_collections(client, database, nullptr);
	List *statements = NIL;
	List *tables = NIL;
	ListCell *cell;

	if (collections == NIL)
		ereport(ERROR, (errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
						errmsg("database \"%s\" has no collections", database),
						errhint("Its databases: SELECT tenancy_mongo.run_command(%s, 'admin', '{\"listDatabases\": 1}');",
								quote_literal_cstr(GetForeignServer(server)->servername))));
	foreach (cell, collections)
	{
		auto *collection = static_cast<Collection *>(lfirst(cell));
		tables = lappend(tables, const_cast<char *>(table_name(collection->name, collections,
															   options.describe.fold)));
	}
	check_limit(statement, tables);

	/* What a collection took to describe is forgotten when its statement stands. */
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context =
		AllocSetContextCreate(caller, "tenancy_mongo import", ALLOCSET_DEFAULT_SIZES);
	foreach (cell, collections)
	{
		auto *collection = static_cast<Collection *>(lfirst(cell));
		auto *table = static_cast<const char *>(list_nth(tables, foreach_current_index(cell)));
		if (!is_wanted(statement, collection->name, table))
			continue;
		MemoryContextSwitchTo(context);
		char *text = import_collection(statement, client, database, collection, table, &options);
		MemoryContextSwitchTo(caller);
		statements = lappend(statements, pstrdup(text));
		MemoryContextReset(context);
	}
	return statements;
}

} // namespace bridge
