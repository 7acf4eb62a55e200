"""What the pages of the streams show. Nothing is changed here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from dualwrite.admin.forms import ConfirmForm
from dualwrite.admin.question import Case, Question, ask, refusal
from dualwrite.admin.reading import shown_gates
from dualwrite.admin.standing import Standing, standing
from dualwrite.admin.verbs import Verb, meaning, shown, unavailable
from dualwrite.exceptions import UnknownName
from dualwrite.models import StageTransition, StreamControl
from dualwrite.monitoring.streams import stream_rows
from dualwrite.stages import Stage, stage_named
from dualwrite.stream import Stream, all_streams
from dualwrite.switch import Actor

#: So many of the last transitions are shown on a stream's page.
LAST_TRANSITIONS = 5


@dataclass(frozen=True)
class Button:
    """A verb on a stream's page; `why_not` is empty when it can be used."""

    verb: Verb
    address: str
    meaning: str
    why_not: str


def list_page() -> dict[str, Any]:
    """Every declared stream, and the control rows of those declared no more."""
    declared = all_streams()
    rows = stream_rows(declared)
    names = {stream.name for stream in declared}
    left = StreamControl.objects.exclude(stream__in=names).order_by("stream")
    return {"rows": rows, "undeclared": left}


def stream_page(one: Stream, *, operates: bool) -> dict[str, Any]:
    """One stream. `operates`: the verbs are shown."""
    (row,) = stream_rows([one])
    here = standing(one, row)
    return {
        "row": row,
        "standing": here,
        "track": track(here.stage),
        "validated_at": _validated_at(row),
        "buttons": [_button(verb, here) for verb in shown(here)] if operates else [],
        "transitions": StageTransition.objects.filter(stream=one.name)[:LAST_TRANSITIONS],
    }


def verb_page(
    one: Stream, verb: Verb, actor: Actor, to: str | None, *, may_force: bool, form: ConfirmForm | None = None
) -> dict[str, Any]:
    """What is confirmed before the verb is carried out; `form`: as it was sent, when it was not valid."""
    (row,) = stream_rows([one])
    here = standing(one, row)
    asked = _asked(verb, one, here, actor, to)
    can_be_done = not asked.refused or (asked.forcible and may_force)
    initial = {"seen": here.stage, "to": asked.to}
    return {
        "row": row,
        "standing": here,
        "verb": verb,
        "question": asked,
        "gates": shown_gates(asked.gates),
        "can_be_done": can_be_done,
        "may_force": may_force,
        "form": form or ConfirmForm(verb, initial=initial, may_force=asked.forcible and may_force, to=asked.to),
        "command": _command(verb, one, asked.to),
    }


def track(here: Stage) -> list[tuple[str, str]]:
    """Each stage, and whether it is past, here or ahead."""
    order = list(Stage)
    place = order.index(here)
    words = ["past"] * place + ["here"] + ["ahead"] * (len(order) - place - 1)
    return [(stage.value, word) for stage, word in zip(order, words, strict=True)]


def _validated_at(row: dict[str, Any]) -> datetime | None:
    run = row["last_validation"]
    return datetime.fromisoformat(run["finished_at"]) if run and run["finished_at"] else None


def _asked(verb: Verb, one: Stream, here: Standing, actor: Actor, to: str | None) -> Question:
    try:
        stage = stage_named(to) if to and verb.moves else None
    except UnknownName as exc:
        return refusal(str(exc))
    return ask(verb, Case(one, here, actor, stage))


def _button(verb: Verb, here: Standing) -> Button:
    address = reverse(f"admin:dualwrite_streamcontrol_{verb}", args=[here.stream])
    return Button(verb, address, meaning(verb, here), unavailable(verb, here))


def _command(verb: Verb, one: Stream, to: Stage | None) -> str:
    """The same on the command line, which tells how far it has come; empty for what is done at once."""
    if verb is Verb.ENABLE:
        return f"manage.py dualwrite enable --stream {one.name}"
    if verb.moves and to:
        return f"manage.py dualwrite {verb} --stream {one.name} --to {to} --reason WHY"
    return ""
