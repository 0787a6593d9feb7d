"""staging: blocks go into sessions of the table that they were made for, and stay in what the service has of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fc_powertools import Deadline
from kafka_maxcompute.errors import RefusedError, TableChangedError, UnavailableError
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.maxcompute.upload_sessions import InMemoryUploadSessions, SessionState, UploadSession
from maxcompute_sink import batch
from maxcompute_sink.framing import empty_body
from maxcompute_sink.staging import LOOK_SECONDS, PUT_SECONDS, REFUSED, Staged, Stager
from tests.deadlines import soon
from tests.kafka_events import HOUR_14, element, payload
from tests.sink_delivery import Connector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from maxcompute_sink.blocks import Block

pytestmark = pytest.mark.quick

TOPIC, SIZE, JSON = Column("topic", "STRING"), Column("size", "BIGINT"), Column("data", "JSON")


class Sessions(InMemoryUploadSessions):
    """Sessions of a table with these columns; `refuses` says why a block with these bytes is refused, None if not."""

    def __init__(self, *columns: Column, refuses: Callable[[bytes], str | None] = lambda _: None) -> None:
        super().__init__()
        self.columns = columns
        self.refuses = refuses
        self.puts: list[tuple[str, int, bytes]] = []
        self.until: list[float] = []
        self.encodings: set[str | None] = set()

    def open(self, partition_value: str, deadline: Deadline) -> UploadSession:
        return replace(super().open(partition_value, deadline), columns=self.columns)

    def put_block(
        self, session: UploadSession, block_id: int, body: bytes, encoding: str | None, deadline: Deadline
    ) -> None:
        self.puts.append((session.id, block_id, body))
        self.until.append(deadline.at)
        self.encodings.add(encoding)
        code = self.refuses(body)
        if code is not None:
            raise RefusedError(f"no: {code}", code=code, said="in so many words")
        super().put_block(session, block_id, body, encoding, deadline)


class Work:
    """Blocks of a connector, and a stager for them."""

    def __init__(self, sessions: Any, *, renews: bool = False, encoding: str | None = None) -> None:
        self.connector = Connector()
        self.sessions = sessions
        self.renewals = 0
        self._renews = renews
        self.stager = Stager(sessions, encoding, self._remake, self._renew)

    def blocks(self, *elements: object) -> Sequence[Block]:
        self._decoded = self.connector.preparation.decode(payload(*elements))
        return self.connector.preparation.blocks(self._decoded, now=HOUR_14).blocks

    def _remake(self, records: Sequence[Any]) -> Block:
        return self.connector.preparation.blocks(batch.only(self._decoded, records), now=HOUR_14).blocks[0]

    def _renew(self) -> bool:
        self.renewals += 1
        return self._renews


@pytest.mark.parametrize(
    ("found", "is_taken"),
    [
        ((), True),
        ((TOPIC, SIZE, JSON), True),
        ((Column("TOPIC", "VARCHAR(9)"), Column("Size", "BIGINT"), JSON), True),
        ((TOPIC, SIZE), False),
        ((TOPIC, SIZE, JSON, SIZE), False),
        ((SIZE, TOPIC, JSON), False),
        ((TOPIC, Column("length", "BIGINT"), JSON), False),
        ((TOPIC, Column("size", "INT"), JSON), False),
        ((TOPIC, SIZE, Column("data", "MAP<STRING,BLOB>")), False),
    ],
    ids=["not told", "same", "same bytes", "fewer", "more", "other order", "other name", "other type", "no wire type"],
)
def test_a_session_has_to_have_columns_for_which_the_bytes_mean_the_same(
    found: tuple[Column, ...], *, is_taken: bool
) -> None:
    work = Work(Sessions(*found))
    (block,) = work.blocks(element(1))
    block = replace(block, columns=(TOPIC, SIZE, JSON))
    if is_taken:
        assert work.stager.open(block, soon()).columns == found
    else:
        with pytest.raises(
            TableChangedError, match="upload session session-0 to have the columns of the block, found other columns"
        ):
            work.stager.open(block, soon())


@pytest.mark.parametrize("code", ["TableModified", "MalformedDataStream"])
def test_a_table_that_turns_out_to_have_another_definition_has_its_blocks_made_anew(code: str) -> None:
    work = Work(Sessions(refuses=lambda _: code), renews=True)
    assert work.stager.stage(work.blocks(element(1)), soon()) is None
    assert (work.renewals, len(work.sessions.puts)) == (1, 1)


def test_a_table_that_changed_in_a_way_that_its_definition_does_not_show_fails_the_batch() -> None:
    work = Work(Sessions(refuses=lambda _: "TableModified"))
    with pytest.raises(TableChangedError, match="altered while the batch was being written: no: TableModified"):
        work.stager.stage(work.blocks(element(1)), soon())
    assert work.renewals == 1


def test_a_block_that_is_taken_asks_for_no_definition() -> None:
    work = Work(Sessions())
    (block,) = work.blocks(element(1), element(2))
    stage = work.stager.stage([block], soon())
    assert stage is not None
    assert (stage.staged, stage.refused, stage.untried) == (
        [Staged(block, UploadSession("session-0", block.partition_value), (0,))],
        [],
        0,
    )
    assert (work.renewals, work.sessions.puts) == (0, [("session-0", 0, block.body)])


class Forgetful(Sessions):
    """Sessions that list other blocks than they were given."""

    def __init__(self, listed: frozenset[int], **settings: Any) -> None:
        super().__init__(**settings)
        self.listed = listed

    def look(self, session: UploadSession, deadline: Deadline) -> SessionState:
        return replace(super().look(session, deadline), blocks=self.listed)


@pytest.mark.parametrize("listed", [(), (1,), (0, 7)])
def test_a_session_that_lists_other_blocks_than_were_written_is_not_committed(listed: tuple[int, ...]) -> None:
    work = Work(Forgetful(frozenset(listed)))
    told = rf"expected upload session session-0 to hold block 0, found \[{', '.join(map(str, listed))}\]; nothing was"
    with pytest.raises(UnavailableError, match=told):
        work.stager.stage(work.blocks(element(1)), soon())


def refuses_bad(body: bytes) -> str | None:
    return "MalformedDataStream" if b"bad" in body else None


@pytest.mark.parametrize(("values", "held"), [(("good", "bad"), "block 1"), (("bad", "good"), "2 blocks")])
def test_the_blocks_of_halves_are_looked_for_too(values: tuple[str, str], held: str) -> None:
    """A bad record that comes first is preceded by a block without rows."""
    work = Work(Forgetful(frozenset({99}), refuses=refuses_bad))
    blocks = work.blocks(*(element(n, value=value) for n, value in enumerate(values)))
    with pytest.raises(UnavailableError, match=rf"upload session session-1 to hold {held}, found \[99\]"):
        work.stager.stage(blocks, soon())


def test_halves_are_written_in_another_session_first_ones_first_and_never_twice_under_one_id() -> None:
    work = Work(Sessions(refuses=refuses_bad))
    (block,) = work.blocks(*(element(n, value="bad" if n == 2 else f"good-{n}") for n in range(5)))
    stage = work.stager.stage([block], soon())
    assert stage is not None
    (staged,) = stage.staged
    sessions, ids, bodies = zip(*work.sessions.puts, strict=True)
    assert (set(sessions[:1]), set(sessions[1:])) == ({"session-0"}, {"session-1"})
    assert ids == tuple(range(len(ids)))
    values = [[n for n in range(5) if b"good-%d" % n in body or (n == 2 and b"bad" in body)] for body in bodies]
    assert values == [[0, 1, 2, 3, 4], [0, 1], [2, 3, 4], [2], [2], [3, 4]]
    assert staged.blocks == (1, 5)
    assert ([one.offset for one in staged.block.source], staged.block.records) == ([0, 1, 3, 4], 4)
    assert staged.block.coverage.offsets == {("orders", 0): ((0, 1), (3, 4))}
    assert (staged.block.body, staged.session.id) == (b"", "session-1")
    (refused,) = stage.refused
    assert (refused.offset, refused.error.reason, refused.error.path) == (2, REFUSED, "$.data")
    assert refused.error.said == "in so many words"
    assert refused.error.message.endswith("by itself: no: MalformedDataStream")
    assert (stage.untried, work.renewals) == (0, 1)


@pytest.mark.parametrize("encoding", [None, "deflate", "zstd"])
def test_a_record_is_blamed_only_after_a_block_without_rows_was_taken(encoding: str | None) -> None:
    work = Work(Sessions(refuses=refuses_bad), encoding=encoding)
    stage = work.stager.stage(work.blocks(*(element(n, value="good" if n else "bad") for n in range(4))), soon())
    assert stage is not None
    assert (stage.staged[0].blocks, stage.staged[0].block.records) == ((3, 5, 6), 3)
    assert [block_id for _, block_id, _ in work.sessions.puts] == [0, 1, 2, 3, 4, 5, 6]
    assert [block_id for _, block_id, body in work.sessions.puts if body == empty_body(encoding)] == [3]
    assert work.sessions.encodings == {encoding}


@pytest.mark.parametrize("bad", [(0,), ()])
def test_a_lost_answer_leaves_what_is_refused_and_nothing_that_was_taken(bad: tuple[int, ...]) -> None:
    """The last of four records gets no answer; the session that it may still come into isn't staged."""

    class Silent(Sessions):
        def put_block(self, session: UploadSession, block_id: int, body: bytes, *rest: Any) -> None:
            if block_id and b"good-0" not in body and b"good-3" in body:
                raise UnavailableError("no answer")
            super().put_block(session, block_id, body, *rest)

    sessions = Silent(refuses=refuses_bad)
    work = Work(sessions)
    blocks = work.blocks(*(element(n, value="bad" if n in bad else f"good-{n}") for n in range(4)))
    sessions.refuses = lambda body: "MalformedDataStream" if len(sessions.puts) == 1 else refuses_bad(body)
    if not bad:
        with pytest.raises(UnavailableError, match="no answer"):
            work.stager.stage(blocks, soon())
        return
    stage = work.stager.stage(blocks, soon())
    assert stage is not None
    assert (stage.staged, [one.offset for one in stage.refused], stage.untried) == ([], [0], 3)


