-- name: follow
-- The number of a store that takes no writes, as long as it is the one that was found.
UPDATE dualwrite.stream_state SET partitions = %(partitions)s, changed_at = now()
 WHERE stream = %(stream)s AND role IN ('mirror', 'detached') AND partitions = %(before)s

-- name: lead
-- That of the authority, as long as nothing is noted: what is noted has its partition in its number.
UPDATE dualwrite.stream_state SET partitions = %(partitions)s, changed_at = now()
 WHERE stream = %(stream)s AND role = %(role)s
   AND NOT EXISTS (SELECT FROM dualwrite.outbox WHERE lane BETWEEN %(lanes)s AND %(lanes)s | 127)
