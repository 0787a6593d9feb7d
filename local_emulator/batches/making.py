"""Makes the recorded batches again: `python -m local_emulator.batches.making`.

They come from the stream itself, out of an embedded broker; only the events' ids differ from one making to the next.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from local_emulator.batches.zoo import ACCOUNT_ID, config
from local_emulator.eventbridge.stream import EventStream
from local_emulator.kafka import topics as kafka_topics
from local_emulator.kafka.embedded import EmbeddedBroker
from local_emulator.kafka.orders import TEST_MESSAGE, orders
from local_emulator.kafka.producer import produce

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_emulator.kafka.broker import Broker
    from local_emulator.kafka.record import Record

FOLDER = Path(__file__).parent
ORDERS_FILE = FOLDER / "orders.json"
TEST_TOPIC = "maxcompute-test-input"
ORDERS_TOPIC = "recorded-orders"
"""Not the topic that the local cloud fills: rows of a replay have topic, partition and offset of their own."""
TOPIC_PARTITIONS = 3
ORDERS = 200
DELIVERY_SECONDS = 30.0


def make(folder: Path = FOLDER) -> None:
    """Write test_message.json, the connector document's message, and orders.json, with null keys and tombstones."""
    _record(folder / "test_message.json", TEST_TOPIC, [TEST_MESSAGE])
    _record(folder / ORDERS_FILE.name, ORDERS_TOPIC, recorded_orders())


def recorded_orders() -> list[Record]:
    """Return the records of orders.json."""
    return list(orders(ORDERS, TOPIC_PARTITIONS, large=False))


def send_recorded_orders(broker: Broker) -> None:
    """Give a broker the topic of orders.json with its records, at the offsets that the batch has; once.

    Without the log the function would search for it at each replay, and divert the records of a second replay, because
    records that its ledger has as settled would be in no log.
    """
    if ORDERS_TOPIC in kafka_topics.client(broker.bootstrap_servers).list_topics(timeout=DELIVERY_SECONDS).topics:
        return  # kept from an earlier run
    broker.create_topic(ORDERS_TOPIC, TOPIC_PARTITIONS)
    produce(broker.bootstrap_servers, ORDERS_TOPIC, recorded_orders())


def _record(path: Path, topic: str, records: Sequence[Record]) -> None:
    """Send the records through a stream that delivers them to nobody, as one batch, and keep that batch."""
    stream_config = config("recording", topic=topic, batch_count=len(records))
    bodies: list[str] = []
    with EmbeddedBroker({topic: TOPIC_PARTITIONS}) as broker:
        stream = EventStream(
            stream_config,
            len,
            broker.bootstrap_servers,
            account_id=ACCOUNT_ID,
            record=lambda tried: bodies.append(tried.body),
        )
        sent = produce(broker.bootstrap_servers, topic, records)
        stream.start()
        stream.await_delivery({(topic, number): one.last + 1 for number, one in sent.items()}, DELIVERY_SECONDS)
        stream.stop()
    [body] = bodies
    path.write_text(body, encoding="utf-8")


if __name__ == "__main__":
    make()
