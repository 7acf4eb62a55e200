-- name: source
-- The records given as JSON, in their order.
SELECT * FROM ROWS FROM (json_to_recordset({json}::json) AS ({definitions})) WITH ORDINALITY AS r ({names}, ordinal)

-- name: keys
-- Their keys, as the table will have them.
SELECT {key} AS key, t.ordinal FROM (SELECT {columns}, r.ordinal FROM ({source}) AS r) AS t

-- name: put
-- In one message, so in one transaction: no other call of this service is between seeing that a key has no row and
-- inserting it; refuse records that are one in the table; make the table have the records, also where it has them already,
-- so that they are noted; tell the keys, each with the bits of its hash that are its partition among 64.
SELECT pg_advisory_xact_lock(25728, locks.number)
  FROM (SELECT DISTINCT hashtext({stream} || (hashtextextended(k.key, 0) & 255)) AS number
          FROM ({keys}) AS k WHERE k.key IS NOT NULL ORDER BY 1) AS locks;
SELECT dualwrite.refuse_v1(format('records %s and %s have the same key %s', min(k.ordinal), max(k.ordinal), k.key))
  FROM ({keys}) AS k WHERE k.key IS NOT NULL GROUP BY k.key HAVING count(*) > 1;
MERGE INTO {table} AS t USING ({source}) AS r ON {match}
 WHEN MATCHED THEN UPDATE SET {assignments}
 WHEN NOT MATCHED THEN INSERT ({written}) VALUES ({values});
SELECT k.key, (hashtextextended(k.key, 0) & 63)::int FROM ({keys}) AS k ORDER BY k.ordinal

-- name: remove
-- In one message, so in one transaction, under the same locks: the table has no record of these keys any more; tell those
-- of which it had one, each with the bits of its hash that are its partition among 64.
SELECT pg_advisory_xact_lock(25728, locks.number)
  FROM (SELECT DISTINCT hashtext({stream} || (hashtextextended(k.key, 0) & 255)) AS number
          FROM ({keys}) AS k WHERE k.key IS NOT NULL ORDER BY 1) AS locks;
WITH gone AS (DELETE FROM {table} AS t USING ({source}) AS r WHERE {match} AND {is_record} RETURNING {key} AS key)
SELECT DISTINCT gone.key, (hashtextextended(gone.key, 0) & 63)::int FROM gone

-- name: amend
-- Likewise: the table's records of these keys have these fields; tell those of which it has one.
SELECT pg_advisory_xact_lock(25728, locks.number)
  FROM (SELECT DISTINCT hashtext({stream} || (hashtextextended(k.key, 0) & 255)) AS number
          FROM ({keys}) AS k WHERE k.key IS NOT NULL ORDER BY 1) AS locks;
WITH amended AS (UPDATE {table} AS t SET {assignments} FROM ({source}) AS r WHERE {match} AND {is_record}
                 RETURNING {key} AS key)
SELECT DISTINCT amended.key, (hashtextextended(amended.key, 0) & 63)::int FROM amended
