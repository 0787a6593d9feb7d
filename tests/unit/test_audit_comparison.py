"""An audit's comparison of table, ledger, error topic and log, without any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kafka_maxcompute.settings.settings import Settings
from provisioning.audit.audit import Examined, Report
from provisioning.audit.comparison import KINDS, Finding, Known, findings, suspects, waiting
from provisioning.audit.partition_values import misplaced, samples
from provisioning.audit.reply import as_json
from provisioning.audit.table_runs import Run

if TYPE_CHECKING:
    from kafka_maxcompute.offsets import Intervals
    from provisioning.audit.comparison import Kind

pytestmark = pytest.mark.quick

HOUR_14 = 1_605_594_000_000  # 2020-11-17 14:20 in GMT+8
SETTINGS = Settings.from_mapping(
    {"name": "orders", "source_topic": "t", "endpoint": "http://127.0.0.1:1/api", "project": "p", "table": "t"}
    | {"bootstrap_servers": "127.0.0.1:9092"}
)


def run(first: int, last: int, value: str = "11-17-2020 14", *, copies: int = 1, highest: str = "") -> Run:
    return Run(0, first, last, value, highest or value, copies)


def known(**changed: object) -> Known:
    """A hundred records, all of them visible, settled and committed."""
    sound: dict[str, object] = {
        "partition": 0,
        "begin": 0,
        "end": 100,
        "runs": (run(0, 99),),
        "committed": 100,
        "settled": ((0, 99),),
        "claimed": ((0, 99),),
    }
    return Known(**{**sound, **changed})  # type: ignore[arg-type] # fields of every type


def found(one: Known, existing: Intervals = (), wrong: Intervals = ()) -> dict[Kind, Intervals]:
    return {finding.kind: finding.offsets for finding in findings(one, existing, wrong)}


def test_all_is_well() -> None:
    one = known()
    assert suspects(one) == ()
    assert found(one) == {}
    assert waiting(one) == 0


def test_what_is_settled_and_nowhere_is_doubted_and_found_only_where_the_log_has_it() -> None:
    one = known(runs=(run(0, 9), run(20, 99)))
    assert suspects(one) == ((10, 19),)
    assert found(one, existing=((10, 12), (15, 15))) == {"settled-not-visible": ((10, 12), (15, 15))}
    assert found(one) == {}


def test_what_the_group_has_passed_and_nobody_knows_of_is_missing() -> None:
    one = known(runs=(run(0, 49), run(60, 99)), settled=((0, 49), (60, 99)), claimed=((0, 49), (60, 99)))
    assert suspects(one) == ((50, 59),)
    assert found(one, existing=((50, 59),)) == {"missing": ((50, 59),)}


def test_without_a_ledger_the_group_alone_says_what_should_be_there() -> None:
    one = known(runs=(run(0, 49),), settled=None, claimed=None, committed=60)
    assert suspects(one) == ((50, 59),)
    assert waiting(one) == 40
    assert found(one, existing=((50, 59),)) == {"missing": ((50, 59),)}


def test_a_group_that_has_committed_nothing_misses_nothing() -> None:
    one = known(runs=(), settled=(), claimed=(), committed=None)
    assert suspects(one) == ()
    assert waiting(one) == 100


def test_dead_letters_are_where_they_belong_but_not_beside_rows() -> None:
    one = known(runs=(run(0, 9), run(12, 99)), letters=((10, 12),))
    assert suspects(one) == ()
    assert found(one) == {"in-table-and-error-topic": ((12, 12),)}


def test_repeats_are_found() -> None:
    one = known(runs=(run(0, 9), run(10, 12, copies=2), run(13, 14, copies=3), run(15, 99)))
    assert found(one) == {"duplicate": ((10, 14),)}


def test_what_nobody_has_claimed_mustnt_be_anywhere() -> None:
    one = known(runs=(run(0, 97),), letters=((98, 99),), settled=((0, 89),), claimed=((0, 94),), committed=90)
    assert found(one) == {"visible-not-settled": ((95, 97),), "dead-letter-not-settled": ((98, 99),)}


def test_work_that_goes_on_meanwhile_is_no_fault() -> None:
    """The table was read before the second batch was claimed, then it was claimed and settled."""
    one = known(runs=(run(0, 49),), settled=((0, 49),), claimed=((0, 99),), committed=50)
    assert suspects(one) == ()
    assert found(one) == {}
    assert waiting(one) == 0


def test_a_claim_that_is_pending_where_the_group_has_gone_on_isnt_missing() -> None:
    one = known(runs=(run(0, 49),), settled=((0, 49),), claimed=((0, 99),), committed=100)
    assert suspects(one) == ()


def test_what_lies_before_the_start_is_nobodys_to_deliver() -> None:
    one = known(runs=(run(40, 99),), settled=((0, 99),), claimed=((0, 99),), start=40, begin=10)
    assert suspects(one) == ()
    assert found(one) == {}
    assert waiting(known(start=100, runs=(), settled=(), claimed=(), committed=None)) == 0


@pytest.mark.parametrize("more", [{"runs": (run(0, 119),)}, {"settled": ((0, 119),)}, {"letters": ((0, 119),)}])
def test_a_log_that_ends_too_early_was_made_anew(more: dict[str, object]) -> None:
    one = known(**{"claimed": ((0, 119),), **more})
    assert found(one)["beyond-the-log"] == ((100, 119),)


def test_kinds_come_in_one_order() -> None:
    one = known(runs=(run(0, 9, copies=2), run(10, 109)), letters=((5, 5),), claimed=((0, 50),))
    kinds = list(found(one, wrong=((3, 3),)))
    assert kinds == sorted(kinds, key=KINDS.index)
    assert len(kinds) == 5


def test_a_partition_value_has_the_settings_form() -> None:
    runs = [
        run(0, 9),
        run(10, 19, "2020-11-17 14"),
        run(20, 29, "11-17-2020 24"),
        run(30, 39, "11-17-2020"),
        run(40, 49, "1-7-2020 14"),
    ]
    assert misplaced(runs, {}, SETTINGS) == {0: ((10, 49),)}


def test_a_records_time_is_held_against_its_partition_value() -> None:
    times: dict[tuple[int, int], int | None] = {(0, 0): HOUR_14, (0, 9): HOUR_14 + 3_600_000, (0, 10): None}
    assert misplaced([run(0, 9), run(10, 19)], times, SETTINGS) == {0: ((9, 9),)}


def test_several_partition_values_cant_all_be_right() -> None:
    assert misplaced([run(5, 6, copies=2, highest="11-17-2020 15")], {}, SETTINGS) == {0: ((5, 6),)}


def test_samples_are_the_ends_of_evenly_chosen_runs() -> None:
    runs = [run(10 * number, 10 * number + 5) for number in range(100)]
    assert len(samples(runs)[0]) == 200
    few = samples(runs, most=50)[0]
    assert len(few) == 50
    assert few[:2] == ((0, 0), (5, 5))
    assert samples([]) == {}


class TestAfterAResetForATopicThatWasCreatedAgain:
    """All hundred offsets were written before the reset, and are settled again; the rows of before are still there."""

    FORMER = ((0, 99),)

    def test_rows_of_two_generations_are_no_duplicates(self) -> None:
        one = known(runs=(run(0, 4, copies=2), run(5, 5), run(6, 99, copies=2)), former=self.FORMER)
        assert suspects(one) == ()
        assert found(one) == {"unclear": self.FORMER}

    def test_a_letter_of_before_hides_no_lost_record(self) -> None:
        # The letter of offset 5 is of the generation before, so it isn't among the letters.
        one = known(runs=(run(0, 4, copies=2), run(6, 99, copies=2)), former=self.FORMER)
        assert suspects(one) == ((5, 5),)
        assert found(one, existing=((5, 5),)) == {"settled-not-visible": ((5, 5),), "unclear": ((0, 4), (6, 99))}

    def test_a_letter_without_a_generation_leaves_it_unclear(self) -> None:
        one = known(runs=(run(0, 4), run(6, 99)), doubtful=((5, 5),))
        assert suspects(one) == ()
        assert found(one) == {"unclear": ((5, 5),)}
        assert found(known(doubtful=((5, 5),))) == {}

    def test_a_row_beside_a_letter_may_be_of_before(self) -> None:
        one = known(letters=((5, 5),), former=((5, 5),))
        assert found(one) == {"unclear": ((5, 5),)}
        assert found(known(letters=((5, 5),))) == {"in-table-and-error-topic": ((5, 5),)}

    def test_rows_that_are_not_claimed_again_yet_are_nobody_elses(self) -> None:
        one = known(settled=((0, 9),), claimed=((0, 9),), committed=10, former=self.FORMER)
        assert found(one) == {"unclear": ((0, 9),)}
        assert waiting(one) == 90

    def test_rows_of_a_longer_topic_do_not_lie_beyond_the_log(self) -> None:
        one = known(end=50, settled=((0, 49),), claimed=((0, 49),), committed=50, former=self.FORMER)
        assert found(one, wrong=((3, 3),)) == {"unclear": ((0, 49),)}

    def test_what_was_not_written_before_is_judged_as_ever(self) -> None:
        one = known(runs=(run(0, 9), run(10, 19, copies=2), run(20, 99)), former=((0, 4),), doubtful=((30, 30),))
        assert found(one) == {"duplicate": ((10, 19),), "unclear": ((0, 4),)}


def test_each_kind_of_finding_has_a_sentence() -> None:
    every = tuple(Finding(kind, 0, ((1, 2),)) for kind in KINDS)
    examined = Examined(known=known(), findings=every, waiting=0, unverifiable=0)
    report = Report(topic="orders", statement="", topic_partitions=(examined,), pending=(), times_compared=0)
    told = as_json(report)
    assert len(told["faults"]) + len(told["doubts"]) == len(KINDS)
    assert told["doubts"][0].startswith("orders-0: 2 offsets (1 to 2) unclear: their rows or dead letters may be")
