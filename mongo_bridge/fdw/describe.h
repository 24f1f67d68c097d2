/*
 * describe.h — from what a collection holds to the columns of a foreign table.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_DESCRIBE_H
#define PG_TENANCY_FDW_DESCRIBE_H

#ifndef POSTGRES_H
#include "../bson/shape.h"
#include "../client/client.h"
#include "../guard.h"
#endif

namespace bridge
{

/* What is asked of a description; the options of IMPORT FOREIGN SCHEMA. */
struct DescribeOptions
{
	int sample_size = 1000;	 /* documents; 0: the validator alone */
	int flatten = 0;		 /* levels of embedded documents that become columns of their own */
	bool fold = false;		 /* names in lower case */
	bool not_null = false;	 /* NOT NULL where validator and stored documents agree */
	const char *tenant_field = nullptr;
	const char *tenant = nullptr; /* whose documents are looked at; null: everybody's */
	const char *document = nullptr; /* name of a column for the whole document */
	const char *rest = nullptr;		/* name of a column for what no other column holds */
};

/* One collection of a database, as listCollections shows it. */
struct Collection
{
	const char *name;
	bool plain;		/* neither a view nor a time series */
	bool validated; /* the validator refuses what does not fit it */
	const uint8_t *validator; /* BSON; null: none */
	uint32_t validator_length;
};

/* The collections of a database by name, system.* among them; "only" asks for one. */
List *list_collections(Client *client, const char *database, const char *only);

/* The shape of a collection: its validator's, and a sample's. */
Shape *collection_shape(Client *client, const char *database, const Collection *collection,
						const DescribeOptions *options);

/* A column of a foreign table. */
struct DescribedColumn
{
	int field;		  /* of the shape */
	const char *name; /* null: left out, and "remark" tells why */
	const char *path;
	const char *type;	/* as CREATE FOREIGN TABLE takes it */
	bool object_id;
	bool not_null;
	const char *remark; /* null: nothing to say */
};

/* Of DescribedColumn, in the order of their appearance; _id comes first. */
List *describe_columns(Client *client, const char *database, const Collection *collection,
					   const Shape *shape, const DescribeOptions *options);

/* "string (90), int (10)" */
char *seen_types_text(const Shape *shape, int field);

/*
 * A name for "original" among SQL's: cut to 63 bytes, in lower case if "fold".  Names that could meet another one's, or
 * that are cut, get a suffix made of the seed.
 */
const char *plain_name(const char *original, bool fold);
const char *distinct_name(const char *original, const char *seed, bool fold);
bool name_is_cut(const char *original);

/* A connection that answers: one that was kept may have died. */
Client *living_client(Oid server, Oid user);

} // namespace bridge

#endif
