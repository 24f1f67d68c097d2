/*
 * option.cpp — which options there are, what they may hold, and who may set them.
 *
 * Options stand in the catalogue, where every role reads them and pg_dump writes them out.  So none holds a secret: a
 * server or a user mapping names an entry of the credentials file, which the server's user alone reads.  Naming an entry
 * is using it, which takes the right to read the server's files; and since a validator sees all options of an object, a
 * role without that right cannot point a server that has credentials to a host of its own.
 */
#include "../client/credentials.h"
#include "option.h"
#include "tenant.h"
#include "../tenancy_mongo.h"

namespace bridge
{

/* What an option's value must be. */
enum class OptionKind
{
	text,
	boolean,
	milliseconds,		   /* 1 … */
	milliseconds_or_never, /* 0: no limit */
	batch_size,
	hosts,
	read_preference,
	read_concern,
	database,
	path
};

struct OptionRule
{
	const char *name;
	Oid catalog;
	OptionKind kind;
	bool required;
	bool privileged; /* for superusers and pg_read_server_files */
};

static constexpr OptionRule rules[] = {
	{"hosts", ForeignServerRelationId, OptionKind::hosts, true, false},
	{"replica_set", ForeignServerRelationId, OptionKind::text, false, false},
	{"credentials", ForeignServerRelationId, OptionKind::text, false, true},
	{"tls", ForeignServerRelationId, OptionKind::boolean, false, true},
	{"read_preference", ForeignServerRelationId, OptionKind::read_preference, false, false},
	{"read_concern", ForeignServerRelationId, OptionKind::read_concern, false, false},
	{"connect_timeout", ForeignServerRelationId, OptionKind::milliseconds, false, false},
	{"server_selection_timeout", ForeignServerRelationId, OptionKind::milliseconds, false, false},
	{"socket_timeout", ForeignServerRelationId, OptionKind::milliseconds_or_never, false, false},
	{"application_name", ForeignServerRelationId, OptionKind::text, false, false},
	{"transactions", ForeignServerRelationId, OptionKind::boolean, false, false},
	{"updatable", ForeignServerRelationId, OptionKind::boolean, false, false},
	{"async_capable", ForeignServerRelationId, OptionKind::boolean, false, false},
	{"credentials", UserMappingRelationId, OptionKind::text, false, true},
	{"database", ForeignTableRelationId, OptionKind::database, true, false},
	{"collection", ForeignTableRelationId, OptionKind::text, true, false},
	{"tenant_field", ForeignTableRelationId, OptionKind::path, false, false},
	{"batch_size", ForeignTableRelationId, OptionKind::batch_size, false, false},
	{"read_concern", ForeignTableRelationId, OptionKind::read_concern, false, false},
	{"pushdown", ForeignTableRelationId, OptionKind::boolean, false, false},
	{"updatable", ForeignTableRelationId, OptionKind::boolean, false, false},
	{"truncatable", ForeignTableRelationId, OptionKind::boolean, false, false},
	{"unnest", ForeignTableRelationId, OptionKind::path, false, false},
	{"async_capable", ForeignTableRelationId, OptionKind::boolean, false, false},
	{"path", AttributeRelationId, OptionKind::path, false, false},
	{"document", AttributeRelationId, OptionKind::boolean, false, false},
	{"rest", AttributeRelationId, OptionKind::boolean, false, false},
	{"object_id", AttributeRelationId, OptionKind::boolean, false, false},
};

static constexpr int default_connect_timeout_ms = 5000;
static constexpr int default_server_selection_timeout_ms = 10000;
static constexpr int max_batch_size = 1000000;
static constexpr bool async_by_default = false;

/* The words with which people write a secret into an option. */
static constexpr const char *secret_options[] = {"user", "username", "password",
												 "uri",	 "url",		 "conn_string"};

static const char *
object_kind(Oid catalog)
{
	switch (catalog)
	{
		case ForeignServerRelationId:
			return "server";
		case UserMappingRelationId:
			return "user mapping";
		case ForeignTableRelationId:
			return "foreign table";
		case AttributeRelationId:
			return "column";
		default:
			return "foreign-data wrapper";
	}
}

static const OptionRule *
find_rule(const char *name, Oid catalog)
{
	for (const OptionRule &rule : rules)
		if (rule.catalog == catalog && strcmp(rule.name, name) == 0)
			return &rule;
	return nullptr;
}

[[noreturn]] static void
refuse_option(const char *name, Oid catalog)
{
	for (const char *secret : secret_options)
		if (strcmp(name, secret) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\"", name),
					 errdetail("Secrets are never SQL text."),
					 errhint("Write them into the file that tenancy_mongo.credentials_file names, "
							 "and name the entry: OPTIONS (credentials 'entry').")));

	StringInfoData valid;
	initStringInfo(&valid);
	for (const OptionRule &rule : rules)
		if (rule.catalog == catalog)
			appendStringInfo(&valid, "%s%s", valid.len > 0 ? ", " : "", rule.name);
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
					valid.len > 0 ? errhint("Valid options of a %s are: %s.", object_kind(catalog),
											valid.data)
								  : errhint("A %s has no options.", object_kind(catalog))));
	pg_unreachable();
}

