"""The stream on each broker: what is delivered, what is committed, and what comes again."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from local_emulator.eventbridge.errors import InvocationError, StreamError
from local_emulator.eventbridge.progress import StreamStatus
from local_emulator.eventbridge.stream import EventStream
from local_emulator.kafka.orders import orders
from local_emulator.kafka.producer import produce
from local_emulator.kafka.record import Record
from tests.kafka_fixtures import committed
from tests.stream_clients import PATIENCE_SECONDS
from tests.stream_settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from local_emulator.eventbridge.deliveries import RecordedDelivery
    from local_emulator.eventbridge.progress import Progress
    from local_emulator.kafka.broker import Broker
    from local_emulator.kafka.embedded import EmbeddedBroker

    Start = Callable[..., EventStream]

SECONDS = PATIENCE_SECONDS


class Function:
    """Keeps what it is given, and fails where a test says so."""

    def __init__(self) -> None:
        self.fails: Callable[[list[int]], bool] = lambda _: False
        self.batches: list[list[dict[str, Any]]] = []
        self.tries = 0
        self._lock = threading.Lock()

    def __call__(self, body: bytes) -> None:
        batch = [event["data"] for event in json.loads(body)]
        with self._lock:
            self.tries += 1
        if self.fails([record["offset"] for record in batch]):
            raise InvocationError("as the test says", retryable=True)
        with self._lock:
            self.batches.append(batch)

    def received(self) -> Counter[tuple[int, int]]:
        """How often each (topic-partition, offset) came."""
        with self._lock:
            return Counter((record["partition"], record["offset"]) for batch in self.batches for record in batch)


@pytest.fixture
def function() -> Function:
    return Function()


@pytest.fixture
def start(broker: Broker, topic: str, function: Function) -> Iterator[Start]:
    """Start a stream of the test's topic into the test's function; keywords are settings, or the stream's own."""
    running: list[EventStream] = []

    def begin(invoke: Callable[[bytes], object] = function, **changes: Any) -> EventStream:
        own = {name: changes.pop(name) for name in ("record", "dead_letter") if name in changes}
        config = settings(**{"topic": topic, "group": f"connect-{topic}", **changes})
        stream = EventStream(config, invoke, broker.bootstrap_servers, time_scale=0.001, **own)
        running.append(stream)
        stream.start()
        return stream

    yield begin
    for stream in running:
        stream.stop()


@pytest.fixture
def send(broker: Broker, topic: str) -> Callable[[Iterable[Record]], dict[tuple[str, int], int]]:
    """Send records to the test's topic; returns what a stream has to get to."""

    def produce_them(records: Iterable[Record]) -> dict[tuple[str, int], int]:
        sent = produce(broker.bootstrap_servers, topic, records)
        return {(topic, partition): one.last + 1 for partition, one in sent.items()}

    return produce_them


def numbered(count: int, partition: int = 0) -> list[Record]:
    return [Record(partition, 1_605_594_185_000, None, str(number).encode()) for number in range(count)]


def await_state(stream: EventStream, state: StreamStatus) -> Progress:
    deadline = time.monotonic() + SECONDS
    while stream.progress().state is not state:
        assert time.monotonic() < deadline, stream.progress()
        time.sleep(0.02)
    return stream.progress()


