-- name: notes_left
-- Whether anything of the stream waits to be relayed.
SELECT EXISTS (SELECT FROM dualwrite.outbox WHERE lane BETWEEN %(lanes)s AND %(lanes)s | 127)

-- name: forget_notes
-- Nobody will relay them any more.
DELETE FROM dualwrite.outbox WHERE lane BETWEEN %(lanes)s AND %(lanes)s | 127
