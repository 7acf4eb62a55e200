"""Watching: asks both stores, Redis and the machine how they are, and tells it to people and to Prometheus.

The flow, in the order of the data:

1. `own_connections` gives the asking thread unpooled connections of its own, with limits kept by the server.
2. `side_by_side` runs questions in threads, each with a limit: what hangs is left behind, never waited for.
3. `checks` are the questions about health, declared as frozen dataclasses; `health` runs them.
4. `streams` asks the same way how the streams stand; `overview` puts both together into one report.
   `retention` and `validations` tell how those stand, `schedule` when each periodic task ran and comes next.
5. `snapshot` keeps what Prometheus is shown for some seconds, of the streams and, by `totals`, of what the registry's
   rows add up to; `collector` and `total_families` turn it into metrics.
6. `multiprocess` adds up what the processes of a service count themselves (`dualwrite.measured`); `page` shows it where
   there is no web server.
7. `history` keeps how everything was, with the `canaries` it sends; `objectives` tells what is left of the promises.
8. `alerts` measures the same by rules, and tells people what is bad; `names` are the names of all metrics.

Nothing here knows the operators' API; commands, endpoints and metrics render the same answers.

How it can fail, and the answer:

* a server accepts connections and then says nothing → the limit of the check, DOWN;
* a question hangs for good and is asked again and again → the one under way is waited for, no other begun;
* a server is away → found out once for each connection, not once for each statement;
* nobody looked, or nobody can tell → UNKNOWN now and blind time in the history, never UP.
"""
