"""Alerts: rules say what is bad, an evaluation finds it, people are told once, and told again when it is over.

The flow, in the order of the data:

1. `sources` measure: each function is about one or a few `Measure`s, asked side by side, each with a limit.
2. `states` is pure: rules, samples, open alerts and the time in, transitions out.
3. `keep` stores transitions, each with its row of history and the messages it sets off, in one transaction.
4. `deliver` sends what is due over `channels`; `operate` is what people do; `report` what they are shown.
5. `evaluation` does 1 to 4 once. The scheduled task and the command `alerts` call it; `seeds` is what it begins with.

How it can fail, and the answer:

* Two workers evaluate at once: one open alert per rule and subject is a constraint of the database, and a state is
  changed only from the one that was read; the slower one's transition, history and messages fall away together.
* What a rule is about cannot be measured: that is neither bad nor fine. An open alert stays as it is, none is opened,
  and the unknown itself is a sample of the measure `unknown`, which has a rule of its own. A source that hangs or
  breaks makes everything it measures unknown, and nothing else.
* Something is no longer there to be measured (a policy removed, a stream disabled): its alert is over, and says so.
* A value comes and goes: an alert fires only when it was bad for `for_seconds` and is over only when it was fine for
  `cool_down_seconds`, so in any such time there is at most one message that it fires.
* An evaluation is missed: times are of the clock, not counts of evaluations; the next one goes on.
* A receiver hangs, refuses or is away: each attempt has a limit, runs on a thread of its own and is left behind; the
  row is tried again by later evaluations, later and later, and given up after a day. Failed attempts in a row are a
  measure with a rule, delivered over the other channels.
* A process dies between sending and saying so: the message is sent again. A receiver sees the same id twice.
* An alert is over before its message went out: the message that it is over is sent alone, and says since when it was.
* A key for signatures is changed: the variable may hold several, and each signs, so sender and receiver change in turn.
* A secret would be shown: rows have only the name of a variable, which must begin with ALERT_; errors never have an
  address that came from the environment.
* The registry hangs: an evaluation has a limit as a whole, and the report another one.
* The registry is away: no rule can be read and no state kept. The evaluation says so in the log at level critical and
  raises; Prometheus, which asks from outside, has the rules for that (ops/prometheus/alerts.yml).
* Nobody evaluates: the report says since when, the command warns of it.
"""
