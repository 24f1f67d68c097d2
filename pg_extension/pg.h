/*
 * pg.h — the prelude: every server header that the project uses, and every difference between server versions.
 *
 * It is the only file that includes the server's headers or asks for PG_VERSION_NUM.  The server's headers are C;
 * they come inside extern "C", and nothing else may.  C++ and driver headers are included first, this file last:
 * port.h renames snprintf and its kin.
 */
#ifndef PG_TENANCY_PG_H
#define PG_TENANCY_PG_H

extern "C"
{
#include "postgres.h"

#include "access/amapi.h"
#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/nbtree.h"
#include "access/parallel.h"
#include "access/reloptions.h"
#include "access/relation.h"
#include "access/skey.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xloginsert.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_database.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_shdepend.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_statistic_ext_data.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "commands/async.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/event_trigger.h"
#include "commands/explain.h"
#include "commands/extension.h"
#include "commands/progress.h"
#include "commands/schemacmds.h"
#include "commands/sequence.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "commands/vacuum.h"
#include "common/base64.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "common/shortest_dec.h"
#include "common/hashfn.h"
#include "executor/execAsync.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "executor/nodeModifyTable.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "libpq/pqsignal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/appendinfo.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "optimizer/planmain.h"
#include "optimizer/prep.h"
#include "optimizer/planner.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_func.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "parser/parsetree.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/origin.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rowsecurity.h"
#include "storage/buffile.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "storage/pmsignal.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/procsignal.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/backend_progress.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/index_selfuncs.h"
#include "utils/inval.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/partcache.h"
#include "utils/pg_locale.h"
#include "utils/portal.h"
#include "utils/ps_status.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/ruleutils.h"
#include "utils/selfuncs.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/uuid.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
}

#if PG_VERSION_NUM < 150000
#error "pg_tenancy needs PostgreSQL 15 or newer"
#endif

/* The check hooks' extra data: the server frees it, with free() up to 15 and with guc_free() since 16. */
#if PG_VERSION_NUM >= 160000
#define tenancy_guc_malloc(elevel, size) guc_malloc(elevel, size)
#define tenancy_guc_strdup(elevel, text) guc_strdup(elevel, text)
#define tenancy_guc_free(pointer) guc_free(pointer)
#else
#define tenancy_guc_malloc(elevel, size) malloc(size)
#define tenancy_guc_strdup(elevel, text) strdup(text)
#define tenancy_guc_free(pointer) free(pointer)
#endif

/* The last parameter of ExecutorRun, which 18 dropped. */
#if PG_VERSION_NUM >= 180000
#define TENANCY_EXECUTE_ONCE_PARAMETER
#define TENANCY_EXECUTE_ONCE
#else
#define TENANCY_EXECUTE_ONCE_PARAMETER , bool execute_once
#define TENANCY_EXECUTE_ONCE , execute_once
#endif

/* 16 put permissions into a list of their own. */
#if PG_VERSION_NUM >= 160000
#define TENANCY_PERMISSIONS_PARAMETER , List *permissions
#define TENANCY_PERMISSIONS , permissions
#define TENANCY_PERMISSION_LIST(range_table) permissions
#define TENANCY_IS_RELATION(entry) true
using TenancyPermission = RTEPermissionInfo;
#else
#define TENANCY_PERMISSIONS_PARAMETER
#define TENANCY_PERMISSIONS
#define TENANCY_PERMISSION_LIST(range_table) range_table
#define TENANCY_IS_RELATION(entry) ((entry)->rtekind == RTE_RELATION)
using TenancyPermission = RangeTblEntry;
#endif

/* 16 gave the catalogues one function each for ownership and privileges. */
#if PG_VERSION_NUM >= 160000
#define tenancy_object_ownercheck(classid, objectid, role) object_ownercheck(classid, objectid, role)
#define tenancy_database_aclcheck(database, role, mode)                                            \
	object_aclcheck(DatabaseRelationId, database, role, mode)
#define tenancy_foreign_server_aclcheck(server, role, mode)                                        \
	object_aclcheck(ForeignServerRelationId, server, role, mode)
