"""The schemas of what the operators' API answers, named where several operations answer the same."""

from actuator.openapi.shapes import (
    Shape,
    anything,
    by_name,
    count,
    many,
    maybe,
    moment,
    number,
    one_of,
    record,
    ref,
    text,
    words,
    yes_or_no,
)
from dualwrite.breaker import Position
from dualwrite.models import ValidationStatus
from dualwrite.monitoring.status import Status
from dualwrite.stages import Stage, Store

STAGE, STORE, STATUS = one_of(Stage), one_of(Store), one_of(Status)
REASON = words("Why; kept in the audit.")

GATE = record(gate=text("Which gate."), why=text("Why it is closed."), mend=text("The command that mends it."))

STREAM = record(
    "How a stream stands, as `dualwrite status --json` prints it; null: it could not be told.",
    name=text(),
    stage=maybe(STAGE),
    authority=maybe(STORE),
    mirroring=maybe(one_of(["active", "paused", "disabled", "off"])),
    verified=yes_or_no("Whether a clean strict validation speaks for it as it is now."),
    epoch=maybe(count()),
    outbox=record(
        "Keys that wait to be relayed.",
        pending=maybe(count("Exact up to 10,000.")),
        pending_is_estimate=maybe(yes_or_no()),
        oldest_age_seconds=maybe(number()),
    ),
    lag_seconds=maybe(number()),
    parked=maybe(count("Keys set aside, as they could not be applied.")),
    relayed_total=maybe(count()),
    last_validation=maybe(record(id=count(), status=text(), level=text(), finished_at=maybe(moment()))),
    transition=maybe(text("What is under way or half-done, and what ends it.")),
    breaker=maybe(
        record(
            "Whether writes wait for the mirror; null: there is none.",
            mirror=STORE,
            state=one_of(Position),
            failures=count("In a row, of all processes."),
            error=text("Of the last failure."),
            since=maybe(moment("When it opened.")),
            try_at=maybe(moment("When a write tries the mirror again.")),
            shared=yes_or_no("False: Redis is away, and each process has its own."),
        )
    ),
    rollback_ready=yes_or_no("Whether the way back is open now."),
    blocked_by=many(GATE),
)

VERB_ROW = record(
    "What a verb did to a stream, or of a dry run would do.",
    stream=text(),
    changed=maybe(yes_or_no("Whether anything is other than before; null: it could not be told.")),
    sentence=text("What was done."),
    error=maybe(text("Why it was not done to this stream; null where it was.")),
    plan=many(text(), "What would be done, or was, in order."),
    pending=many(text(), "What could not be done elsewhere yet."),
    blocked=many(text(), "Why it would be refused."),
    noted=maybe(count("Keys that were noted.")),
    before=maybe(STAGE),
    after=maybe(STAGE),
    gates=many(anything(), "Every gate as it was found, with its evidence."),
    stall_seconds=maybe(number("How long writers had to wait.")),
    transition=maybe(count("The row that keeps all of it.")),
)
VERB_ANSWER = record(dry_run=yes_or_no(), streams=many(ref("VerbRow")))

PARKED = record(
    stream=text(),
    key=text("The key fields as a JSON array."),
    error=text(),
    attempts=count(),
    next_attempt_at=maybe(moment("When it is tried again by itself; null: when written or redriven.")),
    parked_at=moment(),
    record={"description": "The authority's rows of this key when it was parked."},
)

PROGRESS = anything("How far it is: phase, rows, total, seconds, rows_per_second, eta_seconds.")

