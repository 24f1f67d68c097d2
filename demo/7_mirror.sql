SELECT local_table, state, rows_copied, events_applied, lag_seconds, last_error, misfits FROM tenancy_mongo.stat_mirror;