#else
static inline bool
tenancy_object_ownercheck(Oid classid, Oid objectid, Oid role)
{
	switch (classid)
	{
		case DatabaseRelationId:
			return pg_database_ownercheck(objectid, role);
		case ExtensionRelationId:
			return pg_extension_ownercheck(objectid, role);
		case ForeignServerRelationId:
			return pg_foreign_server_ownercheck(objectid, role);
		case NamespaceRelationId:
			return pg_namespace_ownercheck(objectid, role);
		default:
			Assert(classid == RelationRelationId);
			return pg_class_ownercheck(objectid, role);
	}
}
#define tenancy_database_aclcheck(database, role, mode) pg_database_aclcheck(database, role, mode)
#define tenancy_foreign_server_aclcheck(server, role, mode)                                        \
	pg_foreign_server_aclcheck(server, role, mode)
#endif

/*
 * The executor's state outside a query: 16 moved what a range table may read and write into a list of its own, without which
 * not even a violated constraint can be reported; 18 wants to know what was pruned.
 */
static inline void
tenancy_init_range_table(EState *estate, List *range_table)
{
#if PG_VERSION_NUM >= 160000
	List *permissions = NIL;
	ListCell *cell;

	foreach (cell, range_table)
		addRTEPermissionInfo(&permissions, lfirst_node(RangeTblEntry, cell));
#if PG_VERSION_NUM >= 180000
	ExecInitRangeTable(estate, range_table, permissions,
					   bms_add_range(nullptr, 1, list_length(range_table)));
#else
	ExecInitRangeTable(estate, range_table, permissions);
#endif
#else
	ExecInitRangeTable(estate, range_table);
#endif
}
#if PG_VERSION_NUM >= 160000
#define tenancy_init_epq(epq, estate) EvalPlanQualInit(epq, estate, nullptr, NIL, -1, NIL)
#define tenancy_insert_index_tuples(relation, slot, estate)                                        \
	ExecInsertIndexTuples(relation, slot, estate, false, false, nullptr, NIL, false)
#else
#define tenancy_init_epq(epq, estate) EvalPlanQualInit(epq, estate, nullptr, NIL, -1)
#define tenancy_insert_index_tuples(relation, slot, estate)                                        \
	ExecInsertIndexTuples(relation, slot, estate, false, false, nullptr, NIL)
#endif

/* What an interrupted DROP DATABASE leaves; known since the minor releases of August 2023. */
#ifdef DATCONNLIMIT_INVALID_DB
#define tenancy_database_is_invalid(form) ((form)->datconnlimit == DATCONNLIMIT_INVALID_DB)
#else
#define tenancy_database_is_invalid(form) false
#endif

/* Paths of foreign scans: 17 added restrictions of joins, 18 the number of disabled nodes. */
#if PG_VERSION_NUM >= 180000
#define tenancy_foreign_path(root, rel, rows, startup, total, keys, outer, priv)                   \
	create_foreignscan_path(root, rel, NULL, rows, 0, startup, total, keys, outer, NULL, NIL, priv)
#define tenancy_foreign_upper_path(root, rel, target, rows, startup, total, keys, priv)            \
	create_foreign_upper_path(root, rel, target, rows, 0, startup, total, keys, NULL, NIL, priv)
#elif PG_VERSION_NUM >= 170000
#define tenancy_foreign_path(root, rel, rows, startup, total, keys, outer, priv)                   \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, keys, outer, NULL, NIL, priv)
#define tenancy_foreign_upper_path(root, rel, target, rows, startup, total, keys, priv)            \
	create_foreign_upper_path(root, rel, target, rows, startup, total, keys, NULL, NIL, priv)
#else
#define tenancy_foreign_path(root, rel, rows, startup, total, keys, outer, priv)                   \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, keys, outer, NULL, priv)
#define tenancy_foreign_upper_path(root, rel, target, rows, startup, total, keys, priv)            \
	create_foreign_upper_path(root, rel, target, rows, startup, total, keys, NULL, priv)
#endif

/* Nodes that a path is made of although they are disabled, which 18 counts. */
#if PG_VERSION_NUM >= 180000
#define tenancy_inherit_disabled(path, from) ((path)->disabled_nodes = (from)->disabled_nodes)
#else
#define tenancy_inherit_disabled(path, from) ((void) 0)
#endif