def test_a_refusal_that_is_about_no_record_ends_the_halving() -> None:
    codes = ["MalformedDataStream", "MalformedDataStream", "NoPermission"]
    work = Work(Sessions(refuses=lambda _: codes.pop(0)))
    with pytest.raises(RefusedError, match="no: NoPermission"):
        work.stager.stage(work.blocks(*map(element, range(4))), soon())
    assert codes == []


def test_only_refused_records_leave_no_session_to_commit() -> None:
    work = Work(Sessions(refuses=refuses_bad))
    stage = work.stager.stage(work.blocks(element(0, value="bad"), element(1, value="bad")), soon())
    assert stage is not None
    assert ([one.offset for one in stage.refused], stage.staged, stage.untried) == ([0, 1], [], 0)


def hours(count: int, *values: str) -> list[object]:
    """Records with these values in each of some partition values."""
    return [
        element(hour * len(values) + n, value=value, timestamp=HOUR_14 - hour * 3_600_000)
        for hour in range(count)
        for n, value in enumerate(values)
    ]


def test_what_is_found_in_all_suspect_blocks_is_added_up() -> None:
    work = Work(Sessions(refuses=refuses_bad))
    stage = work.stager.stage(work.blocks(*hours(3, "bad", "good", "bad")), soon())
    assert stage is not None
    assert sorted(one.offset or 0 for one in stage.refused) == [0, 2, 3, 5, 6, 8]
    assert [one.block.records for one in stage.staged] == [1, 1, 1]
    work = Work(Sessions(refuses=refuses_bad))
    stage = work.stager.stage(work.blocks(*hours(3, "bad", "good")), Deadline.after(LOOK_SECONDS + PUT_SECONDS - 1))
    assert stage is not None
    assert (stage.staged, stage.refused, stage.untried) == ([], [], 6)


def test_halving_leaves_time_for_a_look_and_begins_no_block_that_has_too_little_of_it() -> None:
    now = [0.0]

    class Slow(Sessions):
        def put_block(self, *given: Any) -> None:
            now[0] += 1.0
            super().put_block(*given)

    work = Work(Slow(refuses=refuses_bad))
    blocks = work.blocks(*(element(n, value="bad") for n in range(64)))
    end = 11.5 + LOOK_SECONDS + PUT_SECONDS
    stage = work.stager.stage(blocks, Deadline.after(end, lambda: now[0]))
    assert stage is not None
    # The first one is written with all of the time, the others leave some for the look, and none begins after 11.5 s.
    assert work.sessions.until == [end] + [end - LOOK_SECONDS] * (len(work.sessions.until) - 1)
    assert 11.5 <= now[0] < 11.5 + 4
    assert stage.untried == 64 - len(stage.refused)
    assert stage.refused