def test_every_record_comes_once_as_it_was_sent(
    broker: Broker, topic: str, start: Start, send: Any, function: Function
) -> None:
    records = list(orders(3000, 3))
    stream = start(maximum_tasks=3, concurrency=4, batch_count=500, batch_seconds=1)
    stream.await_start(SECONDS)  # or the second consumer to join would make the group deliver again
    targets = send(records)
    stream.await_delivery(targets, SECONDS)
    assert function.received() == {(number % 3, number // 3): 1 for number in range(3000)}
    for batch in function.batches:
        for got in batch:
            sent = records[got["offset"] * 3 + got["partition"]]
            assert got["timestamp"] == sent.timestamp
            assert got.get("key") == (None if sent.key is None else sent.key.decode())
            assert got.get("value") == (None if sent.value is None else sent.value.decode())
    assert committed(broker, f"connect-{topic}", topic) == [1000, 1000, 1000]
    progress = stream.progress()
    assert (progress.state, progress.events, progress.failed_invocations) == (StreamStatus.RUNNING, 3000, 0)
    assert progress.delivered == targets


def test_nothing_is_committed_before_success(
    broker: Broker, topic: str, start: Start, send: Any, function: Function
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def invoke(body: bytes) -> None:
        entered.set()
        assert leave.wait(SECONDS)
        function(body)

    targets = send(numbered(10))
    stream = start(invoke)
    assert entered.wait(SECONDS)
    assert committed(broker, f"connect-{topic}", topic)[0] < 0
    assert stream.delivered()[topic, 0] == 0
    leave.set()
    stream.await_delivery(targets, SECONDS)
    assert committed(broker, f"connect-{topic}", topic)[0] == 10


def test_a_failed_batch_comes_again_before_anything_later_is_committed(
    start: Start, send: Any, function: Function
) -> None:
    failures = iter([True, True, False])
    function.fails = lambda offsets: 10 in offsets and next(failures)
    stream = start(retry_strategy="EXPONENTIAL_DECAY_RETRY", batch_seconds=15)
    stream.await_delivery(send(numbered(30)), SECONDS)
    assert [[record["offset"] for record in batch] for batch in function.batches] == [
        list(range(begin, begin + 10)) for begin in (0, 10, 20)
    ]
    assert function.tries == 5
    assert stream.progress().failed_invocations == 2


def test_a_stream_that_stops_in_a_failure_delivers_again_after_its_restart(
    broker: Broker, topic: str, start: Start, send: Any, function: Function
) -> None:
    function.fails = lambda offsets: 10 in offsets
    targets = send(numbered(30))
    stream = start(batch_seconds=15)
    progress = await_state(stream, StreamStatus.READY)
    assert f"{topic}-0 offsets 10 to 19" in progress.reason
    assert "as the test says" in progress.reason
    with pytest.raises(StreamError, match=r"stands still \(READY\): .*offsets 10 to 19"):
        stream.delivered()
    with pytest.raises(StreamError, match=r"stands still \(READY\)"):
        stream.await_delivery(targets, SECONDS)
    stream.stop()
    assert committed(broker, f"connect-{topic}", topic)[0] == 10
    assert stream.progress().state is StreamStatus.READY
    assert stream.progress().reason == progress.reason

    function.fails = lambda _: False
    stream.start()
    stream.await_delivery(targets, SECONDS)
    assert function.received() == {(0, offset): 1 for offset in range(30)}
    assert committed(broker, f"connect-{topic}", topic)[0] == 30


def test_another_stream_of_the_group_goes_on_where_the_first_stopped(
    start: Start, send: Any, function: Function
) -> None:
    first = start()
    first.await_delivery(send(numbered(25)), SECONDS)
    first.stop()
    targets = send(numbered(25))
    start().await_delivery(targets, SECONDS)
    assert function.received() == {(0, offset): 1 for offset in range(50)}


def test_pause_and_resume_lose_and_repeat_nothing(start: Start, send: Any, function: Function) -> None:
    stream = start()
    stream.await_delivery(send(numbered(10)), SECONDS)
    stream.pause()
    assert stream.progress().state is StreamStatus.PAUSED
    targets = send(numbered(10))
    with pytest.raises(StreamError, match="PAUSED"):
        stream.await_delivery(targets, 0.1)
    stream.start()
    stream.await_delivery(targets, SECONDS)
    assert function.received() == {(0, offset): 1 for offset in range(20)}


def test_one_invocation_at_a_time_keeps_the_order(start: Start, send: Any, function: Function) -> None:
    failing = {0, 20, 40}

    def fails(offsets: list[int]) -> bool:
        fails_now = offsets[0] in failing
        failing.discard(offsets[0])
        return fails_now

    function.fails = fails
    stream = start(concurrency=1, maximum_tasks=3)
    stream.await_start(SECONDS)
    stream.await_delivery(send(numbered(60)), SECONDS)
    assert function.tries >= 9, "three batches were tried twice"
    offsets = [record["offset"] for batch in function.batches for record in batch]
    assert offsets == list(range(60))


def test_tolerance_all_goes_on_past_a_dead_letter(
    broker: Broker, topic: str, start: Start, send: Any, function: Function
) -> None:
    letters: list[list[int]] = []
    function.fails = lambda offsets: 10 in offsets
    stream = start(
        errors_tolerance="ALL",
        batch_seconds=15,
        dead_letter_arn="acs:mns:cn-hangzhou:188:/queues/dead-letters",
        dead_letter=lambda batch, _: letters.append([event["data"]["offset"] for event in json.loads(batch.body)]),
    )
    stream.await_delivery(send(numbered(30)), SECONDS)
    assert letters == [list(range(10, 20))]
    assert function.received() == {(0, offset): 1 for offset in range(30) if not 10 <= offset < 20}
    assert committed(broker, f"connect-{topic}", topic)[0] == 30
    assert (stream.progress().batches, stream.progress().dead_letters) == (2, 1)


def test_concurrent_batches_commit_only_what_is_contiguous(
    broker: Broker, topic: str, start: Start, send: Any, function: Function
) -> None:
    """The first of four batches hangs while the others succeed; then the stream is stopped and started."""
    hanging, leave = threading.Event(), threading.Event()

    def invoke(body: bytes) -> None:
        if json.loads(body)[0]["data"]["offset"] == 0 and not leave.is_set():
            hanging.set()
            assert leave.wait(SECONDS)
            raise InvocationError("after a long time", retryable=True)
        function(body)

    targets = send(numbered(40))
    stream = start(invoke, concurrency=4, batch_seconds=15)
    assert hanging.wait(SECONDS)
    deadline = time.monotonic() + SECONDS
    while len(function.received()) < 30:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert committed(broker, f"connect-{topic}", topic)[0] < 0
    threading.Timer(0.3, leave.set).start()
    stream.stop()
    assert committed(broker, f"connect-{topic}", topic)[0] < 0

    stream.start()
    stream.await_delivery(targets, SECONDS)
    assert committed(broker, f"connect-{topic}", topic)[0] == 40
    assert set(function.received()) == {(0, offset) for offset in range(40)}


def test_no_more_invocations_run_at_once_than_the_concurrency(start: Start, send: Any) -> None:
    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def invoke(_: bytes) -> None:
        with lock:
            running.append(1)
            most.append(len(running))
        time.sleep(0.01)
        with lock:
            running.pop()

    stream = start(invoke, maximum_tasks=3, concurrency=2, batch_count=5, batch_seconds=15)
    stream.await_delivery(send([record for partition in range(3) for record in numbered(50, partition)]), SECONDS)
    assert max(most) == 2


def test_a_full_window_goes_and_the_rest_waits_for_its_time(start: Start, send: Any, function: Function) -> None:
    stream = start(batch_count=20, batch_seconds=1)
    stream.await_delivery(send(numbered(45)), SECONDS)
    assert [len(batch) for batch in function.batches] == [20, 20, 5]


def test_bodies_stay_under_32_mb(start: Start, send: Any) -> None:
    sizes: list[int] = []
    stream = start(lambda body: sizes.append(len(body)), batch_count=10_000, batch_seconds=1)
    large = "=" * 900_000  # each = has six bytes in the event
    records = [Record(number % 3, 1, None, large.encode()) for number in range(8)]
    stream.await_delivery(send(records), SECONDS)
    assert sum(sizes) > 8 * 6 * 900_000
    assert all(size <= 32 * 1024 * 1024 for size in sizes)
    assert max(sizes) > 20 * 1024 * 1024


def test_latest_begins_with_what_comes_after_the_start(start: Start, send: Any, function: Function) -> None:
    send(numbered(10))
    stream = start(offset_reset="latest")
    await_state(stream, StreamStatus.RUNNING)
    stream.await_delivery(send(numbered(10)), SECONDS)
    assert function.received() == {(0, offset): 1 for offset in range(10, 20)}


def test_two_streams_of_a_group_share_the_topic(start: Start, send: Any, function: Function) -> None:
    """The second joins while the first delivers: topic-partitions move, and nothing is lost or comes twice."""
    first = start(maximum_tasks=2, concurrency=2)
    await_state(first, StreamStatus.RUNNING)
    send([record for partition in range(3) for record in numbered(100, partition)])
    start(maximum_tasks=1)
    send([record for partition in range(3) for record in numbered(100, partition)])
    deadline = time.monotonic() + SECONDS
    expected = {(partition, offset): 1 for partition in range(3) for offset in range(200)}
    while function.received() != expected:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_delivered_batches_are_recorded_as_they_were_sent(start: Start, send: Any, function: Function) -> None:
    bodies: list[bytes] = []

    def invoke(body: bytes) -> None:
        bodies.append(body)
        function(body)

    recorded: list[RecordedDelivery] = []
    stream = start(invoke, record=recorded.append, batch_seconds=15)
    stream.await_delivery(send(numbered(30)), SECONDS)
    assert [delivery.body.encode() for delivery in recorded] == bodies
    assert [delivery.events for delivery in recorded] == [10, 10, 10]


def test_a_missing_topic_fails_the_start(start: Start) -> None:
    with pytest.raises(StreamError, match="there is no topic nowhere"):
        start(topic="nowhere")


def test_a_disabled_trigger_does_not_start(start: Start) -> None:
    with pytest.raises(StreamError, match="triggerEnable: false"):
        start(enabled=False)


def test_a_dead_letter_queue_needs_somebody_to_take_letters(start: Start) -> None:
    with pytest.raises(StreamError, match="names a dead-letter queue"):
        start(dead_letter_arn="acs:mns:cn-hangzhou:188:/queues/x")


def test_a_function_that_does_not_exist_stops_the_start(start: Start, send: Any) -> None:
    def refuse(_: bytes) -> None:
        raise InvocationError("answered 404", retryable=False)

    send(numbered(1))
    progress = await_state(start(refuse), StreamStatus.STARTING_FAILED)
    assert "answered 404" in progress.reason


def test_a_fault_of_the_emulator_itself_stops_the_stream(
    broker: Broker, topic: str, start: Start, send: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: bytes) -> None:
        raise ZeroDivisionError("a bug")

    send(numbered(1))
    progress = await_state(start(broken), StreamStatus.RUNNING_FAILED)
    assert "ZeroDivisionError: a bug" in progress.reason
    assert progress.reason in caplog.text
    assert committed(broker, f"connect-{topic}", topic)[0] < 0


@pytest.mark.parametrize("broker", ["embedded_kafka"], indirect=True)
def test_a_log_that_lost_undelivered_records_stops_the_restarted_stream(
    embedded_kafka: EmbeddedBroker, topic: str, start: Start, send: Any, function: Function
) -> None:
    stream = start()
    stream.await_delivery(send(numbered(10)), SECONDS)
    stream.stop()
    send(numbered(20))
    embedded_kafka.delete_records(topic, 0, 15)
    stream.start()
    progress = await_state(stream, StreamStatus.RUNNING_FAILED)
    assert f"the log of {topic}-0 begins after the stream's next offset (offsets 10 to 14 are gone)" in progress.reason
    assert len(function.received()) == 10


@pytest.mark.parametrize("broker", ["embedded_kafka"], indirect=True)
def test_a_log_that_loses_records_under_a_running_stream_stops_it(
    embedded_kafka: EmbeddedBroker, topic: str, start: Start, send: Any
) -> None:
    """A producer that doesn't wait: far more than the broker keeps and the stream fetches ahead."""
    entered, leave = threading.Event(), threading.Event()

    def hang(_: bytes) -> None:
        entered.set()
        leave.wait(SECONDS)

    stream = start(hang, batch_count=1)
    send([Record(0, 1, None, b"x")])
    assert entered.wait(SECONDS)
    for _ in range(30):
        send([Record(0, 1, None, b"x" * 100_000)] * 20)
    leave.set()
    progress = await_state(stream, StreamStatus.RUNNING_FAILED)
    assert f"the log of {topic}-0 begins after the stream's next offset" in progress.reason
    assert embedded_kafka.bootstrap_servers


def test_a_broker_that_goes_away_is_reported_once(
    embedded_kafka: EmbeddedBroker, function: Function, caplog: pytest.LogCaptureFixture
) -> None:
    """Its six consumers go on trying, so the stream itself stays as it is."""
    embedded_kafka.create_topic("orders", 6)
    stream = EventStream(settings(topic="orders"), function, embedded_kafka.bootstrap_servers)
    stream.start()
    try:
        stream.await_start(SECONDS)
        embedded_kafka.stop()
        deadline = time.monotonic() + SECONDS
        while "no broker answers" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        assert caplog.text.count("no broker answers") == 1
        assert stream.progress().state is StreamStatus.RUNNING
    finally:
        stream.stop()


def test_a_stop_commits_all_that_was_delivered(
    start: Start, send: Any, function: Function, caplog: pytest.LogCaptureFixture
) -> None:
    """Its tasks leave the group together: none has its last commit refused because another has left."""
    for count in (600, 1200, 1800):
        stream = start(maximum_tasks=3, batch_count=5, batch_seconds=0)
        stream.await_start(SECONDS)
        for partition in range(3):
            send(numbered(200, partition))
        deadline = time.monotonic() + SECONDS
        while sum(function.received().values()) < count - 500 and time.monotonic() < deadline:
            time.sleep(0.01)
        stream.stop()
        assert "a commit failed" not in caplog.text
        # By one task, for several that join while there is something to deliver may repeat some of it.
        rest = start(maximum_tasks=1, batch_count=100, batch_seconds=0)
        deadline = time.monotonic() + SECONDS
        while len(function.received()) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        rest.stop()
        assert len(function.received()) == count
        assert set(function.received().values()) == {1}