/* As whom a foreign scan reads: the owner of the view that it stands in, or the current user. */
#if PG_VERSION_NUM >= 160000
#define tenancy_scan_user(plan, rte)                                                               \
	(OidIsValid((plan)->checkAsUser) ? (plan)->checkAsUser : GetUserId())
#else
#define tenancy_scan_user(plan, rte)                                                               \
	(OidIsValid((rte)->checkAsUser) ? (rte)->checkAsUser : GetUserId())
#endif

/* As whom a foreign table is written; a partition that a row was routed to has no range table entry
 * of its own. */
#if PG_VERSION_NUM >= 160000
#define tenancy_modify_user(relinfo, estate) ExecGetResultRelCheckAsUser(relinfo, estate)
#else
static inline Oid
tenancy_modify_user(ResultRelInfo *relinfo, EState *estate)
{
	ResultRelInfo *named =
		relinfo->ri_RangeTableIndex == 0 ? relinfo->ri_RootResultRelInfo : relinfo;
	Oid user = named != nullptr && named->ri_RangeTableIndex > 0
				   ? exec_rt_fetch(named->ri_RangeTableIndex, estate)->checkAsUser
				   : InvalidOid;

	return OidIsValid(user) ? user : GetUserId();
}
#endif

/* Which relations a foreign scan without a scanrelid stands for. */
#if PG_VERSION_NUM >= 160000
#define tenancy_scan_relids(plan) ((plan)->fs_base_relids)
#else
#define tenancy_scan_relids(plan) ((plan)->fs_relids)
#endif

/* True if a collation compares strings by their bytes; 18 keeps that in the locale itself. */
#if PG_VERSION_NUM >= 180000
#define tenancy_collation_is_c(collation) (pg_newlocale_from_collation(collation)->collate_is_c)
#else
#define tenancy_collation_is_c(collation) lc_collate_is_c(collation)
#endif

/* Runs a portal to its end, as a client's statement; 18 dropped a parameter. */
#if PG_VERSION_NUM >= 180000
#define tenancy_portal_run(portal, receiver, completion)                                           \
	PortalRun(portal, FETCH_ALL, true, receiver, receiver, completion)
#else
#define tenancy_portal_run(portal, receiver, completion)                                           \
	PortalRun(portal, FETCH_ALL, true, true, receiver, receiver, completion)
#endif

/* 17 moved the local transaction id. */
#if PG_VERSION_NUM >= 170000
#define tenancy_my_lxid() (MyProc->vxid.lxid)
#else
#define tenancy_my_lxid() (MyProc->lxid)
#endif

/* A bit of the security context that the server does not use: code of ours has taken a role, no function lends it. */
#define TENANCY_SECURITY_OWN 0x4000

/* Privileges on a table that policies do not bind; 17 added MAINTAIN. */
#if PG_VERSION_NUM >= 170000
#define TENANCY_ACL_PAST_POLICIES (ACL_TRUNCATE | ACL_REFERENCES | ACL_TRIGGER | ACL_MAINTAIN)
#define TENANCY_ACL_PAST_POLICIES_WORDS "TRUNCATE, REFERENCES, TRIGGER, MAINTAIN"
#else
#define TENANCY_ACL_PAST_POLICIES (ACL_TRUNCATE | ACL_REFERENCES | ACL_TRIGGER)
#define TENANCY_ACL_PAST_POLICIES_WORDS "TRUNCATE, REFERENCES, TRIGGER"
#endif

/* Executor and access methods: what 18 wants to know besides. */
#if PG_VERSION_NUM >= 180000
#define tenancy_scanned_relation(estate, index) ExecGetRangeTableRelation(estate, index, false)
#define tenancy_index_beginscan(table, index, snapshot, keys)                                      \
	index_beginscan(table, index, snapshot, nullptr, keys, 0)
#else
#define tenancy_scanned_relation(estate, index) ExecGetRangeTableRelation(estate, index)
#define tenancy_index_beginscan(table, index, snapshot, keys)                                      \
	index_beginscan(table, index, snapshot, keys, 0)
#endif

