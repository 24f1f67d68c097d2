/*
 * tenancy_business.sql — management systems for businesses, as rows in the catalogue of tenancy.
 */

-- complain if this file is read by psql and not by CREATE EXTENSION
\echo Use "CREATE EXTENSION tenancy_business" to load this file. \quit