VALIDATION = record(
    "A validation of one stream.",
    optional=("differences_total", "offset"),
    id=count(),
    stream=text(),
    level=text(),
    scope=text("The part of the stream that was compared."),
    status=one_of(ValidationStatus.values),
    error=text("Why it did not come to an end, or what is to be known about it."),
    owner=text("Host and process that work on it."),
    progress=PROGRESS,
    resumes=maybe(count("The run that this one does again.")),
    configuration=anything("What it was run with, and how it compared."),
    authority=text("The store that took the writes."),
    generation=maybe(count()),
    authority_rows=maybe(count()),
    mirror_rows=maybe(count()),
    matched=maybe(count()),
    missing_in_mirror=count(),
    extra_in_mirror=count(),
    field_mismatch=count(),
    unsettled=count("Keys that did not come to rest: neither equal nor different."),
    relay_stuck=count(),
    fields=by_name(count(), "How many records differ in each field."),
    thresholds=anything("The shares in percent that were tolerated."),
    violations=many(anything(), "The thresholds that were exceeded."),
    passed_thresholds=maybe(yes_or_no()),
    snapshots=anything("When each store was looked at."),
    seconds=maybe(number()),
    rows_per_second=maybe(number()),
    cut_short=text("Why not everything was looked at; totals are estimates then."),
    differences=many(anything(), "A page of the differing keys, with both records."),
    differences_total=count("How many are kept."),
    offset=count("The first of the page."),
    rules=many(anything(), "What the stream's own rules found."),
    repair=maybe(anything("What was repaired, where that was asked for.")),
    started_at=maybe(moment()),
    finished_at=maybe(moment()),
)

ORDERED = record(
    "A run that was asked for.",
    of=text("The stream or the policy."),
    run=maybe(count("Its number; null: the worker has not begun it yet.")),
    status=text("As the run's own, or `queued`."),
    location=maybe(text("Where to look.")),
)

RETENTION_RUN = record(
    "A run of a policy, dry or not.",
    optional=("actor", "reason", "forced", "progress", "started_at", "finished_at"),
    run=count(),
    policy=text(),
    status=text(),
    state=text("How far it came."),
    dry_run=yes_or_no(),
    action=maybe(text()),
    days=maybe(count()),
    cutoff=maybe(moment("Rows older than this were old enough.")),
    rows=maybe(count("That would go, or were to go.")),
    removed=maybe(count()),
    changed=maybe(count("That had changed since they were exported, so they stay.")),
    held=maybe(count("That are held, so they stay.")),
    backup=maybe(text("Its folder in the backup storage.")),
    seconds=maybe(number()),
    sentence=text(),
    plan=anything("What was found: rows, bytes, oldest, newest, examples, brakes."),
    actor=text(),
    reason=text(),
    forced=yes_or_no(),
    progress=PROGRESS,
    started_at=moment(),
    finished_at=maybe(moment()),
)
REFUSED_POLICY = record(policy=text(), status=one_of(["refused"]), sentence=text("Why."))

COMPONENT = record(status=STATUS, details=anything("What the check found."))

ALERT = record(
    id=count(),
    name=text(),
    subject=text("What it is about."),
    severity=text(),
    state=text(),
    measure=text(),
    value=maybe(number()),
    unit=text(),
    why=text(),
    since=moment(),
    fired_at=maybe(moment()),
    fine_since=maybe(moment()),
    silenced_until=maybe(moment()),
    runbook=text("The page that says what to do."),
)

CHANGE = record(at=moment(), origin=text(), before=maybe(text()), after=maybe(text()), by=text(), reason=text("Why."))
PARAMETER = record(
    "A live parameter.",
    name=text(),
    variable=text("The environment variable that sets it."),
    meaning=text(),
    value=maybe(text("What counts now; null where nothing valid does.")),
    default=text(),
    source=maybe(one_of(["config-service", "override", "environment", "default"], "Where the value comes from.")),
    bounds=text("What is valid."),
    faults=many(text(), "What does not count, and why."),
    last_change=maybe(CHANGE),
)
CONFIG_SERVICE = record(
    "How the config service is: none, closed (it answers), open (it does not, and is not asked now).",
    optional=("failures", "error", "wrong", "answered_at", "changed_at", "ask_at"),
    state=one_of(["none", "closed", "open"]),
    failures=count(),
    error=text(),
    wrong=by_name(text()),
    answered_at=maybe(moment()),
    changed_at=maybe(moment()),
    ask_at=moment(),
)

COMPONENTS: dict[str, Shape] = {
    "Alert": ALERT,
    "Component": COMPONENT,
    "ConfigService": CONFIG_SERVICE,
    "Ordered": ORDERED,
    "Parameter": PARAMETER,
    "Parked": PARKED,
    "RetentionRun": RETENTION_RUN,
    "Stream": STREAM,
    "ValidationRun": VALIDATION,
    "VerbRow": VERB_ROW,
}
