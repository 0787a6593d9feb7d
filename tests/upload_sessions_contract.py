"""What every implementation of `UploadSessions` has to do; the in-memory and the real ones are held to it alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from fc_powertools import Deadline
from kafka_maxcompute.errors import RefusedError
from kafka_maxcompute.maxcompute.upload_sessions import SessionStatus, UploadSession, UploadSessions, commit
from maxcompute_sink.framing import block_body

if TYPE_CHECKING:
    from collections.abc import Callable

    Visible = Callable[[str], list[str]]

PT = "11-17-2020 14:20"
SCHEMA = pa.schema(
    [("topic", pa.utf8()), ("partition", pa.int64()), ("offset", pa.int64()), ("key", pa.utf8()), ("value", pa.utf8())]
)
SOON = 30.0


def body(*values: str) -> bytes:
    """A block of the document's table with these values."""
    rows = [dict(zip(SCHEMA.names, ("orders", 0, 1, None, value), strict=True)) for value in values]
    return block_body([pa.RecordBatch.from_pylist(rows, SCHEMA)], "none")


class UploadSessionsContract:
    """Give it two fixtures: `sessions`, and `visible`, the values that a reader finds in a partition."""

    @pytest.fixture
    def deadline(self) -> Deadline:
        return Deadline.after(SOON)

    @pytest.fixture
    def session(self, sessions: UploadSessions, deadline: Deadline) -> UploadSession:
        opened = sessions.open(PT, deadline)
        sessions.put_block(opened, 0, body("a", "b"), None, deadline)
        return opened

    def test_a_block_is_invisible_until_its_commit(
        self, sessions: UploadSessions, session: UploadSession, visible: Visible, deadline: Deadline
    ) -> None:
        state = sessions.look(session, deadline)
        assert (session.partition_value, state.status, state.blocks) == (PT, SessionStatus.NORMAL, frozenset({0}))
        assert visible(PT) == []
        assert sessions.commit(session, deadline) is SessionStatus.CLOSED
        assert sessions.look(session, deadline).status is SessionStatus.CLOSED
        assert visible(PT) == ["a", "b"]

    def test_all_blocks_become_visible_together(
        self, sessions: UploadSessions, session: UploadSession, visible: Visible, deadline: Deadline
    ) -> None:
        sessions.put_block(session, 7, body("c"), None, deadline)
        assert sessions.look(session, deadline).blocks == {0, 7}
        commit(sessions, session, deadline)
        assert sorted(visible(PT)) == ["a", "b", "c"]

    def test_a_block_that_is_written_again_replaces_the_first(
        self, sessions: UploadSessions, session: UploadSession, visible: Visible, deadline: Deadline
    ) -> None:
        sessions.put_block(session, 0, body("c"), None, deadline)
        commit(sessions, session, deadline)
        assert visible(PT) == ["c"]

    def test_sessions_of_one_partition_add_up(
        self, sessions: UploadSessions, session: UploadSession, visible: Visible, deadline: Deadline
    ) -> None:
        other = sessions.open(PT, deadline)
        assert other.id != session.id
        sessions.put_block(other, 0, body("c"), None, deadline)
        commit(sessions, other, deadline)
        assert visible(PT) == ["c"]
        commit(sessions, session, deadline)
        assert sorted(visible(PT)) == ["a", "b", "c"]

    def test_the_commit_is_known_by_the_status_however_often_it_is_asked_for(
        self, sessions: UploadSessions, session: UploadSession, visible: Visible, deadline: Deadline
    ) -> None:
        for _ in range(3):
            commit(sessions, session, deadline)
        assert visible(PT) == ["a", "b"]

    def test_a_closed_session_takes_no_block(
        self, sessions: UploadSessions, session: UploadSession, visible: Visible, deadline: Deadline
    ) -> None:
        commit(sessions, session, deadline)
        with pytest.raises(RefusedError) as caught:
            sessions.put_block(session, 1, body("c"), None, deadline)
        assert caught.value.code == "StatusConflict"
        assert visible(PT) == ["a", "b"]

    def test_a_session_without_blocks_commits_nothing(
        self, sessions: UploadSessions, visible: Visible, deadline: Deadline
    ) -> None:
        commit(sessions, sessions.open(PT, deadline), deadline)
        assert visible(PT) == []

    def test_an_unknown_session_is_refused(self, sessions: UploadSessions, deadline: Deadline) -> None:
        unknown = UploadSession("20201117142000ffffffffffffffff", PT)
        for call in (
            lambda: sessions.look(unknown, deadline),
            lambda: sessions.commit(unknown, deadline),
            lambda: sessions.put_block(unknown, 0, body("a"), None, deadline),
        ):
            with pytest.raises(RefusedError) as caught:
                call()
            assert caught.value.code == "NoSuchUpload"

    @pytest.mark.parametrize("block_id", [-1, 20_000])
    def test_block_ids_go_from_0_to_19999(
        self, sessions: UploadSessions, session: UploadSession, deadline: Deadline, block_id: int
    ) -> None:
        sessions.put_block(session, 19_999, body("c"), None, deadline)
        with pytest.raises(RefusedError) as caught:
            sessions.put_block(session, block_id, body("c"), None, deadline)
        assert caught.value.code == "InvalidBlockID"
