"""What the brokers don't list counts as gone after a while, and not after one answer."""

from __future__ import annotations

import pytest

from kafka_maxcompute.brokers.absences import GONE_SECONDS, KEPT_SECONDS, Absences

pytestmark = pytest.mark.quick

HERE, THERE = ("orders", 0), ("bills", 1)


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def absences(now: list[float]) -> Absences:
    return Absences(lambda: now[0])


def test_what_stays_missing_is_gone_after_a_while(absences: Absences, now: list[float]) -> None:
    assert absences.note([HERE, THERE], [HERE, THERE]) == frozenset()
    now[0] += GONE_SECONDS / 2
    assert absences.note([HERE], [HERE]) == frozenset()
    now[0] += GONE_SECONDS / 2
    assert absences.note([HERE, THERE], [HERE, THERE]) == {HERE, THERE}


def test_one_that_is_listed_in_between_begins_again(absences: Absences, now: list[float]) -> None:
    absences.note([HERE, THERE], [HERE, THERE])
    now[0] += GONE_SECONDS
    assert absences.note([HERE, THERE], [THERE]) == {THERE}
    assert absences.note([HERE], [HERE]) == frozenset()
    now[0] += GONE_SECONDS
    assert absences.note([HERE], [HERE]) == {HERE}


def test_an_answer_of_long_ago_says_nothing(absences: Absences, now: list[float]) -> None:
    absences.note([HERE], [HERE])
    now[0] += KEPT_SECONDS
    assert absences.note([HERE], [HERE]) == frozenset()
    now[0] += KEPT_SECONDS - 1
    assert absences.note([THERE], [THERE]) == frozenset()
    assert absences.note([HERE], [HERE]) == {HERE}
