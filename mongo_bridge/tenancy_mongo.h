/*
 * tenancy_mongo.h — what the parts of tenancy_mongo.so share beside their own headers.
 */
#ifndef PG_TENANCY_TENANCY_MONGO_H
#define PG_TENANCY_TENANCY_MONGO_H

#include "pg.h"

namespace bridge
{

extern char *credentials_file;

/* fdw/modify.cpp: what is written before a statement's triggers fire. */
void modify_init();

/* fdw/look_up_join.cpp: joins by batches of look-ups. */
void look_up_init();

/* bgworker/supervisor.cpp: the mirror's settings. */
void mirror_init();

} // namespace bridge

#endif
