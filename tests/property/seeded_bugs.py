"""Bugs that would break exactly-once, each as a change to the production code; grouped by what the code does."""

from __future__ import annotations

from kafka_maxcompute.dead_letters import error_topic
from kafka_maxcompute.ledger import gaps, identity, marks, roll_forward, state
from kafka_maxcompute.ledger import ledger as reading
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.maxcompute import upload_sessions
from maxcompute_sink import batch, decode, exactly_once
from maxcompute_sink.claiming import Claiming
from maxcompute_sink.decode import Decoder
from maxcompute_sink.exactly_once import _Delivery
from maxcompute_sink.staging import _Halving
from tests.property.mutation import Change

FOLD = {
    "a high-water mark for intervals": Change(
        state._settled,
        "joined(state.settled, operation.offsets)",
        "joined(state.settled, {place: ((0, found[-1][1]),) for place, found in operation.offsets.items()})",
    ),
    "the last time settled instead of the highest": Change(
        state._settled, "max(highest, timestamps.get(place, highest))", "highest"
    ),
    "a claim of what is pending accepted": Change(
        state._claimed,
        "(state.settled, *(pending.operation.offsets for pending in state.pending.values()))",
        "(state.settled,)",
    ),
    "a claim of an older generation accepted": Change(
        state._claimed, "claim.generation != state.generation or claim.id", "claim.id"
    ),
    "an empty of an older generation accepted": Change(
        state._emptied, "if empty.generation != state.generation:", "if empty.generation > state.generation:"
    ),
    "a reset while a claim is pending": Change(state._begun, "if state.pending or not state.generation or", "if"),
    "a reset that forgets what it doesn't name": Change(
        state._begun, "{**_unnamed(state.settled, starts), **before(starts)}", "before(starts)"
    ),
    "a release that settles": Change(
        state.fold,
        "state = replace(state, pending=_except(state.pending, operation.id))",
        "state = _settled(state, Settle(id=operation.id))",
    ),
    "a stale snapshot accepted": Change(state.advance, " and entry.operation.state.folded > state.folded", ""),
    "a snapshot that replaces what lies after its cover": Change(
        state.advance,
        "            state = entry.operation.state\n",
        "            state = replace(entry.operation.state, folded=entry.offset)\n",
    ),
}
MARKING = {
    "a mark that begins among claims of another log": Change(
        state._vouches, "return not is_claimed(state, place) and", "return"
    ),
    "a later mark without one before": Change(
        state._marked,
        "if place in marks and mark.offset > marks[place].offset and mark.since == marks[place].since:",
        "if True:",
    ),
    "a mark moved into another log": Change(marks.advanced, "digest(records[mark.offset]) != mark.digest", "False"),
    "a mark of another log kept by a reset": Change(
        state._begun, "{**_unnamed(state.marks, starts), **reset.marks}", "{**reset.marks, **state.marks}"
    ),
    "marks of a generation before": Change(Claiming.of, "if generation == state.generation}", "}"),
    "a mark that vouches for what came before it": Change(
        identity._is_marked, "observed.dropped[place][0][0] >= _first(state, place, mark)", "True"
    ),
    "a mark that vouches for what others have claimed": Change(
        state._vouches, "return all(last < mark.since for last in last_taken)", "return True"
    ),
    "a mark that vouches for claims that differ from the log": Change(
        state._behind, "behind[place] = max(last + 1, behind.get(place, 0))", "pass"
    ),
}
READING = {
    "a hole in the log taken for nothing": Change(
        LogLedger._receive, "while len(records) < position - begin and", "while False and"
    ),
    "a cold start that doesn't reach back to the cover": Change(
        LogLedger._cold, "while begin > 1 + _in_force(records)[0]:", "while False:"
    ),
    "a cold start that loses what comes meanwhile": Change(LogLedger._cold, "*records, *newer]", "*records]"),
    "the operations before a snapshot skipped, although after its cover": Change(
        reading._entries, "record.offset > covered", "record.offset > (snapshot.offset if snapshot else -1)"
    ),
}
SHORTENING = {
    "tombstones for what comes after the cover": Change(LogLedger._shorten, "if at <= cover]", "if at < in_force]"),
    "a tombstone for the snapshot, too": Change(LogLedger._shorten, "if at <= cover]", "]"),
    "tombstones without a snapshot": Change(
        LogLedger._shorten,
        "        offset = self.append(snapshot, deadline)\n        self.read(deadline, through=offset)\n",
        "        offset, self._last.cover = self._last.snapshot, state.folded\n",
    ),
    "an operation sent again under its key": Change(
        LogLedger.append,
        "        return self._log.append(key, encode(operation), deadline)\n",
        """        try:
            return self._log.append(key, encode(operation), deadline)
        except UnavailableError:
            return self._log.append(key, encode(operation), deadline)
""",
    ),
    "operations with one key for all of a kind": Change(LogLedger.append, "-{uuid.uuid4().hex}", ""),
}
ROLLING_FORWARD = {
    "a divert settled without its letters": Change(
        roll_forward.roll_forward,
        "write_letters(operation, state, services, deadline, known)",
        "pass",
    ),
    "a release on a 404 of a moment": Change(
        roll_forward._commit, "if timestamp >= 0 and age > LIFE_SECONDS + MARGIN_SECONDS:", "if True:"
    ),
    "a session that has expired taken for committed": Change(
        roll_forward._commit,
        "if error.code in _DEAD:\n            return False",
        "if error.code in _DEAD:\n            return True",
    ),
    "a release without counting rows": Change(
        roll_forward._decide_by_rows,
        "rows = services.counts.count(claim.partition_value, claim.offsets, deadline)",
        "rows = 0",
    ),
    "a settle without counting rows": Change(
        roll_forward._decide_by_rows,
        "rows = services.counts.count(claim.partition_value, claim.offsets, deadline)",
        "rows = claim.rows",
    ),
    "a commit asked for blindly, a refusal taken for done": Change(
        upload_sessions._request_commit,
        "status = sessions.look(session, deadline).status\n        if",
        "status = SessionStatus.CLOSED\n        if",
    ),
    "a commit that is being made taken for done": Change(
        upload_sessions.commit,
        "if status is SessionStatus.CLOSED:",
        "if status in {SessionStatus.CLOSED, SessionStatus.COMMITTING}:",
    ),
}
DIVERTING = {
    "settled before the letters are written": Change(
        _Delivery._finish,
        "            write_letters(",
        "            services.ledger.append(Settle(id=claim.id), self.deadline)\n            write_letters(",
    ),
    "a letter of another record at the same offset": Change(
        error_topic.ErrorTopic._letters_of, "original = original if same else None", "pass"
    ),
    "a record without a time taken for another": Change(
        error_topic.Claimed.is_of, "None if contains(self.untimed.get(place, ()), offset) else ", ""
    ),
    "letters for a divert that wasn't accepted": Change(
        _Delivery._claim_and_finish,
        "if claim.id in state.pending]",
        "if claim.id in state.pending or isinstance(claim, Divert)]",
    ),
    "letters for the first interval of a reason only": Change(
        error_topic.ErrorTopic._letters_of, "for first, last in intervals:", "for first, last in intervals[:1]:"
    ),
    "no letters for elements that don't say which record they are": Change(
        exactly_once.deliver, "parts.services.errors.write_elements(", "zip("
    ),
    "records that MaxCompute refuses left out": Change(_Halving._blame, "self.refused.append(", "str("),
}
DROPPING = {
    "gaps proven empty although they hold records": Change(
        gaps._Reading._pass, "if contains(self.doubtful[place], offset):", "if False:"
    ),
    "gaps proven empty in a log that lost its beginning": Change(
        gaps.Gaps.settle,
        "empty = _limited(reading.empty(), self.limits(reading.passed, deadline))",
        "empty = reading.empty()",
    ),
    "gaps proven empty that the group hasn't come to": Change(
        gaps._limited, "within(gaps_by_place[place], start, end - 1)", "gaps_by_place[place]"
    ),
    "dropped without a question about the topic": Change(
        _Delivery._without_settled, "self.parts.check.verify(state, dropped, batch.known(self.decoded))", "{}"
    ),
    "a question about what is kept instead of what is dropped": Change(
        _Delivery._without_settled,
        "self.parts.check.verify(state, dropped,",
        "self.parts.check.verify(state, batch.coverage(kept),",
    ),
    "no answer taken for the same topic": Change(
        identity.unproven_logs, "elif not is_same and not _is_marked", "elif False and not _is_marked"
    ),
    "a topic known by nothing but its end": Change(
        identity._of_topics, "if mark and digest and digest != mark.digest:", "if False:"
    ),
    "settled records that are in no log dropped": Change(_Delivery._without_settled, "if unlogged:", "if False:"),
    "a commit without having read the claim back": Change(
        _Delivery._claim_and_finish, "if claim.id in state.pending]", "]"
    ),
    "a batch taken for written when some claims were accepted": Change(
        _Delivery._claim_and_finish, "return len(accepted) == len(claims)", "return bool(accepted)"
    ),
    "repeats within a batch written": Change(
        batch.distinct, "return replace(decoded, records=list(records.values()), rejected=kept)", "return decoded"
    ),
    "a batch without repeats that lost a bad record": Change(
        batch.distinct,
        "kept = [*placeless(decoded.rejected), *rejected.values()]",
        "kept = placeless(decoded.rejected)",
    ),
    "bad records dropped with the settled ones": Change(
        batch.split,
        "zip(decoded.rejected, bad, strict=True) if not is_taken]",
        "zip(decoded.rejected, bad, strict=True) if is_taken]",
    ),
    "bad records not covered": Change(batch.coverage, ".joined(rejected_coverage(decoded.rejected))", ""),
    "a delivery that goes on after a reset": Change(
        _Delivery._rolled_forward, "if generation not in {None, state.generation}:", "if False:"
    ),
    "policy stop includes the bad record": Change(batch.before, "if record.offset < ends", "if record.offset <= ends"),
    "policy stop at the last bad record": Change(
        batch.first_bad, "first.setdefault(place, rejection)", "first[place] = rejection"
    ),
    "policy stop one element late": Change(
        batch.before_elements,
        "records=decoded.records[: rejection.after]",
        "records=decoded.records[: rejection.after + 1]",
    ),
    "a stop at what an old state has as free": Change(_Delivery.write, "if not is_read:", "if False:"),
    "only the first wave of partition values": Change(
        _Delivery._write_blocks,
        "for number, wave in enumerate(waves, 1):",
        "for number, wave in enumerate(waves[:1], len(waves)):",
    ),
    "a claim of halves that lost a block": Change(
        _Halving._put, "self.taken[self.last_id] = records", "self.taken = {self.last_id: records}"
    ),
}
DECODING = {
    "a sign in digits of a time": Change(
        decode._read_time,
        "_WHOLE_NUMBER.fullmatch(record.timestamp)",
        '_WHOLE_NUMBER.fullmatch(record.timestamp.lstrip("+"))',
    ),
    "blanks in digits of a time": Change(
        decode._read_time,
        "_WHOLE_NUMBER.fullmatch(record.timestamp)",
        "_WHOLE_NUMBER.fullmatch(record.timestamp.strip())",
    ),
    "records after one with a bad time lost": Change(
        decode._with_times, "if fault is None]", "if fault is None and not rejected]"
    ),
    "coordinates of a bad element not read": Change(decode._Aside.add, "at = coordinates(text)", "at = None"),
    "an element set aside before its time": Change(
        Decoder._one_by_one,
        "aside.add(index, element, fault, after=len(records))",
        "aside.add(index, element, fault, after=0)",
    ),
}
BUGS: dict[str, Change] = FOLD | MARKING | READING | SHORTENING | ROLLING_FORWARD | DIVERTING | DROPPING | DECODING

FOUND_OTHERWISE = {
    "a later mark without one before": "test_ledger_state",
    "a mark moved into another log": "test_ledger_marks",
    "marks of a generation before": "test_sink_claiming",
    "a mark that vouches for what others have claimed": "test_ledger_marks_anew",
    "a topic known by nothing but its end": "test_ledger_identity",
    "a hole in the log taken for nothing": "test_ledger_traps",
    "an operation sent again under its key": "test_ledger_traps",
    "a release on a 404 of a moment": "test_roll_forward",
    "a letter of another record at the same offset": "test_sink_bad_records",
    "a stop at what an old state has as free": "test_sink_exactly_once",
    "settled records that are in no log dropped": "test_sink_exactly_once",
    "gaps proven empty although they hold records": "test_ledger_gaps",
    "gaps proven empty in a log that lost its beginning": "test_ledger_gaps",
}
"""What the attack doesn't find for sure in a few hundred worlds, and the tests in tests/unit that do."""
