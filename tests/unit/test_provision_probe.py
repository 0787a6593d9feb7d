"""What a probe's reply makes of what was told of its records."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_maxcompute.probe_records import ProbeMark, Sighting, could_hold
from provisioning.probe import FAILURE, observed, probe_originals, redelivery

pytestmark = pytest.mark.quick

BEGAN = 1_700_000_000_000
NONCE = "0123456789abcdef" * 2


def sighting(after: float, *, failed: bool = False, kind: str = FAILURE, **data: Any) -> Sighting:
    return Sighting(
        connector="orders",
        nonce=NONCE,
        kind=kind,
        element="object",
        data=data,
        at=BEGAN + int(after * 1_000),
        failed=failed,
        request_id="r",
    )


@pytest.mark.parametrize(
    ("own", "state", "first", "back"),
    [
        ([sighting(11, failed=True), sighting(12.04, failed=True), sighting(19)], "redelivered", 11, 19),
        ([sighting(19), sighting(11, failed=True)], "redelivered", 11, 19),
        ([sighting(30)], "inconclusive", 30, None),
        ([sighting(11, failed=True)], "lost", 11, None),
        ([], "missing", None, None),
        ([sighting(3, failed=True, kind="tombstone")], "missing", None, None),
    ],
)
def test_what_becomes_of_the_record_that_fails(
    own: list[Sighting], state: str, first: float | None, back: float | None
) -> None:
    reply = redelivery(own, BEGAN, 120)
    assert reply["state"] == state
    told = reply["redelivery"]
    assert (told["first_after_seconds"], told["back_after_seconds"]) == (first, back)
    assert bool(reply["faults"]) == (state != "redelivered")
    assert told["failures"] == sum(one.failed for one in own if one.kind == FAILURE)


def test_the_records_of_a_probe() -> None:
    records = probe_originals(NONCE, BEGAN)
    assert list(records)[-1] == FAILURE
    assert records[FAILURE].key == str(ProbeMark(NONCE, FAILURE, BEGAN)).encode()
    for kind, record in records.items():
        mark = str(ProbeMark(NONCE, kind, BEGAN if kind == FAILURE else 0)).encode()
        assert record.key == mark or record.value == b'"' + mark + b'"'
        assert could_hold((record.key or b"") + (record.value or b""))
    assert (records["tombstone"].value, records["empty-value"].value, records["no-key"].key) == (None, b"", None)


def test_what_is_observed_is_told_as_it_came() -> None:
    seen = [
        sighting(1, kind="tombstone", key="m"),
        sighting(1, kind="empty-value", value=None),
        sighting(1, kind="headers", headers=[{"a": [1]}]),
    ]
    assert observed(seen, ["empty-value", "headers", "no-key", "tombstone"]) == {
        "elements": "object",
        "value of empty-value": "null",
        "headers of headers": '[{"a": [1]}]',
        "key of no-key": "not seen",
        "value of tombstone": "absent",
    }
