"""How `letters` shows dead letters to a person: a table, or a block for each with its payload as text or hex."""

from __future__ import annotations

from typing import Any

import pytest

from local_emulator.__main__ import parser
from local_emulator.cli.letters_command import event, lines

pytestmark = pytest.mark.quick

LETTER: dict[str, Any] = {
    "letter": "errors-1-0",
    "written": "2026-11-30T01:02:03.004+00:00",
    "reason": "not-utf-8",
    "message": "expected UTF-8, found bytes that aren't",
    "path": "$.data.value",
    "request_id": "1-5f",
    "topic": "orders",
    "partition": 1,
    "offset": 41,
    "timestamp": None,
    "form": "original",
    "truncated": [],
    "generation": 2,
    "redriven": False,
}
REPLY = {"faults": [], "total": 7, "reasons": {"not-utf-8": 7}, "unreadable": 0, "letters": [LETTER], "next": None}
PAYLOAD = {
    "key": {"hex": "ff", "bytes": 1},
    "value": {"text": "a\x1b[31m\nb", "bytes": 4_000, "cut": True},
    "headers": [{"name": "h\u202e", "value": None}],
    "headers_left_out": 2,
}


def test_options_become_the_event() -> None:
    assert event(parser().parse_args(["letters"])) == {"action": "letters", "letters": {}}
    words = ["--offset", "41", "--reason", "not-csv", "--payload", "--limit", "5", "--after", "errors-1-0"]
    assert event(parser().parse_args(["letters", *words])) == {
        "action": "letters",
        "letters": {"offsets": [41], "reasons": ["not-csv"]},
        "limit": 5,
        "after": "errors-1-0",
        "payload_bytes": 1_024,
    }


def test_a_page_is_a_table_and_says_how_to_go_on() -> None:
    *table, count, more = lines({**REPLY, "next": "errors-1-0"})
    assert [cell.strip() for cell in table[3].split("|")[1:4]] == ["errors-1-0", "not-utf-8", "orders-1-41"]
    assert (count, more) == ("1 of 7 dead letters (7 not-utf-8)", "to see more, add --after errors-1-0")
    assert list(lines({**REPLY, "letters": [], "total": 0})) == ["no dead letters, or none that match"]


def test_a_payload_is_shown_in_characters_that_no_terminal_obeys() -> None:
    shown = list(lines({**REPLY, "letters": [{**LETTER, "payload": PAYLOAD}]}))
    assert "  key        0xff" in shown
    assert "  header     h\\u202e: null" in shown
    assert "  headers    2 more" in shown
    assert "  value      a\\x1b[31m\\nb ... (4,000 bytes in all)" in shown
    as_hex = lines({**REPLY, "letters": [{**LETTER, "payload": PAYLOAD}]}, as_hex=True)
    assert "  value      0x611b5b33316d0a62 ... (4,000 bytes in all)" in as_hex


def test_a_payload_that_retention_has_removed_is_reported() -> None:
    shown = lines({**REPLY, "letters": [{**LETTER, "payload": None}]})
    assert "  payload    not in the topic any more" in shown
