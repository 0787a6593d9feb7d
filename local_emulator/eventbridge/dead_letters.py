"""The emulated dead-letter queues of event streams: queues of Simple Message Queue and topics of RocketMQ.

A queue exists as soon as a stream names it, and has the messages of this run of the emulator. The content of a message
is the event as it would have been delivered, unchanged (EventBridge's page on dead-letter queues). No source says
whether each event or each batch becomes a message.
"""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_emulator.eventbridge.window import Batch

MOST_BYTES = 64 * 1024 * 1024
"""The size of the messages that a queue keeps; older messages are dropped, and counted."""


class Message(msgspec.Struct, frozen=True):
    """A dead letter in a queue.

    Fields:
        number: 1 for the queue's first message.
        time: when the message was sent to the queue, in UTC.
        stream: the event stream that gave the events up.
        reason: why.
        records: the topic-partitions and offsets of the batch that the message is from.
        body: the content: one event, or the JSON array of a batch.
    """

    number: int
    time: datetime
    stream: str
    reason: str
    records: str
    body: str


class Queue:
    """The messages of one queue, oldest first; callers hold the lock of `DeadLetterQueues`."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()
        self.sent = 0
        self.dropped = 0
        self._bytes = 0

    def add(self, message: Message) -> None:
        """Append a message, and drop the oldest messages beyond `MOST_BYTES`, except the new one."""
        self.messages.append(message)
        self.sent += 1
        self._bytes += len(message.body)
        while self._bytes > MOST_BYTES and len(self.messages) > 1:
            self._bytes -= len(self.messages.popleft().body)
            self.dropped += 1

    def clear(self) -> int:
        """Delete the messages, and return how many there were."""
        count = len(self.messages)
        self.messages.clear()
        self._bytes = 0
        return count


class DeadLetterQueues:
    """The queues by their ARN; safe to use from many threads."""

    def __init__(self) -> None:
        self._queues: dict[str, Queue] = {}
        self._lock = threading.Lock()

    def declare(self, arn: str) -> None:
        """Let a queue exist."""
        with self._lock:
            self._queues.setdefault(_key(arn), Queue())

    def send(self, arn: str, stream: str, batch: Batch, reason: str, *, as_one_message: bool) -> None:
        """Send a batch to a queue, as one message or as a message for each event."""
        bodies: Sequence[bytes | msgspec.Raw] = (
            [batch.body] if as_one_message else msgspec.json.decode(batch.body, type=list[msgspec.Raw])
        )
        now = datetime.now(timezone.utc)
        with self._lock:
            queue = self._queues.setdefault(_key(arn), Queue())
            for body in bodies:
                text = bytes(body).decode()
                queue.add(Message(queue.sent + 1, now, stream, reason, batch.records, text))

    def counts(self) -> list[tuple[str, int, int]]:
        """Return each queue's ARN, and the numbers of its messages and of dropped messages."""
        with self._lock:
            return [(arn, len(queue.messages), queue.dropped) for arn, queue in sorted(self._queues.items())]

    def messages(self, arn: str, after: int = 0, limit: int = 100) -> list[Message] | None:
        """Return a queue's oldest messages after a number; None if there is no such queue."""
        with self._lock:
            queue = self._queues.get(_key(arn))
            if queue is None:
                return None
            return [message for message in queue.messages if message.number > after][:limit]

    def clear(self, arn: str) -> int | None:
        """Delete a queue's messages, and return how many there were; None if there is no such queue."""
        with self._lock:
            queue = self._queues.get(_key(arn))
            return None if queue is None else queue.clear()


def _key(arn: str) -> str:
    """Return the ARN in one of the two spellings that Simple Message Queue's ARNs have in the sources."""
    return arn if ":/" in arn else arn.replace(":queues/", ":/queues/")
