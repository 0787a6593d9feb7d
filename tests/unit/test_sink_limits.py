"""exactly_once at its limits: the last moment at which it claims, and what it is told of a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fc_powertools import Deadline
from kafka_maxcompute.errors import DeadlineError, RejectedRecordsError
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.maxcompute.upload_sessions import COMMIT_SECONDS
from maxcompute_sink.blocks import Coverage
from maxcompute_sink.exactly_once import CLAIM_SECONDS
from maxcompute_sink.old_claims import OLD_SECONDS
from tests.kafka_events import HOUR_14, element, payload
from tests.sink_delivery import ORDERS, Connector, Hooked, KilledError, Table, places

if TYPE_CHECKING:
    from maxcompute_sink.blocks import Blocks
    from maxcompute_sink.decode import Decoded

pytestmark = pytest.mark.quick

NEEDED = CLAIM_SECONDS + COMMIT_SECONDS
BAD = {"value": {"no": "text"}}


def left(seconds: float) -> Deadline:
    """So much time, which doesn't pass."""
    return Deadline.after(seconds, lambda: 0.0)


def test_a_batch_is_claimed_with_just_the_time_that_claim_and_commit_need() -> None:
    connector = Connector()
    decoded = connector.preparation.decode(payload(element(1)))
    with pytest.raises(DeadlineError, match="for claim and commit"):
        connector.deliver_decoded(decoded, left(NEEDED - 0.001))
    connector.deliver_decoded(decoded, left(NEEDED))
    assert connector.visible == places(1)


def test_old_claims_of_others_leave_a_batch_the_time_for_its_own() -> None:
    connector = Connector()

    def killed(*_: object) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        connector.deliver(payload(element(1)), connector.line(sessions=Hooked(connector.sessions, {"commit": killed})))
    connector.now += OLD_SECONDS + 1
    connector.deliver_decoded(connector.preparation.decode(payload(element(5))), left(NEEDED))
    assert connector.visible == places(5)
    connector.deliver_decoded(connector.preparation.decode(payload(element(6))), left(NEEDED + 1))
    assert connector.visible == places(1, 5, 6)


def test_claims_are_read_back_to_the_end_unless_it_is_known_where_each_of_them_is() -> None:
    connector = Connector(partition="MINUTE")
    connector.log._chunk = 1

    class Silent:
        """Doesn't say where the second claim is."""

        def append(self, *what: Any) -> int | None:
            offset = connector.log.append(*what)
            return None if offset == 2 else offset

        def __getattr__(self, name: str) -> Any:
            return getattr(connector.log, name)

    silent: Any = Silent()
    minutes = payload(element(1), element(2, timestamp=HOUR_14 - 60_000))
    connector.deliver(minutes, connector.line(ledger=LogLedger(silent)))
    assert connector.visible == places(1, 2)
    found: dict[str, Any] = connector.metrics.snapshot()
    assert "lost_claims" not in found.get("counters", {})


@pytest.mark.parametrize("policy", ["continue", "stop"])
@pytest.mark.parametrize("broken", [False, True])
def test_where_records_are_from_is_found_out_once_if_all_of_them_can_be_rows(policy: str, *, broken: bool) -> None:
    connector = Connector(failure_policy=policy)
    told: list[Coverage | None] = []

    def prepare(decoded: Decoded, coverage: Coverage | None) -> Blocks:
        told.append(coverage)
        return connector.preparation.blocks(decoded, now=HOUR_14, coverage=coverage)

    line = replace(connector.line(), table=Table(prepare))
    decoded = connector.preparation.decode(payload(element(1), element(2), *([element(3, **BAD)] if broken else [])))
    try:
        connector.deliver_decoded(decoded, Deadline.after(60), line)
    except RejectedRecordsError:
        assert (broken, policy) == (True, "stop")
    known = Coverage({ORDERS: ((1, 2),)}, {ORDERS: HOUR_14})
    assert told == ([known] if not broken else [None] if policy == "continue" else [None, known])
    assert connector.visible == places(1, 2)