/* The value itself stays out of the message: it may be a secret in the wrong place. */
[[noreturn]] static void
refuse_value(const char *name, const char *wanted, const char *hint = nullptr)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("invalid value for option \"%s\"", name), errdetail("%s", wanted),
					hint != nullptr ? errhint("%s", hint) : 0));
	pg_unreachable();
}

static int
check_number(const char *name, const char *value, int lowest, int highest)
{
	int number;

	if (value[strspn(value, "0123456789")] != '\0' || !parse_int(value, &number, 0, nullptr) ||
		number < lowest || number > highest)
		refuse_value(name,
					 psprintf("It must be a whole number between %d and %d.", lowest, highest));
	return number;
}

static bool
check_boolean(const char *name, const char *value)
{
	bool result;

	if (!parse_bool(value, &result))
		refuse_value(name, "It must be true or false.");
	return result;
}

/* "port", or nothing. */
static bool
port_is_valid(const char *port, size_t length)
{
	if (length == 0 || length > 5 || strspn(port, "0123456789") < length)
		return false;
	int number = atoi(pnstrdup(port, length));
	return number >= 1 && number <= 65535;
}

/* "name", "name:port", "[address]" or "[address]:port". */
static bool
host_is_valid(const char *host, size_t length)
{
	const char *colon;
	const char *end = host + length;

	if (length > 0 && host[0] == '/')
		return true; /* a Unix socket */
	if (length > 0 && host[0] == '[')
	{
		const char *bracket = static_cast<const char *>(memchr(host, ']', length));
		if (bracket == nullptr || bracket == host + 1)
			return false;
		colon = bracket + 1 < end ? bracket + 1 : nullptr;
		if (colon != nullptr && *colon != ':')
			return false;
	}
	else
	{
		colon = static_cast<const char *>(memchr(host, ':', length));
		if (length == 0 || colon == host || strcspn(host, " \t\r\n?&#\\\"'<>%{}|^`]/") < length)
			return false;
	}
	return colon == nullptr || port_is_valid(colon + 1, static_cast<size_t>(end - colon - 1));
}

static void
check_hosts(const char *value)
{
	if (strchr(value, '@') != nullptr || strstr(value, "://") != nullptr)
		refuse_value(
			"hosts", "It must be a list of hosts, not a connection string.",
			"Write OPTIONS (hosts 'db1:27017,db2:27017', credentials 'entry'), and the user and "
			"password into the file that tenancy_mongo.credentials_file names.");

	for (const char *host = value;;)
	{
		size_t length = strcspn(host, ",");
		if (!host_is_valid(host, length))
			refuse_value("hosts",
						 "It must be \"host\" or \"host:port\", or several separated by commas.");
		if (host[length] == '\0')
			return;
		host += length + 1;
	}
}

static void
check_read_preference(const char *value)
{
	static constexpr const char *preferences[] = {"primary", "primaryPreferred", "secondary",
												  "secondaryPreferred", "nearest"};

	for (const char *preference : preferences)
		if (strcmp(value, preference) == 0)
			return;
	refuse_value("read_preference",
				 "It must be primary, primaryPreferred, secondary, secondaryPreferred or nearest.");
}

static void
check_read_concern(const char *value)
{
	static constexpr const char *levels[] = {"local", "available", "majority", "linearizable",
											 "snapshot"};

	for (const char *level : levels)
		if (strcmp(value, level) == 0)
			return;
	refuse_value("read_concern",
				 "It must be local, available, majority, linearizable or snapshot.");
}

/* A path's components become keys of filters and projections, where a leading dollar would be an operator. */
void
check_path(const char *name, const char *value)
{
	for (const char *part = value;;)
	{
		size_t length = strcspn(part, ".");
		if (length == 0)
			refuse_value(name, "A path is field names separated by dots, none of them empty.");
		if (part[0] == '$')
			refuse_value(name, "A field name of a path cannot start with a dollar sign.");
		if (part[length] == '\0')
			return;
		part += length + 1;
	}
}

