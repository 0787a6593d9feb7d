"""Which Kafka the local cloud uses: `embedded`, `apache`, or the user's own at host:port."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from local_emulator.foundation.stoppable import Stoppable
from local_emulator.kafka import topics as kafka_topics
from local_emulator.kafka.apache import ApacheBroker
from local_emulator.kafka.embedded import EmbeddedBroker
from local_emulator.kafka.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

ANSWER_SECONDS = 15.0
"""How long a broker of the user's own may take to answer at all."""


class Broker(Protocol):
    """What the rest of the local cloud needs of a broker."""

    bootstrap_servers: str
    retention_bytes: int | None
    """What a topic-partition keeps before it drops its oldest records; None: more than the local cloud sends."""

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic of so many topic-partitions."""

    def stop(self) -> None:
        """Leave nothing behind."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


@dataclass(slots=True)
class OwnBroker(Stoppable):
    """A broker that somebody else runs: topics are created if absent, and it is left alone at the end."""

    bootstrap_servers: str
    retention_bytes: int | None = None

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic of so many topic-partitions, unless it is there."""
        kafka_topics.create_missing(self.bootstrap_servers, {name: partitions})

    def stop(self) -> None:
        """Do nothing: it isn't ours."""


def is_own(which: str) -> bool:
    """Whether `which` names a broker of the user's own."""
    return which not in {"embedded", "apache"}


def open_broker(which: str, topics: Mapping[str, int]) -> Broker:
    """Start, or connect to, the broker that `which` names, with these topics (name: count of topic-partitions).

    Raises BrokerError, which says what to do.
    """
    if which == "embedded":
        return EmbeddedBroker(topics)
    if which == "apache":
        return ApacheBroker(topics)
    if not re.fullmatch(r"[^\s:,]+:\d{1,5}(,[^\s:,]+:\d{1,5})*", which):
        raise BrokerError(f"the broker must be embedded, apache, or host:port of a running one; found {which!r}")
    kafka_topics.await_broker(which, ANSWER_SECONDS)
    kafka_topics.create_missing(which, topics)
    return OwnBroker(which)
