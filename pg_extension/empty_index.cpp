/*
 * empty_index.cpp — a system's empty indexes are made without a build.
 *
 * Up to PostgreSQL 16 every build of a B-tree writes past the buffer cache and therefore ends in an fsync, the build of an
 * empty index too.  A system of ten tables has some forty indexes, counting those of keys and of TOAST tables, and their
 * fsyncs are half of the time that provisioning takes, more on a busy disk.
 *
 * An empty B-tree is its metapage.  Written through the buffer cache and logged, as every later change of the index is, it
 * needs no fsync: the checkpoint sees the buffer, recovery and standbys replay the page.  ambuildempty() of PostgreSQL 16
 * makes the init fork of an unlogged index in the same way.
 *
 * While a script of a system runs, an object access hook sees each new index after it has been entered into the catalogs
 * and before it is built, and puts a function of ours in the place of the build in that relation's own copy of its access
 * method.  Nothing else differs: the index, its catalog rows, its locks and what pg_dump says are those of the statement.
 * The function looks at the table again and leaves anything that is not empty to the access method.
 */
#include "tenancy.h"

namespace tenancy
{
namespace
{

object_access_hook_type previous_object_access = nullptr;
ambuild_function btree_build = nullptr;

void
write_metapage(Relation index)
{
	bool all_equal_image = _bt_allequalimage(index, false);
	/* Nobody else can see the index, so that extending it needs no lock. */
	Buffer buffer =
		ReadBufferExtended(index, MAIN_FORKNUM, P_NEW, RBM_ZERO_AND_LOCK, nullptr);

	Assert(BufferGetBlockNumber(buffer) == BTREE_METAPAGE);
	START_CRIT_SECTION();
	_bt_initmetapage(BufferGetPage(buffer), P_NONE, 0, all_equal_image);
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(index))
		log_newpage_buffer(buffer, true);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
}

IndexBuildResult *
build(Relation table, Relation index, IndexInfo *info)
{
	if (RelationGetNumberOfBlocks(table) != 0 || RelationGetNumberOfBlocks(index) != 0 ||
		index->rd_createSubid == InvalidSubTransactionId || info->ii_Concurrent)
		return btree_build(table, index, info);

	write_metapage(index);
	return static_cast<IndexBuildResult *>(palloc0(sizeof(IndexBuildResult)));
}

/* The catalog rows are not visible to the syscaches yet. */
bool
is_new_btree(Oid relation)
{
	Relation classes = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	SysScanDesc scan =
		systable_beginscan(classes, ClassOidIndexId, true, SnapshotSelf, 1, &key);
	HeapTuple tuple = systable_getnext(scan);
	bool result = HeapTupleIsValid(tuple) &&
				  ((Form_pg_class) GETSTRUCT(tuple))->relkind == RELKIND_INDEX &&
				  ((Form_pg_class) GETSTRUCT(tuple))->relam == BTREE_AM_OID;
	systable_endscan(scan);
	table_close(classes, AccessShareLock);
	return result;
}

void
object_access(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *argument)
{
	if (previous_object_access)
		previous_object_access(access, class_id, object, sub_id, argument);
	if (!TENANCY_EMPTY_INDEX_SYNCS || !OidIsValid(script_schema()) || access != OAT_POST_CREATE ||
		class_id != RelationRelationId || sub_id != 0 || !is_new_btree(object))
		return;

	/* index_create() does the same in its next line: now the relation has its access method. */
	CommandCounterIncrement();
	Relation index = RelationIdGetRelation(object);
	if (RelationIsValid(index) && index->rd_indam)
	{
		btree_build = index->rd_indam->ambuild == build ? btree_build : index->rd_indam->ambuild;
		index->rd_indam->ambuild = build;
	}
	if (RelationIsValid(index))
		RelationClose(index);
}

} // namespace

void
empty_index_init()
{
	previous_object_access = object_access_hook;
	object_access_hook = object_access;
}

} // namespace tenancy