static void
check_database(const char *value)
{
	const char *tenant = strstr(value, tenant_placeholder);
	const char *rest = tenant != nullptr ? tenant + strlen(tenant_placeholder) : value;
	size_t before = tenant != nullptr ? static_cast<size_t>(tenant - value) : 0;

	if (value[strcspn(value, "/\\. \"$")] != '\0')
		refuse_value("database",
					 "A database's name cannot have slashes, backslashes, dots, spaces, double "
					 "quotes or dollar signs.");
	if (strcspn(value, "{}") < before || rest[strcspn(rest, "{}")] != '\0')
		refuse_value("database", "Braces are for {tenant}, which stands there once.");
	if (tenant == nullptr && strlen(value) > max_database_name)
		refuse_value("database", psprintf("A database's name has at most %d bytes.",
										  static_cast<int>(max_database_name)));
}

static void
check_value(const OptionRule *rule, const char *value)
{
	if (value[0] == '\0')
		refuse_value(rule->name, "It must not be empty.");

	switch (rule->kind)
	{
		case OptionKind::text:
			break;
		case OptionKind::boolean:
			check_boolean(rule->name, value);
			break;
		case OptionKind::milliseconds:
			check_number(rule->name, value, 1, PG_INT32_MAX);
			break;
		case OptionKind::milliseconds_or_never:
			check_number(rule->name, value, 0, PG_INT32_MAX);
			break;
		case OptionKind::batch_size:
			check_number(rule->name, value, 1, max_batch_size);
			break;
		case OptionKind::hosts:
			check_hosts(value);
			break;
		case OptionKind::read_preference:
			check_read_preference(value);
			break;
		case OptionKind::read_concern:
			check_read_concern(value);
			break;
		case OptionKind::database:
			check_database(value);
			break;
		case OptionKind::path:
			check_path(rule->name, value);
			break;
	}
}

static void
check_privilege(const OptionRule *rule)
{
	if (!rule->privileged || superuser() ||
		has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to set option \"%s\" of a %s", rule->name,
					object_kind(rule->catalog)),
			 errdetail(
				 "Only superusers and roles with the privileges of pg_read_server_files may change "
				 "an object that has this option."),
			 errhint("GRANT pg_read_server_files TO %s;",
					 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

static DefElem *
find_option(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);
		if (strcmp(option->defname, name) == 0)
			return option;
	}
	return nullptr;
}

static void
check_required(List *options, Oid catalog)
{
	for (const OptionRule &rule : rules)
		if (rule.catalog == catalog && rule.required && find_option(options, rule.name) == nullptr)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
					 errmsg("option \"%s\" of a %s is required", rule.name, object_kind(catalog)),
					 errhint("Add OPTIONS (%s '...').", rule.name)));
}

/*
 * What the catalogue holds.
 */

static const char *
text_option(List *options, const char *name)
{
	DefElem *option = find_option(options, name);

	return option != nullptr ? defGetString(option) : nullptr;
}

static int
number_option(List *options, const char *name, int otherwise)
{
	const char *value = text_option(options, name);

	return value != nullptr ? check_number(name, value, 0, PG_INT32_MAX) : otherwise;
}

static bool
boolean_option(List *options, const char *name, bool otherwise)
{
	const char *value = text_option(options, name);

	return value != nullptr ? check_boolean(name, value) : otherwise;
}

ForeignServer *
mongo_server(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, true);

	if (!server)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("server \"%s\" does not exist", name),
						errhint("CREATE SERVER %s FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts "
								"'localhost:27017');",
								quote_identifier(name))));

	/* Another wrapper's server has other options. */
	const char *wrapper = GetForeignDataWrapper(server->fdwid)->fdwname;
	if (strcmp(wrapper, "tenancy_mongo") != 0)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("server \"%s\" is not a MongoDB server", name),
						errdetail("Its foreign-data wrapper is \"%s\".", wrapper)));
	return server;
}

