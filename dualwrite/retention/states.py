"""How far a run is, changed by conditional updates; and what becomes of one that was broken off."""

from collections.abc import Mapping

from django.db import transaction

from dualwrite.exceptions import RunLost
from dualwrite.models import RetentionRun, RetentionState, Run
from dualwrite.stages import Store
from dualwrite.stores import reaching

#: Where a run may have been broken off and leave something behind, by what is done about it.
TO_DISCARD = (RetentionState.PLANNED, RetentionState.EXPORTING)
TO_CONTINUE = (RetentionState.VERIFIED, RetentionState.DELETING, RetentionState.RECONCILED)
#: What each state may become while its run works.
FOLLOWS: Mapping[RetentionState, tuple[RetentionState, ...]] = {
    RetentionState.PLANNED: (RetentionState.EXPORTING, RetentionState.DELETING, RetentionState.COMPLETE),
    RetentionState.EXPORTING: (RetentionState.VERIFIED, RetentionState.DISCARDED),
    RetentionState.VERIFIED: (RetentionState.DELETING, RetentionState.ABANDONED),
    RetentionState.DELETING: (RetentionState.RECONCILED,),
    RetentionState.RECONCILED: (RetentionState.COMPLETE,),
}


def to(run: RetentionRun, after: RetentionState, **values: object) -> None:
    """The run under way goes on to that state; raises RunLost when somebody closed it, StoreUnreachable."""
    before = RetentionState(run.state)
    if after not in FOLLOWS[before]:
        raise ValueError(f"{before} does not become {after}")
    mine = RetentionRun.objects.filter(pk=run.pk, status=Run.RUNNING, backend=run.backend, state=before)
    with reaching(Store.REGISTRY):
        if not mine.update(state=after, **values):
            raise RunLost(f"run {run.pk} was closed by somebody else")
    for name, value in {**values, "state": after}.items():
        setattr(run, name, value)


def broken_off(policy: str) -> list[RetentionRun]:
    """Runs of the policy that ended before their end, the newest first. Asked for by whoever is its only run."""
    with reaching(Store.REGISTRY):
        left = RetentionRun.objects.filter(policy=policy, dry_run=False, state__in=[*TO_DISCARD, *TO_CONTINUE])
        return list(left.exclude(status=Run.RUNNING).order_by("-id"))


def leave(run: RetentionRun, after: RetentionState) -> bool:
    """A broken-off run becomes discarded, abandoned or continued; false where another one was quicker."""
    mine = RetentionRun.objects.filter(pk=run.pk, state=run.state).exclude(status=Run.RUNNING)
    with reaching(Store.REGISTRY):
        return bool(mine.update(state=after))


def take_over(run: RetentionRun, left: RetentionRun) -> None:
    """The run goes on where the broken-off one was: with its plan and its backup. Raises RunLost."""
    adopted = ("frozen", "policy_hash", "schema_hash", "cutoff", "plan", "planned_rows", "location", "backup_id")
    values = {name: getattr(left, name) for name in adopted}
    with reaching(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        if not leave(left, RetentionState.CONTINUED):
            raise RunLost(f"run {left.pk} was taken over by somebody else")
        mine = RetentionRun.objects.filter(pk=run.pk, status=Run.RUNNING, backend=run.backend)
        if not mine.update(state=RetentionState.VERIFIED, resumes=left.pk, **values):
            raise RunLost(f"run {run.pk} was closed by somebody else")
    run.refresh_from_db()
