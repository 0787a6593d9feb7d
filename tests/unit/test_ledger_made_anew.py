"""A ledger that goes on from where it was finds out that the log under it is another one by now."""

from __future__ import annotations

import pytest

from fc_powertools import Deadline
from kafka_maxcompute.ledger.identity import new_beginning
from kafka_maxcompute.ledger.ledger import LogLedger
from kafka_maxcompute.ledger.memory_log import MemoryLog
from tests.ledger_entries import GENESIS, NOW, PLACE, claim

pytestmark = pytest.mark.quick


def test_a_warm_reader_reads_a_topic_made_anew_from_its_start() -> None:
    log, deadline = MemoryLog(lambda: NOW / 1_000), Deadline.after(30)
    warm = LogLedger(log)
    warm.append(GENESIS, deadline)
    warm.read(deadline)
    log.truncate(0)
    log._epoch = 0  # a new topic counts its leaders from the start, so they don't tell
    another = LogLedger(log)
    another.append(GENESIS, deadline)
    another.append(new_beginning(GENESIS.identity, {PLACE: 50}, end=1, now=NOW, id_="r"), deadline)
    another.append(claim("theirs", 50, 59, generation=NOW), deadline)
    assert warm.read(deadline) == another.read(deadline)
    assert set(warm.read(deadline).pending) == {"theirs"}
