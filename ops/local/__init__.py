"""Everything the project needs, on one machine, for one checkout.

Flow: cli (which sub-command) -> place (where its files are) -> environment (which servers; credentials for
ours) -> services (PostgreSQL and Valkey, started or joined) -> provision (roles, databases, the old tables)
-> application (migrate, install, main job) -> supervisor (web, worker, beat, relay until told to stop).
"""
