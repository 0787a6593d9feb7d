"""A probe's records in the source topic's log: known by their marks, and missed by nobody."""

from __future__ import annotations

from typing import Any

import pytest

from kafka_maxcompute import probe_records
from kafka_maxcompute.brokers.originals import Original
from kafka_maxcompute.probe_records import Announcement, ProbeMark
from provisioning.probe import probe_originals

pytestmark = pytest.mark.quick

NONCE = "0123456789abcdef" * 2


def test_each_record_of_a_probe_is_one() -> None:
    assert all(map(probe_records.may_be_one, probe_originals(NONCE, 1_700_000_000_000).values()))


@pytest.mark.parametrize(
    "record",
    [
        Original(key=None, value=None),
        Original(key=b"\xff", value=b"kafka-maxcompute-probe"),
        Original(key=None, value=f"about {ProbeMark(NONCE, 'plain')}".encode()),
        Original(key=f"{ProbeMark(NONCE, 'plain')}".encode() + b"x" * 10_000, value=b""),
        Original(key=b"", value=b"", headers=(("h", str(ProbeMark(NONCE, "plain")).encode()),)),
    ],
)
def test_others_are_none(record: Original) -> None:
    assert not probe_records.may_be_one(record)


class TestAnnouncements:
    """What the provisioner says in the config topic."""

    NOW = 1_700_000_000_000

    def one(self, number: int = 0, *, before: int = 0, **changed: Any) -> Announcement:
        began = self.NOW - before
        given: dict[str, Any] = {
            "connector": "orders",
            "nonce": f"{number:032x}",
            "began": began,
            "until": began + 20_000,
        }
        return Announcement(**(given | changed))

    def test_the_last_one_of_each_probe_counts_and_others_are_left_out(self) -> None:
        placed = self.one(topic="orders", partition=1, offsets=(4, 6))
        other = self.one(1, connector="payments")
        records = [
            *(Original(key=one.key, value=probe_records.encode(one)) for one in (self.one(), other, placed)),
            Original(key=b"orders", value=b'{"v": 1, "settings": {}}'),
            Original(key=placed.key, value=None),
            Original(key=placed.key, value=b"\xff"),
            Original(key=b"somebody's", value=probe_records.encode(self.one(2))),
            Original(key=self.one(3).key, value=probe_records.encode(self.one(3, v=2))),
        ]
        assert probe_records.announcements(records, "orders") == {placed.nonce: placed}
        assert [placed.holds("orders", 1, offset) for offset in (4, 5, 6, None)] == [True, False, True, False]
        assert not placed.holds("orders", 0, 4)
        assert not placed.holds("payments", 1, 4)
        assert not self.one().holds("", -1, 0)

    def test_the_sink_fails_for_a_short_while(self) -> None:
        longest = probe_records.LONGEST_FAILURE_SECONDS * 1_000
        ages = {-5_001: False, -5_000: True, 0: True, longest - 1: True, longest: False}
        for age, may in ages.items():
            assert probe_records.may_fail(self.one(before=age), [], self.NOW) == may, age

    def test_the_sink_fails_on_a_few_probes_in_an_hour(self) -> None:
        most = probe_records.MOST_IN_AN_HOUR
        others = [self.one(number, before=1_000 + number) for number in range(most)]
        assert not probe_records.may_fail(self.one(99), others, self.NOW)
        assert probe_records.may_fail(self.one(99), others[1:], self.NOW)
        assert probe_records.may_fail(self.one(99), [*others[1:], self.one(7, before=3_600_000)], self.NOW)
        assert probe_records.may_fail(others[-1], [*others, self.one(99)], self.NOW)
