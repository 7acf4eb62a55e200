"""The ingredients of the protocol, how each is taken out of a copy of the source, and the test that must then fail."""

from dataclasses import dataclass
from pathlib import Path

STATE, INSTALL, RELAY = "dualwrite/sql/state.sql", "dualwrite/sql/install.sql", "dualwrite/sql/relay.sql"
READER, APPLIER, PIPE = "dualwrite/relay/reader.py", "dualwrite/relay/applier.py", "dualwrite/relay/pipe.py"
INLINE = "dualwrite/relay/inline.py"
STEPS, SETTLE, DECISION = "dualwrite/switch/steps.py", "dualwrite/switch/settle.py", "dualwrite/switch/decision.py"
CHANGE, HORIZON = "dualwrite/switch/change.py", "dualwrite/relay/horizon.py"
PARTITIONS, OUTBOX_SQL = "dualwrite/sql/partitions.sql", "dualwrite/sql/outbox.sql"
ENABLE, LAST_KEYS, OUTBOX = "dualwrite/control/enable.py", "dualwrite/control/last_keys.py", "dualwrite/outbox.py"


@dataclass(frozen=True)
class Edit:
    """A text of a file, replaced; `within` narrows it to what follows that heading, up to the next one of its kind."""

    file: str
    old: str
    new: str
    within: str = ""

    def apply(self, root: Path) -> None:
        """Replace it; raises LookupError unless it stands there exactly once."""
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        start = text.index(self.within)
        end = text.find(self.within.split(" name:")[0] + " name:", start + 1) if self.within else -1
        part = text[start:] if end < 0 else text[start:end]
        if part.count(self.old) != 1:
            raise LookupError(f"{self.file}: {self.old!r} stands there {part.count(self.old)} times")
        path.write_text(text[:start] + part.replace(self.old, self.new) + text[start + len(part) :], encoding="utf-8")


@dataclass(frozen=True)
class Mutation:
    """An ingredient taken out, and the test (below tests/integration/) that shows what it is for."""

    edits: tuple[Edit, ...]
    test: str


def sql(file: str, name: str, old: str, new: str = "") -> Edit:
    """A change of one named statement."""
    return Edit(file, old, new, within=f"-- name: {name}\n")


#: The copy of the whole table from which the mutant reads its records, made before it takes notes.
EARLIER = """            self._session.execute("DROP TABLE IF EXISTS pg_temp.earlier")
            earlier = sql.SQL("CREATE TEMP TABLE earlier AS TABLE {}")
            self._session.execute(earlier.format(projection.table(self._side)))
"""
TAKE = '            row = self._session.execute(compose("relay", "took", '
#: How the statement ends that reads a batch.
READ = """            match=projection.match(self._stream, self._store),
            is_record=projection.is_record(self._side),
        )
        with self.using, self._session.cursor().copy(query) as copy:
"""
DONE = "        self._ahead.done(batch, self._applier.counted)\n"
DROP = "        self._ahead.drop()\n        self._applier.let_go(partitions)\n"
FOLLOW = "    switch.follow(stream, authority.peer, epoch, actor)\n"
BEGIN = "    generation, epoch = switch.begin_capture(stream, authority, actor)\n"
NOTE = "    noted = outbox.note_all(stream, authority, generation, progress)\n"

