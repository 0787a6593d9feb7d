"""A probe's records in the source topic's log: known by their marks, and missed by nobody."""

from __future__ import annotations

import pytest

from kafka_maxcompute import probe
from kafka_maxcompute.originals import Original
from kafka_maxcompute.probe import Mark
from provisioning.probe import shaped

pytestmark = pytest.mark.quick

NONCE = "0123456789abcdef" * 2


def test_each_record_of_a_probe_is_one() -> None:
    assert all(map(probe.is_one, shaped(NONCE, 1_700_000_000_000).values()))


@pytest.mark.parametrize(
    "record",
    [
        Original(key=None, value=None),
        Original(key=b"\xff", value=b"kafka-maxcompute-probe"),
        Original(key=None, value=f"about {Mark(NONCE, 'plain')}".encode()),
        Original(key=f"{Mark(NONCE, 'plain')}".encode() + b"x" * 10_000, value=b""),
        Original(key=b"", value=b"", headers=(("h", str(Mark(NONCE, "plain")).encode()),)),
    ],
)
def test_others_are_none(record: Original) -> None:
    assert not probe.is_one(record)
