/*
 * system_catalog.cpp — what the catalogue of systems asks of C: who registers a row.
 */
#include "tenancy.h"

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_registering_extension);

/* The extension whose script runs now, or NULL. */
PGDLLEXPORT Datum
tenancy_registering_extension(PG_FUNCTION_ARGS)
{
	if (!creating_extension)
		PG_RETURN_NULL();

	Name name = (Name) palloc0(NAMEDATALEN);
	namestrcpy(name, get_extension_name(CurrentExtensionObject));
	PG_RETURN_NAME(name);
}
}
