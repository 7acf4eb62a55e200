-- name: sizes
-- Bytes of the outbox with its index, and of the whole database, on whose disk it is.
SELECT pg_total_relation_size('dualwrite.outbox'), pg_database_size(current_database())
