SELECT * FROM tenancy_mongo.stat_mirror;