MUTATIONS = {
    "exclusive lock when fencing": Mutation(
        (
            sql(STATE, "exclusive", "pg_advisory_xact_lock(", "pg_advisory_xact_lock_shared("),
            sql(STATE, "exclusive_session", "pg_advisory_lock(", "pg_advisory_lock_shared("),
        ),
        "test_handover.py::test_a_writer_that_does_not_finish_is_named_and_nothing_is_changed",
    ),
    "shared lock when writing": Mutation(
        (Edit(INSTALL, "IF pg_advisory_xact_lock_shared(25719, hashtext(streamed)) IS NULL THEN", "IF false THEN"),),
        "test_handover.py::test_a_writer_that_does_not_finish_is_named_and_nothing_is_changed",
    ),
    "FOR SHARE under an old snapshot": Mutation(
        (Edit(INSTALL, "WHERE s.stream = streamed FOR SHARE;", "WHERE s.stream = streamed;"),),
        "test_writes_across_switches.py::test_a_snapshot_older_than_a_switch_writes_nowhere",
    ),
    "fence epoch checked in the applying transaction": Mutation(
        (Edit(APPLIER, " for partition, epoch in held} != self._epochs:", " for partition, epoch in held} is None:"),),
        "test_relay.py::test_a_relay_that_slept_through_a_takeover_is_refused",
    ),
    "fences locked until the relay commits": Mutation(
        (sql(RELAY, "fences", " FOR UPDATE"),),
        "test_ingredients.py::test_a_takeover_does_not_come_between_a_relays_check_and_its_writes",
    ),
    "role checked in the applying transaction": Mutation(
        (Edit(APPLIER, "if row is None or row[0] != Role.MIRROR:", "if row is None:"),),
        "test_relay.py::test_a_store_that_has_become_the_authority_is_not_written",
    ),
    "role locked until the relay commits": Mutation(
        (sql(RELAY, "mirror_state", " FOR SHARE"),),
        "test_ingredients.py::test_a_switch_does_not_come_between_a_relays_check_and_its_writes",
    ),
    "epoch compared in promote": Mutation(
        (sql(STATE, "promote", " AND s.epoch < %(epoch)s"),),
        "test_ingredients.py::test_an_operator_who_slept_does_nothing_to_a_store_that_was_promoted_and_demoted_meanwhile",
    ),
    "epoch compared in burn": Mutation(
        (sql(STATE, "burn", " AND epoch < %(epoch)s"),),
        "test_ingredients.py::test_an_operator_who_slept_does_nothing_to_a_store_that_was_promoted_and_demoted_meanwhile",
    ),
    "epoch compared in demote": Mutation(
        (sql(STATE, "demote", " AND s.epoch = %(epoch)s"),),
        "test_ingredients.py::test_an_operator_who_slept_does_nothing_to_a_later_switch",
    ),
    "epoch compared in revert": Mutation(
        (sql(STATE, "revert", " AND epoch = %(epoch)s"),),
        "test_ingredients.py::test_an_operator_who_slept_does_nothing_to_a_later_switch",
    ),
    "burn before revert": Mutation(
        (
            Edit(STEPS, "if seen.role is not Role.MIRROR or seen.epoch != epoch:", "if seen.role is not Role.MIRROR:"),
            Edit(DECISION, "if peer.role is Role.MIRROR and peer.epoch == side.epoch:", "if not drained:"),
        ),
        "test_ingredients.py::test_after_giving_up_nobody_promotes_any_more",
    ),
    "the epoch seen burnt before revert": Mutation(
        (Edit(STEPS, "if seen.role is not Role.MIRROR or seen.epoch != epoch:", "if seen.role is not Role.MIRROR:"),),
        "test_ingredients.py::test_nobody_reverts_without_having_seen_the_epoch_burnt",
    ),
    "drain before promote": Mutation(
        (Edit(LAST_KEYS, "while not drained():", "while False:"),),
        "test_ingredients.py::test_what_is_written_until_writers_wait_is_relayed_before_the_promotion",
    ),
    "drain before promoting for a dead switch": Mutation(
        (Edit(SETTLE, "drained=steps.drained(stream, here.epoch, session)", "drained=True"),),
        "test_ingredients.py::test_a_dead_switch_with_keys_left_to_relay_is_taken_back",
    ),
    "capture on at promote": Mutation(
        (sql(STATE, "promote", "capture = true, "),),
        "test_handover.py::test_the_authority_moves_there_and_back_and_writes_follow_in_both_directions",
    ),
    "fencing only when backfilled": Mutation(
        (sql(STATE, "fence", " AND s.backfilled"),),
        "test_ingredients.py::test_a_half_filled_store_is_not_promoted",
    ),
    "fences raised at demote": Mutation(
        (Edit(CHANGE, 'if verb == "demote" else', "if False else"),),
        "test_ingredients.py::test_a_relay_of_an_earlier_period_is_refused_in_the_next_one",
    ),
    "fences raised at enable": Mutation(
        (Edit(STEPS, 'mirror", epoch=epoch)\n        _raise_fences(session, stream)', 'mirror", epoch=epoch)'),),
        "test_enable.py::test_enabling_refuses_every_relay_that_worked_before",
    ),
    "records read after their notes": Mutation(
        (
            Edit(READER, TAKE, EARLIER + TAKE),
            Edit(
                READER,
                f"            table=projection.table(self._side),\n{READ}",
                f'            table=sql.Identifier("earlier"),\n{READ}',
            ),
        ),
        "test_ingredients.py::test_records_are_read_after_their_notes",
    ),
    "notes deleted by id": Mutation(
        (
            sql(RELAY, "done", "SELECT DISTINCT lane, id FROM", "SELECT DISTINCT lane, key FROM"),
            sql(RELAY, "done", "o.id = b.id", "o.key = b.key"),
        ),
        "test_relay.py::test_a_note_that_arrives_while_its_key_is_relayed_is_not_lost",
    ),
    "notes deleted only when applied": Mutation(
        (
            Edit(PIPE, DONE, "        batch.reader.forget()\n"),
            Edit(
                PIPE,
                '        reach("relay taken")\n',
                '        batch.reader.done(None)\n        reach("relay taken")\n',
            ),
        ),
        "test_relay.py::test_notes_outlive_a_relay_that_dies_after_applying",
    ),
    "what was read ahead dropped when partitions are given away": Mutation(
        (Edit(PIPE, DROP, "        self._applier.let_go(partitions)\n"),),
        "test_fleet.py::test_a_relay_gives_nothing_away_that_it_has_in_hand",
    ),
    "what was read ahead dropped when the fences are taken anew": Mutation(
        (
            Edit(
                PIPE,
                "            self._ahead.drop()\n            self._applier.hold(",
                "            self._applier.hold(",
            ),
        ),
        "test_ahead.py::test_what_was_read_before_a_writer_mirrored_is_not_applied_after_it",
    ),
    "number of partitions compared in the applying transaction": Mutation(
        (Edit(APPLIER, "if row[1] != self._number:", "if False:"),),
        "test_partitions.py::test_a_writer_that_mirrors_with_the_old_number_is_refused",
    ),
    "fences of the keys' own partitions": Mutation(
        (Edit(INLINE, " or sorted(self._reader.partitions) != partitions", ""),),
        "test_writing_attacked.py::test_the_fence_taken_is_that_of_the_keys_partition_whatever_the_writer_was_told",
    ),
    "a limit for who stands still with the fences": Mutation(
        (Edit(APPLIER, "        pipeline.sync()\n", ""),),
        "test_writing_attacked.py::test_the_server_sees_that_a_writer_with_the_fences_does_nothing",
    ),
    "records read in a later snapshot than their notes, in one message": Mutation(
        (Edit(INLINE, " -c default_transaction_isolation=read\\\\ committed", ""),),
        "test_writing_attacked.py"
        "::test_notes_and_records_are_looked_at_one_after_the_other_whatever_the_database_is_set_to",
    ),
    "nothing noted when the number of partitions changes": Mutation(
        (sql(PARTITIONS, "lead", "AND NOT EXISTS", "AND true OR NOT EXISTS"),),
        "test_partitions.py::test_keys_noted_by_hand_meanwhile_stop_it_and_both_stores_agree_still",
    ),
    "keys noted by hand wait for the number of partitions": Mutation(
        (sql(OUTBOX_SQL, "note", "   FOR SHARE OF s"),),
        "test_partitions.py::test_who_notes_keys_by_hand_waits_and_takes_the_new_number",
    ),
    "every earlier transaction ended before its notes are passed over": Mutation(
        (Edit(HORIZON, "if unfinished < before:", "if unfinished < 0:"),),
        "test_outbox_bloat.py::test_a_transaction_that_drew_its_number_early_and_commits_late_is_relayed",
    ),
    "union of both stores' keys": Mutation(
        (Edit(OUTBOX, "noted = _note_foreign(session, stream, store, generation)", "noted = 0"),),
        "test_enable.py::test_a_delete_made_while_nothing_was_captured_is_found",
    ),
    "capture on before the keys are listed": Mutation(
        (
            Edit(ENABLE, FOLLOW, ""),
            Edit(ENABLE, NOTE, ""),
            Edit(ENABLE, BEGIN, FOLLOW.replace("epoch", "here.epoch") + NOTE.replace("gen", "here.gen") + BEGIN),
            sql(STATE, "still_generation", " AND capture"),
        ),
        "test_ingredients.py::test_a_delete_during_the_backfill_is_not_missed",
    ),
    "capture on before the mirror follows": Mutation(
        (Edit(ENABLE, FOLLOW, ""), Edit(ENABLE, BEGIN, FOLLOW.replace("epoch", "here.epoch") + BEGIN)),
        "test_ingredients.py::test_writes_are_noted_before_the_other_store_follows",
    ),
    "generation": Mutation(
        (
            sql(STATE, "still_generation", " AND generation = %(generation)s"),
            sql(STATE, "backfilled", " AND generation = %(generation)s"),
        ),
        "test_enable.py::test_a_backfill_of_an_older_generation_cannot_go_on_or_declare_itself_complete",
    ),
}
