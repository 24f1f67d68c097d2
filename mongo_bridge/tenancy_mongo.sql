/*
 * tenancy_mongo.sql — how the install script of the MongoDB part begins.
 */

-- complain if this file is read by psql and not by CREATE EXTENSION
\echo Use "CREATE EXTENSION tenancy_mongo CASCADE" to load this file. \quit

-- Operators and types in what follows are the server's own, whatever lies on the path.
SET LOCAL search_path TO pg_catalog, pg_temp;