/* 16 asks who else may apply as the same origin. */
#if PG_VERSION_NUM >= 160000
#define tenancy_replorigin_setup(origin) replorigin_session_setup(origin, 0)
#else
#define tenancy_replorigin_setup(origin) replorigin_session_setup(origin)
#endif

/* The RETURNING of a statement; 18 made a node of it. */
#if PG_VERSION_NUM >= 180000
#define tenancy_returns(statement) ((statement)->returningClause != nullptr)
#else
#define tenancy_returns(statement) ((statement)->returningList != NIL)
#endif

/* Whether a path key descends; 18 has an enum in a strategy's place. */
#if PG_VERSION_NUM >= 180000
#define tenancy_pathkey_descends(pathkey) ((pathkey)->pk_cmptype == COMPARE_GT)
#else
#define tenancy_pathkey_descends(pathkey) ((pathkey)->pk_strategy == BTGreaterStrategyNumber)
#endif

/* Bytes to base64: characters up to 17. */
#if PG_VERSION_NUM >= 180000
#define tenancy_b64_encode(bytes, length, text, size) pg_b64_encode(bytes, length, text, size)
#else
#define tenancy_b64_encode(bytes, length, text, size)                                              \
	pg_b64_encode(reinterpret_cast<const char *>(bytes), length, text, size)
#endif

/* Rounds a timestamp to a type's digits; 16 can say where an error goes. */
#if PG_VERSION_NUM >= 160000
#define tenancy_round_timestamp(timestamp, typmod)                                                 \
	AdjustTimestampForTypmod(timestamp, typmod, nullptr)
#else
#define tenancy_round_timestamp(timestamp, typmod) AdjustTimestampForTypmod(timestamp, typmod)
#endif
/* Until 17 the build of an empty B-tree ended in an fsync. */
#define TENANCY_EMPTY_INDEX_SYNCS (PG_VERSION_NUM < 170000)

/* 17 limits a transaction's time as well. */
#if PG_VERSION_NUM >= 170000
#define tenancy_transaction_timeout_pending() (TransactionTimeoutPending)
#else
#define tenancy_transaction_timeout_pending() false
#endif

/* The timeouts that end a statement, as a list for an array's initialiser. */
#if PG_VERSION_NUM >= 170000
#define TENANCY_STATEMENT_TIMEOUTS STATEMENT_TIMEOUT, TRANSACTION_TIMEOUT
#else
#define TENANCY_STATEMENT_TIMEOUTS STATEMENT_TIMEOUT
#endif

/* How much is to be known of a column, -1 for the default, and where its analysis finds that: 17 moved both. */
#if PG_VERSION_NUM >= 170000
static inline int
tenancy_statistics_target(Oid relation, Form_pg_attribute attribute)
{
	HeapTuple tuple =
		SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(attribute->attnum));
	bool isnull = true;
	Datum target = (Datum) 0;

	if (HeapTupleIsValid(tuple))
	{
		target = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attstattarget, &isnull);
		ReleaseSysCache(tuple);
	}
	return isnull ? -1 : DatumGetInt16(target);
}
#define tenancy_set_statistics_target(stats, attribute, target) ((stats)->attstattarget = (target))
#else
#define tenancy_statistics_target(relation, attribute) ((attribute)->attstattarget)
static inline void
tenancy_set_statistics_target(VacAttrStats *stats, Form_pg_attribute attribute, int target)
{
	stats->attr = static_cast<Form_pg_attribute>(palloc(ATTRIBUTE_FIXED_PART_SIZE));
	memcpy(stats->attr, attribute, ATTRIBUTE_FIXED_PART_SIZE);
	stats->attr->attstattarget = target;
}
#endif

/* Whether an Append that waits for foreign scans can be cancelled: since the minor releases of May 2025. */
static inline bool
tenancy_append_heeds_interrupts(void)
{
	int version = atoi(GetConfigOption("server_version_num", false, false));

	return version >= 180000 || (version < 180000 && version >= 170005) ||
		   (version < 170000 && version >= 160009) || (version < 160000 && version >= 150013);
}

/* A walker as the tree walkers take it: 16 gave it a prototype. */
#if PG_VERSION_NUM >= 160000
#define tenancy_walker(walker) (walker)
#else
#define tenancy_walker(walker) ((bool (*)())(void (*)(void))(walker))
#endif

#endif
