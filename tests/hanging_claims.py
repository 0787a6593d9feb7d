"""Old claims that can't be brought to their end, because MaxCompute never says what became of their sessions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.ledger.operations import Claim
from kafka_maxcompute.maxcompute.upload_sessions import SessionState, SessionStatus
from maxcompute_sink.old_claims import OLD_SECONDS
from tests.deadlines import soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fc_powertools import Deadline
    from kafka_maxcompute.maxcompute.upload_sessions import UploadSession
    from kafka_maxcompute.offsets import Intervals, TopicPartition
    from tests.sink_delivery import Connector


class HangingSessions:
    """Upload sessions of which some can't be ended: each look at one of them takes all the time that it may."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.hanging: set[str] = set()
        self.looked: list[str] = []
        self.begins: list[float] = []
        self.ends: list[float] = []
        """When looks began, and have to end at the latest (seconds, monotonic)."""
        self.passes: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def look(self, session: UploadSession, deadline: Deadline) -> SessionState:
        if session.id not in self.hanging:
            state: SessionState = self._inner.look(session, deadline)
            return state
        self.looked.append(session.id)
        self.passes()
        self.begins.append(time.monotonic())
        self.ends.append(time.monotonic() + deadline.remaining())
        time.sleep(deadline.remaining())
        return SessionState(SessionStatus.CLOSING, frozenset({0}))


def claimed(connector: Connector, offsets: Iterable[int]) -> list[str]:
    """Old claims of other topic-partitions, each in a session of its own that is still open."""
    ledger, ids = connector.ledger(), []
    for offset in offsets:
        session = connector.sessions.open("11-17-2020 14", soon())
        connector.sessions.put_block(session, 0, b"", None, soon())
        interval: dict[TopicPartition, Intervals] = {("orders", 1): ((offset, offset),)}
        claim = Claim(
            id=session.id, partition_value="11-17-2020 14", blocks=(0,), rows=1, offsets=interval, generation=1
        )
        ledger.append(claim, soon())
        ids.append(session.id)
    connector.now += OLD_SECONDS + 1
    return ids
