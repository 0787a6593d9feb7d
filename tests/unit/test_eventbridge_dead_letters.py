"""The emulated dead-letter queues."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from local_emulator.eventbridge import dead_letters
from local_emulator.eventbridge.dead_letters import DeadLetterQueues
from local_emulator.eventbridge.window import Batch

if TYPE_CHECKING:
    from local_emulator.eventbridge.dead_letters import Message

pytestmark = pytest.mark.quick

QUEUE = "acs:mns:cn-hangzhou:188:/queues/lost"
TOPIC = "acs:mq:cn-hangzhou:188:/instances/MQ_INST_188_x/topic/lost"
BATCH = Batch('[{"a": "绿茶"},"{\\"b\\":1}"]'.encode(), 2, {("orders", 0): (5, 7)})


def messages(queues: DeadLetterQueues, arn: str) -> list[Message]:
    found = queues.messages(arn)
    assert found is not None
    return found


def test_each_event_is_a_message_unchanged() -> None:
    queues = DeadLetterQueues()
    queues.send(TOPIC, "orders-stream", BATCH, "all tries failed", as_one_message=False)
    first, second = messages(queues, TOPIC)
    assert (first.body, second.body) == ('{"a": "绿茶"}', '"{\\"b\\":1}"')
    assert [message.number for message in (first, second)] == [1, 2]
    assert (first.stream, first.reason, first.records) == (
        "orders-stream",
        "all tries failed",
        "orders-0 offsets 5 to 6",
    )
    assert queues.messages(TOPIC, after=1) == [second]
    assert queues.messages(TOPIC, limit=1) == [first]


def test_a_batch_is_a_message() -> None:
    queues = DeadLetterQueues()
    queues.send(QUEUE, "orders-stream", BATCH, "", as_one_message=True)
    [message] = messages(queues, QUEUE)
    assert message.body.encode() == BATCH.body
    assert len(json.loads(message.body)) == 2


def test_both_spellings_name_one_queue() -> None:
    queues = DeadLetterQueues()
    queues.declare(QUEUE)
    queues.send(QUEUE.replace(":/queues", ":queues"), "s", BATCH, "", as_one_message=True)
    assert queues.counts() == [(QUEUE, 1, 0)]
    assert queues.clear(QUEUE) == 1
    assert queues.counts() == [(QUEUE, 0, 0)]
    assert (queues.messages(TOPIC), queues.clear(TOPIC)) == (None, None)


def test_a_full_queue_drops_its_oldest_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "MOST_BYTES", 40)
    queues = DeadLetterQueues()
    for _ in range(3):
        queues.send(QUEUE, "s", BATCH, "", as_one_message=False)
    assert [message.number for message in messages(queues, QUEUE)] == [4, 5, 6]
    assert queues.counts() == [(QUEUE, 3, 3)]
    queues.send(QUEUE, "s", Batch(b"[" + b"1" * 60 + b"]", 1, BATCH.ranges), "", as_one_message=True)
    assert [message.number for message in messages(queues, QUEUE)] == [7], "the newest stays, whatever its size"
