"""exactly_once: what a delivery counts, times and logs, by the names that docs/OPERATIONS.md has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from fc_powertools import Metrics
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.errors import RefusedError, TableChangedError
from maxcompute_sink import exactly_once
from maxcompute_sink.exactly_once import WAVE, Delivered
from maxcompute_sink.old_claims import OLD_SECONDS
from tests.kafka_events import HOUR_14, element, payload
from tests.sink_delivery import ORDERS, Check, Connector, Hooked, KilledError, Table, places

if TYPE_CHECKING:
    from collections.abc import Callable

    from kafka_maxcompute.ledger.state import State

pytestmark = pytest.mark.quick

MINUTE = 60_000
BAD = {"value": {"no": "text"}}


def batch(*offsets: int) -> bytes:
    return payload(*map(element, offsets))


def killed(*_: object) -> None:
    raise KilledError


def abandoned(connector: Connector, *offsets: int) -> State:
    """The ledger with an accepted claim whose worker is gone."""
    with pytest.raises(KilledError):
        connector.deliver(batch(*offsets), connector.line(sessions=Hooked(connector.sessions, {"commit": killed})))
    return connector.state


def measured(connector: Connector) -> tuple[dict[str, float], dict[str, int], dict[str, str]]:
    """The counters, how often each name was timed, and the units of the last delivery."""
    found: dict[str, Any] = connector.metrics.snapshot()
    timings = {name: timing["count"] for name, timing in found.get("timings", {}).items()}
    return found.get("counters", {}), timings, found["units"]


def test_a_delivery_times_its_steps_and_counts_its_bytes() -> None:
    connector = Connector()
    bodies: list[bytes] = []
    sessions = Hooked(connector.sessions, {"put_block": lambda *given: bodies.append(given[2])})
    connector.deliver(batch(1, 2), connector.line(sessions=sessions))
    counters, timings, units = measured(connector)
    assert counters == {"uploaded": sum(map(len, bodies))}
    assert timings == {"prepare": 1, "stage": 1, "claim": 1, "commit": 1}
    assert units["uploaded"] == "Bytes"


def test_a_claim_that_is_rolled_forward_is_counted_timed_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    connector = Connector()
    abandoned(connector, 1)
    caplog.set_level("INFO", "maxcompute_sink")
    connector.deliver(batch(1))
    counters, timings, _ = measured(connector)
    assert counters == {"rolled_forward:settled": 1}
    assert timings == {"roll_forward": 1}
    (told,) = (one for one in caplog.records if one.message == "a pending claim is rolled forward")
    assert (told.claim, told.outcome) == ("session-0", "settled")  # type: ignore[attr-defined] # fields of the log line


def test_an_old_claim_that_stays_pending_is_logged_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    connector = Connector()
    abandoned(connector, 1)
    connector.now += OLD_SECONDS + 1

    def broken(session: Any, *_: object) -> None:
        if session.id == "session-0":
            raise RefusedError("the service says why", code="Broken")

    connector.deliver(batch(5), connector.line(sessions=Hooked(connector.sessions, {"look": broken})))
    (told,) = (one for one in caplog.records if one.message.startswith("an old claim stays pending: "))
    assert "the service says why" in told.message
    assert told.claim == "session-0"  # type: ignore[attr-defined] # a field of the log line


def test_a_warm_worker_brings_old_claims_of_others_to_their_end() -> None:
    connector = Connector()
    warm = abandoned(connector, 1)
    connector.now += OLD_SECONDS + 1
    connector.deliver(batch(5), state=warm)
    assert connector.visible == places(1, 5)


def test_a_lost_claim_is_counted() -> None:
    connector = Connector()

    def between(*_: object) -> None:
        hooks.clear()
        mine = connector.metrics
        connector.deliver(batch(2))
        connector.metrics = mine

    hooks: dict[str, Callable[..., object]] = {"append": between}
    connector.deliver(batch(1, 2), connector.line(ledger=Hooked(connector.ledger(), hooks)))
    assert measured(connector)[0]["lost_claims"] == 1


def test_a_table_that_changed_is_counted_and_the_batch_is_written_all_the_same() -> None:
    connector = Connector()

    def altered(*_: object) -> None:
        hooks.clear()
        raise TableChangedError("altered")

    hooks: dict[str, Callable[..., object]] = {"put_block": altered}
    line = connector.line(sessions=Hooked(connector.sessions, hooks))
    line = replace(line, table=Table(line.table.prepare, renew=lambda: True))
    connector.deliver(batch(1, 2), line)
    assert connector.visible == places(1, 2)
    assert measured(connector)[0]["table_changes"] == 1


def test_bad_records_beside_several_waves_are_diverted_once() -> None:
    connector = Connector(partition="MINUTE")
    good = [element(n, timestamp=HOUR_14 - n * MINUTE) for n in range(WAVE + 1)]
    done = connector.deliver(payload(*good, element(WAVE + 1, **BAD)))
    assert len(done.diverted) == 1
    assert len(connector.letters.messages) == 1
    assert "lost_claims" not in measured(connector)[0]


def test_letters_name_the_generation_of_their_claim() -> None:
    connector = Connector()
    connector.deliver(payload(element(1), element(2, **BAD)))
    assert [letter.generation for letter in connector.letters.letters] == [1]


def test_blocks_are_written_in_the_line_s_encoding() -> None:
    connector = Connector()
    encodings: list[object] = []
    sessions = Hooked(connector.sessions, {"put_block": lambda *given: encodings.append(given[3])})
    connector.deliver(batch(1), replace(connector.line(sessions=sessions), encoding="x-lz4-frame"))
    assert encodings == ["x-lz4-frame"]


def test_settled_records_that_are_in_no_log_are_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    connector = Connector()
    connector.deliver(batch(1))

    def between(*_: object) -> None:
        hooks.clear()
        mine = connector.metrics
        connector.deliver(batch(2))
        connector.metrics = mine

    hooks: dict[str, Callable[..., object]] = {"append": between}
    line = connector.line(ledger=Hooked(connector.ledger(), hooks))
    done = connector.deliver(batch(1, 2, 3), replace(line, check=Check(lambda _, dropped, __: dropped.offsets)))
    assert (done.unlogged, done.dropped) == (2, 0)
    assert measured(connector)[0]["rejected:not-in-log"] == 2
    told = [one for one in caplog.records if one.message == "settled records are in no log any more"]
    assert [(one.records, one.topic_partitions) for one in told] == [(1, ["orders-0"])] * 2  # type: ignore[attr-defined] # fields of the log line


def test_each_settled_record_that_is_in_no_log_counts() -> None:
    connector = Connector()
    connector.deliver(batch(1, 2))
    connector.deliver(batch(1, 2), replace(connector.line(), check=Check(lambda _, dropped, __: dropped.offsets)))
    assert measured(connector)[0] == {"rejected:not-in-log": 2}


def test_the_gauges_have_their_units_and_say_0_if_nothing_is_pending() -> None:
    connector = Connector()
    done = connector.deliver(batch(1, 2))
    again = connector.deliver(batch(1, 2))
    for one, settled, dropped in ((done, 0, 0), (again, 2, 2)):
        metrics = Metrics("test")
        exactly_once.gauge(one, metrics, now=connector.now)
        found: dict[str, Any] = metrics.snapshot()
        assert found["gauges"] == {
            "ledger_settled": settled,
            "ledger_gaps": 0,
            "ledger_pending": 0,
            "ledger_oldest_pending": 0,
        }
        assert found["counters"] == {"dropped": dropped}
        assert (found["units"]["ledger_oldest_pending"], found["units"]["ledger_settled"]) == ("Milliseconds", "Count")


@pytest.mark.parametrize(("timestamp", "oldest"), [(-1, 0), (0, 5_000), (1, 4_999), (4_999, 1), (9_000, 0)])
def test_how_long_the_oldest_claim_is_pending(timestamp: int, oldest: int) -> None:
    """A broker that keeps no time says -1; a clock that is ahead makes nothing younger than 0."""
    state = abandoned(Connector(), 1)
    (pending,) = state.pending.values()
    moved = structs.replace(state, pending={"session-0": structs.replace(pending, timestamp=timestamp)})
    metrics = Metrics("test")
    exactly_once.gauge(Delivered(moved), metrics, now=5.0)
    found: dict[str, Any] = metrics.snapshot()
    assert found["gauges"]["ledger_oldest_pending"] == oldest


def test_a_letter_of_a_settled_record_holds_what_was_delivered_although_a_log_has_the_like() -> None:
    """The log isn't the one of the settled record, even if a record of the same key and time is at its offset."""
    connector = Connector()
    connector.deliver(batch(1))
    connector.originals.log[ORDERS, 1] = Original(key=b"k1", value=b"another", timestamp=HOUR_14)
    line = replace(connector.line(), check=Check(lambda _, dropped, __: dropped.offsets))
    connector.deliver(batch(1), line)
    (letter,) = connector.letters.letters
    assert (letter.form, letter.record.value, letter.generation) == ("as-delivered", b"v1", 1)
