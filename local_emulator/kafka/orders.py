"""Made-up orders as records to try the local cloud with: equal for equal seeds, with all special cases of a topic."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from local_emulator.kafka.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

SPAN_MS = 2 * 60 * 60 * 1000
"""Record times run over two hours, so that rows fall into at least two hours of the table."""

START_MS = 1_605_578_400_000
"""2020-11-17 02:00 UTC, which is 10:00 in GMT 08:00: the day of the connector document's example."""

NULL_KEY_EVERY = 10
TOMBSTONE_EVERY = 97
LARGE_BYTES = 200 * 1024
_LARGE_REMARK = "订单备注 remark " * (LARGE_BYTES // 20)  # 20 bytes of UTF-8

_CITIES = ("杭州", "上海", "北京", "深圳", "成都", "Singapore", "Zürich")
_GOODS = ("绿茶 250 g", "丝绸围巾", "keyboard & mouse", "电饭煲 <3 L>", 'lamp "Nord"', "it's a mug", "椅子")
_REMARKS = ("", "请放门口", "ring = twice", "易碎")
_STATES = ("created", "paid", "shipped", "received", "returned")

TEST_MESSAGE = Record(partition=0, timestamp=1_605_594_185_000, key=b"1", value=b"1")
"""The message whose row the connector document shows: key 1, content 1, in the partition value `11-17-2020 14`."""


def orders(
    count: int, topic_partitions: int = 6, *, seed: int = 20201117, start_ms: int = START_MS, large: bool = True
) -> Iterator[Record]:
    """Yield `count` records for the topic-partitions in turn, in order of their time.

    Every tenth record has a null key, every 97th is a tombstone (a key without a value), and with `large`, the middle
    record has a value of over 200 KB. Values are JSON objects of some 250 bytes with Chinese text and characters that
    serializers like to escape.
    """
    dice = random.Random(seed)  # noqa: S311 - made-up orders, no secrets
    for number in range(count):
        order = f"{start_ms // 1000 - 1_600_000_000}{number:08d}"
        is_large = large and number == count // 2
        tombstone = number % TOMBSTONE_EVERY == TOMBSTONE_EVERY - 1 and not is_large
        null_key = number % NULL_KEY_EVERY == NULL_KEY_EVERY - 1 and not tombstone
        yield Record(
            partition=number % topic_partitions,
            timestamp=start_ms + SPAN_MS * number // count,
            key=None if null_key else order.encode(),
            value=None if tombstone else _value(dice, order, _LARGE_REMARK if is_large else dice.choice(_REMARKS)),
        )


def _value(dice: random.Random, order: str, remark: str) -> bytes:
    lines = [
        {"sku": f"{dice.randrange(10**8):08d}", "name": dice.choice(_GOODS), "quantity": dice.randint(1, 9)}
        for _ in range(dice.randint(1, 3))
    ]
    fields = {
        "order": order,
        "buyer": f"{dice.getrandbits(48):012x}",
        "city": dice.choice(_CITIES),
        "state": dice.choice(_STATES),
        "amount": f"{dice.randrange(100, 1_000_000) / 100:.2f}",
        "paid": dice.random() < 0.8,  # noqa: PLR2004 - four of five orders are paid
        "lines": lines,
        "remark": remark,
    }
    return msgspec.json.encode(fields)
