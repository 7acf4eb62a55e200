"""Settings of every connection to a store, given when it is opened. Imported by the settings, so it imports nothing."""

#: Values travel as text between the stores and are compared as text, so both must write and read them alike. Rows that
#: a policy hides from the engine's role would be taken for deleted: with row_security off the server raises instead.
SESSION = (
    "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex"
    " -c row_security=off"
)
#: Of a dedicated connection: as long as the work takes, whatever the role's own limit, but no endless wait for a lock.
DEDICATED = "-c statement_timeout=0 -c lock_timeout=10s -c idle_in_transaction_session_timeout=5min"
#: Of the connection by which others see that a relay is alive: it asks something every second. One that is silent is
#: of a process that stands still, or of a machine that is gone, and its partitions are for others.
PRESENCE = "-c idle_session_timeout=4s"
#: Of a relay's connection. One side is silent while the other works on a batch, which may take minutes;
#: a session silent for longer, or idle within a transaction, belongs to a process that stands still.
RELAY = "-c idle_session_timeout=5min -c idle_in_transaction_session_timeout=30s"
