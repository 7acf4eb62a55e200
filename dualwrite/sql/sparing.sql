-- name: load
-- What a server has to do besides relaying: sessions at work in this database, and how far its slowest replica is behind.
SELECT (SELECT count(*) FROM pg_stat_activity a
         WHERE a.datname = current_database() AND a.state = 'active' AND a.backend_type = 'client backend'
           AND a.pid <> pg_backend_pid() AND a.application_name NOT LIKE 'dualwrite %'),
       (SELECT coalesce(max(extract(epoch FROM r.replay_lag)), 0)::float8 FROM pg_stat_replication r)