ForeignServer *
usable_server(const char *name)
{
	ForeignServer *server = mongo_server(name);

	if (tenancy_foreign_server_aclcheck(server->serverid, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, name);
	return server;
}

bool
server_has_transactions(Oid server)
{
	return boolean_option(GetForeignServer(server)->options, "transactions", true);
}

TableOptions
table_options(Oid foreign_table)
{
	ForeignTable *table = GetForeignTable(foreign_table);
	List *options = table->options;
	List *server_options = GetForeignServer(table->serverid)->options;
	TableOptions result;

	/* The validator has seen to them, unless the table was made before there was one. */
	check_required(options, ForeignTableRelationId);
	result.database = text_option(options, "database");
	result.collection = text_option(options, "collection");
	result.tenant_field = text_option(options, "tenant_field");
	result.routed = strstr(result.database, tenant_placeholder) != nullptr;
	result.batch_size = number_option(options, "batch_size", 0);
	result.pushdown = boolean_option(options, "pushdown", true);
	result.read_concern = text_option(options, "read_concern");
	if (result.read_concern == nullptr)
		result.read_concern = text_option(server_options, "read_concern");
	result.updatable =
		boolean_option(options, "updatable", boolean_option(server_options, "updatable", true));
	result.truncatable = boolean_option(options, "truncatable", false);
	result.unnest = text_option(options, "unnest");
	result.updatable = result.updatable && result.unnest == nullptr;

	/* An Append waits as long as it takes. */
	result.async_capable =
		boolean_option(options, "async_capable",
					   boolean_option(server_options, "async_capable", async_by_default)) &&
		number_option(server_options, "socket_timeout", 0) == 0 && tenancy_append_heeds_interrupts();
	return result;
}

ColumnOptions
column_options(Oid foreign_table, AttrNumber attribute)
{
	List *options = GetForeignColumnOptions(foreign_table, attribute);
	ColumnOptions result;

	result.path = text_option(options, "path");
	if (result.path == nullptr)
		result.path = get_attname(foreign_table, attribute, false);
	result.document = boolean_option(options, "document", false);
	result.rest = boolean_option(options, "rest", false);
	result.object_id = boolean_option(options, "object_id", false);
	return result;
}

/* The options of a user's mapping; the mapping for PUBLIC is everybody's who has none. */
static List *
mapping_options(Oid server, Oid user)
{
	return OidIsValid(user_mapping_id(server, user)) ? GetUserMapping(user, server)->options : NIL;
}

Oid
user_mapping_id(Oid server, Oid user)
{
	Oid mapping = GetSysCacheOid2(USERMAPPINGUSERSERVER, Anum_pg_user_mapping_oid,
								  ObjectIdGetDatum(user), ObjectIdGetDatum(server));

	if (!OidIsValid(mapping))
		mapping = GetSysCacheOid2(USERMAPPINGUSERSERVER, Anum_pg_user_mapping_oid,
								  ObjectIdGetDatum(InvalidOid), ObjectIdGetDatum(server));
	return mapping;
}

static const char *
given(const std::string &value)
{
	return value.empty() ? nullptr : value.c_str();
}

static void
add_credentials(ConnectionOptions *options, const char *entry)
{
	/* The strings stay with the object: they live as long as the current memory context. */
	auto *credentials = own<Credentials>(CurrentMemoryContext);
	const char *file = credentials_file;

	if (!is_absolute_path(file))
		file = psprintf("%s/%s", DataDir, file);
	guarded([&] { *credentials = read_credentials(file, entry); });

	options->user = given(credentials->user);
	options->password = given(credentials->password);
	options->auth_source = given(credentials->auth_source);
	options->auth_mechanism = given(credentials->auth_mechanism);
	options->tls_ca_file = given(credentials->tls_ca_file);
	options->tls_certificate_file = given(credentials->tls_certificate_file);
}

ConnectionOptions
server_options(Oid server, Oid user)
{
	List *options = GetForeignServer(server)->options;
	ConnectionOptions result = {};

	check_required(options, ForeignServerRelationId);
	result.hosts = text_option(options, "hosts");
	result.replica_set = text_option(options, "replica_set");
	result.tls = boolean_option(options, "tls", false);
	result.application_name = text_option(options, "application_name");
	result.read_preference = text_option(options, "read_preference");
	result.connect_timeout_ms =
		number_option(options, "connect_timeout", default_connect_timeout_ms);
	result.server_selection_timeout_ms =
		number_option(options, "server_selection_timeout", default_server_selection_timeout_ms);
	result.socket_timeout_ms = number_option(options, "socket_timeout", 0);

	const char *entry = text_option(mapping_options(server, user), "credentials");
	if (entry == nullptr)
		entry = text_option(options, "credentials");
	if (entry != nullptr)
		add_credentials(&result, entry);
	return result;
}

} // namespace bridge

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_mongo_validator);

PGDLLEXPORT Datum
tenancy_mongo_validator(PG_FUNCTION_ARGS)
{
	List *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);
		const bridge::OptionRule *rule = bridge::find_rule(option->defname, catalog);

		if (rule == nullptr)
			bridge::refuse_option(option->defname, catalog);
		bridge::check_privilege(rule);
		bridge::check_value(rule, defGetString(option));
	}
	bridge::check_required(options, catalog);
	for (const char *name : {"document", "rest"})
		if (catalog == AttributeRelationId && bridge::find_option(options, name) != nullptr &&
			list_length(options) > 1)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("option \"%s\" of a column excludes its other options", name),
					 errdetail("A column is read from one field or holds the whole document.")));
	PG_RETURN_VOID();
}
}
