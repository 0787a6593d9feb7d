"""The budget of upload sessions: what is counted, and what is warned of."""

from __future__ import annotations

import pytest

from kafka_maxcompute.settings.settings import Settings
from provisioning.upload_session_warning import warning

pytestmark = pytest.mark.quick


def settings(**changes: object) -> Settings:
    given = {"name": "c", "source_topic": "s", "endpoint": "http://127.0.0.1:1", "project": "p", "table": "t"}
    return Settings.from_mapping({**given, "delivery": "at-least-once", **changes})


@pytest.mark.parametrize(
    ("changes", "topic_partitions", "window", "needed"),
    [
        ({}, 6, 10, 0),  # 6 x 30 = 180
        ({"concurrency": 12}, 12, 10, 0),  # 360
        ({"concurrency": 12}, 12, 5, 720),
        ({"concurrency": 12}, 3, 5, 0),  # three consumers have something to read
        ({}, 6, 0, 1_800),  # a window of 0 s closes with each record; counted as one a second
        ({"partition": "MINUTE"}, 6, 10, 0),  # 6 x 30 x 2 = 360
        ({"partition": "MINUTE", "concurrency": 12}, 12, 10, 720),
        ({"partition": "DAY", "concurrency": 3}, 12, 1, 900),
    ],
)
def test_sessions_are_counted(changes: dict[str, object], topic_partitions: int, window: int, needed: int) -> None:
    told = warning(settings(**changes), topic_partitions, window)
    assert (f"= {needed} upload sessions in 5 minutes, and a table takes 500" in told) == bool(needed), told


def test_the_warning_says_how_it_is_counted_and_what_would_do() -> None:
    assert warning(settings(concurrency=12), 12, 5) == (
        "12 consumers x a batch each 5 s x 1 partition values = 720 upload sessions in 5 minutes, and a table takes "
        "500; a window (BATCH_SECONDS) of 8 s would do"
    )
    assert "a window (BATCH_SECONDS) of 15 s would do" in warning(settings(concurrency=12, partition="MINUTE"), 12, 10)


@pytest.mark.parametrize(("window", "enough"), [(1, 4), (3, 4)])
def test_what_would_do_does(window: int, enough: int) -> None:
    assert f"a window (BATCH_SECONDS) of {enough} s" in warning(settings(), 6, window)
    assert warning(settings(), 6, enough) == ""
