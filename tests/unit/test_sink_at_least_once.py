"""at_least_once: everything is staged before anything is committed, and a batch is in the table once or not at all."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from fc_powertools import Deadline, Metrics, logger
from kafka_maxcompute.errors import BatchError, DeadlineError, RefusedError, UnavailableError
from kafka_maxcompute.maxcompute.upload_sessions import (
    COMMIT_SECONDS,
    InMemoryUploadSessions,
    SessionState,
    SessionStatus,
    UploadSession,
)
from maxcompute_sink.at_least_once import AtLeastOnce, deliver
from maxcompute_sink.blocks import Block, Blocks, Coverage
from maxcompute_sink.framing import ENCODINGS
from maxcompute_sink.parallel import PARALLEL
from maxcompute_sink.staging import Stager

if TYPE_CHECKING:
    from maxcompute_sink.staging import Staged

pytestmark = pytest.mark.quick

VALUES = [f"11-17-2020 {hour:02}" for hour in range(20)]


def batch(count: int) -> Blocks:
    return Blocks(tuple(Block(value, 1, value.encode(), Coverage({}, {}), (), ()) for value in VALUES[:count]), ())


def line(blocks: Blocks, sessions: InMemoryUploadSessions, encoding: str | None = None) -> AtLeastOnce:
    """A line of blocks that are all good, into a table that stays as it is."""

    def unexpected(*_: object) -> Any:
        raise AssertionError

    return AtLeastOnce(lambda: blocks, unexpected, lambda: Stager(sessions, encoding, unexpected, lambda: False))


def run(
    blocks: Blocks, sessions: InMemoryUploadSessions, *, seconds: float = 60, compression: str = "deflate"
) -> tuple[Staged, ...]:
    deadline, metrics = Deadline.after(seconds), Metrics("test")
    return deliver(line(blocks, sessions, ENCODINGS[compression]), deadline=deadline, metrics=metrics)[0]


@dataclass
class Recorded:
    """One call."""

    step: str
    partition_value: str


class Observed(InMemoryUploadSessions):
    """Sessions that note every call, and fail or change where a test says so."""

    def __init__(self, fail: dict[tuple[str, str], Exception] | None = None) -> None:
        super().__init__()
        self.calls: list[Recorded] = []
        self.encodings: set[str | None] = set()
        self.fail = fail or {}
        self.fields: set[object] = set()
        self.together = 0
        self._running = 0
        self._count = threading.Lock()

    def _note(self, step: str, value: str) -> None:
        with self._count:
            self.calls.append(Recorded(step, value))
            self.fields.add(logger.fields().get("request_id"))
            if (step, value) in self.fail:
                raise self.fail[step, value]

    def open(self, partition_value: str, deadline: Deadline) -> UploadSession:
        self._note("open", partition_value)
        with self._count:
            self._running += 1
            self.together = max(self.together, self._running)
        return super().open(partition_value, deadline)

    def put_block(
        self, session: UploadSession, block_id: int, body: bytes, encoding: str | None, deadline: Deadline
    ) -> None:
        self._note("put", session.partition_value)
        self.encodings.add(encoding)
        super().put_block(session, block_id, body, encoding, deadline)

    def look(self, session: UploadSession, deadline: Deadline) -> SessionState:
        self._note("look", session.partition_value)
        with self._count:
            self._running -= 1
        return super().look(session, deadline)

    def commit(self, session: UploadSession, deadline: Deadline) -> SessionStatus:
        self._note("commit", session.partition_value)
        return super().commit(session, deadline)

    def steps(self) -> list[str]:
        return [call.step for call in self.calls]


def everything(count: int) -> dict[str, list[bytes]]:
    return {value: [value.encode()] for value in VALUES[:count]}


@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_every_block_is_committed_in_a_session_of_its_own(count: int) -> None:
    sessions = Observed()
    staged = run(batch(count), sessions)
    assert sessions.committed == everything(count)
    assert [one.block.partition_value for one in staged] == VALUES[:count]
    assert len({one.session.id for one in staged}) == count


@pytest.mark.parametrize("count", [1, 20])
def test_nothing_is_committed_before_all_is_staged(count: int) -> None:
    sessions = Observed()
    run(batch(count), sessions)
    steps = sessions.steps()
    assert set(steps[: 3 * count]) == {"open", "put", "look"}
    assert steps[3 * count :] == ["commit"] * count


def test_no_more_than_a_few_sessions_are_worked_at_together() -> None:
    sessions = Observed()
    run(batch(20), sessions)
    assert sessions.together <= PARALLEL


@pytest.mark.parametrize(
    ("compression", "encoding"), [("deflate", "deflate"), ("lz4", "x-odps-lz4-frame"), ("none", None)]
)
def test_the_encoding_is_announced(compression: str, encoding: str | None) -> None:
    sessions = Observed()
    run(batch(1), sessions, compression=compression)
    assert sessions.encodings == {encoding}


@pytest.mark.parametrize("step", ["open", "put", "look"])
@pytest.mark.parametrize("count", [1, 3, 20])
@pytest.mark.parametrize("fault", [UnavailableError("gone"), RefusedError("no", code="NoSuchTable")])
def test_a_failure_while_staging_commits_nothing(step: str, count: int, fault: BatchError) -> None:
    sessions = Observed({(step, VALUES[count // 2]): fault})
    with pytest.raises(type(fault)) as caught:
        run(batch(count), sessions)
    assert caught.value is fault
    assert "commit" not in sessions.steps()
    assert not any(sessions.committed.values())


def test_a_refused_commit_fails_the_batch_and_begins_no_further_one() -> None:
    fault = RefusedError("altered", code="TableModified")
    sessions = Observed({("commit", value): fault for value in VALUES})
    with pytest.raises(RefusedError) as caught:
        run(batch(20), sessions)
    assert caught.value is fault
    assert not any(sessions.committed.values())
    assert sessions.steps().count("commit") <= PARALLEL


@pytest.mark.parametrize("listed", [frozenset(), frozenset({0, 1}), frozenset({1})])
def test_a_block_list_other_than_ours_is_never_committed(listed: frozenset[int]) -> None:
    class Differing(Observed):
        def look(self, session: UploadSession, deadline: Deadline) -> SessionState:
            return SessionState(super().look(session, deadline).status, listed)

    sessions = Differing()
    with pytest.raises(UnavailableError, match="to hold block 0, found"):
        run(batch(2), sessions)
    assert not any(sessions.committed.values())


def test_without_the_time_for_a_commit_none_is_begun() -> None:
    sessions = Observed()
    with pytest.raises(DeadlineError, match="nothing was committed"):
        run(batch(2), sessions, seconds=COMMIT_SECONDS - 0.1)
    assert not any(sessions.committed.values())
    assert "commit" not in sessions.steps()


def test_an_empty_batch_needs_neither_time_nor_sessions() -> None:
    sessions = Observed()
    assert run(batch(0), sessions, seconds=0) == ()
    assert sessions.calls == []


@pytest.mark.parametrize("count", [1, 20])
def test_log_lines_of_all_threads_carry_the_invocations_fields(count: int) -> None:
    sessions = Observed()
    with logger.bound(request_id="r1"):
        run(batch(count), sessions)
    assert sessions.fields == {"r1"}


def test_both_steps_are_timed() -> None:
    metrics = Metrics("test")
    deliver(line(batch(1), Observed()), deadline=Deadline.after(60), metrics=metrics)
    timings: Any = metrics.snapshot()["timings"]
    assert set(timings) == {"stage", "commit"}
