"""Several daemons on one database, which share the work and take over from each other."""
