-- name: server
-- Which server it is, and whether it takes writes.
SELECT current_setting('server_version'), current_database(), current_setting('transaction_read_only')::boolean

-- name: partitions_held
-- On the authority: how many of these partitions a living session has taken for relaying.
SELECT count(*)
  FROM unnest(%(names)s::text[]) AS wanted (name)
  JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.classid = 25720 AND l.objsubid = 2
       AND l.objid::bigint = hashtext(wanted.name)::bigint & 4294967295
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  JOIN pg_stat_activity a USING (pid)

-- name: holders
-- On the mirror: which relays hold its fences, as host:process.
SELECT DISTINCT holder FROM dualwrite.relay_fence WHERE stream = %(stream)s AND holder IS NOT NULL ORDER BY holder

-- name: prune_health
-- Remove the oldest looks before a time, so many at most.
DELETE FROM dualwrite_health
 WHERE id IN (SELECT id FROM dualwrite_health WHERE at < %(before)s ORDER BY at LIMIT %(most)s)

-- name: availability
-- Of each component: seconds up, seconds down, and seconds of the window since the first look at it there ever was. A
-- look speaks until the next one, and for so many seconds at most; UNKNOWN speaks for nothing.
WITH asked AS (SELECT %(now)s::timestamptz AS now, %(speaks)s * interval '1 second' AS speaks,
                      %(now)s::timestamptz - %(seconds)s * interval '1 second' AS begins),
     looks AS (SELECT h.component, h.status, h.at,
                      lead(h.at) OVER (PARTITION BY h.component ORDER BY h.at, h.id) AS next_at
                 FROM asked JOIN dualwrite_health h ON h.at > asked.begins - asked.speaks AND h.at <= asked.now
                WHERE h.subject = ''),
     spoken AS (SELECT component, status, greatest(0, extract(epoch FROM least(next_at, at + asked.speaks, asked.now)
                                                                         - greatest(at, asked.begins))) AS seconds
                  FROM looks, asked)
SELECT found.component, found.up, found.down,
       extract(epoch FROM asked.now - greatest(asked.begins, (SELECT min(f.at) FROM dualwrite_health f
                                                               WHERE f.component = found.component AND f.subject = '')))
  FROM (SELECT component, coalesce(sum(seconds) FILTER (WHERE status = 'UP'), 0) AS up,
               coalesce(sum(seconds) FILTER (WHERE status IN ('DOWN', 'OUT_OF_SERVICE')), 0) AS down
          FROM spoken GROUP BY component) AS found, asked

-- name: last_health
-- Of each component looked at: status and time of the last look, since when it has had that status, and the error.
SELECT last.component, last.status, last.at,
       (SELECT min(s.at) FROM dualwrite_health s
         WHERE s.component = last.component AND s.subject = '' AND s.at <= last.at
           AND s.at > coalesce((SELECT max(o.at) FROM dualwrite_health o
                                 WHERE o.component = last.component AND o.subject = '' AND o.at <= last.at
                                   AND o.status <> last.status), '-infinity')),
       last.error
  FROM (SELECT DISTINCT ON (h.component) h.component, h.status, h.at, h.error
          FROM dualwrite_health h
         WHERE h.subject = '' AND h.at > %(now)s::timestamptz - %(seconds)s * interval '1 second'
           AND h.at <= %(now)s::timestamptz
         ORDER BY h.component, h.at DESC, h.id DESC) AS last

-- name: clock
-- What time it is there.
SELECT clock_timestamp()
