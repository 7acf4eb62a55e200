"""Live configuration: what the config service and operators say, in the memory of every process, and kept.

How it can fail, and the answer to each:

- The config service is down, slow, or answers nonsense: it is asked in the background, with a limit, by one process at
  a time; what it said last and was good is stored and counts on. A parameter never waits for it.
- It stays away: the time until it is asked again doubles, for all processes (`ConfigSource.ask_at`); the one who finds
  that time come claims it by a conditional update, so one probe goes out, not twenty. Told once when it begins, once
  when it ends.
- One value is none: that parameter keeps its last good one, and the others change. Which it is stands in the report.
- The registry is away: the process keeps what it has in memory. One that starts then has environment and defaults,
  says so, and reads as soon as it can.
- Redis is away: changes are seen at the next look, some seconds later, instead of at once.
- Two operators set one parameter: each change is a row with who and why; the later one counts.
- A value makes deletion less careful from afar: it does not count (`Parameter.careful`).
- DUAL_WRITE_ENABLED goes from true to false in the service or by an operator: every stream is disabled, once, by
  whichever process keeps the change.

1. `load` reads what is stored into memory; `refresh` does so again and again on a thread, sooner when `push` says so.
2. `fetch` asks the config service, `keep` stores what it said and what changed; `refresh` decides who asks, and when.
3. `overriding` is what operators do; `reaction` what a change sets off; `report` what people are shown.
"""
