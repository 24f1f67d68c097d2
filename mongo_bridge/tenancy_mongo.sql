-- tenancy_mongo: MongoDB for tenancy.
\echo Use "CREATE EXTENSION tenancy_mongo CASCADE" to load this file. \quit
