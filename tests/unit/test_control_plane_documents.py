"""JSON texts of requests that nest too deeply: each place that reads one refuses it as it refuses other texts."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from local_emulator.control_plane.alikafka import groups, topic_rules
from local_emulator.control_plane.dispatch import Call, Rules, json_object
from local_emulator.control_plane.documents import MOST_LEVELS, parse_json
from local_emulator.control_plane.errors import ApiError
from local_emulator.control_plane.function_compute import triggers
from local_emulator.control_plane.identity import AccessKey, RamPrincipal
from local_emulator.control_plane.ram import policy_language, roles
from local_emulator.control_plane.ram.policy_language import PolicyError
from local_emulator.control_plane.request_log import without_secrets
from local_emulator.control_plane.state import AccountState
from local_emulator.control_plane.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.quick


def call(body: str = "", **parameters: str) -> Call:
    owner, now = AccessKey("sk", RamPrincipal("Account", "1", "1")), datetime(2026, 11, 30, tzinfo=timezone.utc)
    return Call("X", parameters, owner, "1", now, AccountState(), Rules(), Surroundings(), body.encode())


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_the_most_levels() -> None:
    assert json.dumps(parse_json(nested(MOST_LEVELS))) == nested(MOST_LEVELS)
    with pytest.raises(ValueError, match="expected at most 100 nested arrays and objects"):
        parse_json(f'{{"a": [1, {{"b": {nested(MOST_LEVELS - 2)}}}]}}')


@pytest.mark.parametrize("levels", [MOST_LEVELS + 1, 100_000])
@pytest.mark.parametrize(
    ("read", "says"),
    [
        (lambda text: call(text).json(), "InvalidArgument: .*nested"),
        (lambda text: call(f'{{"environmentVariables": {text}}}').json(), "InvalidArgument: .*nested"),
        (lambda text: json_object("Source", text), "InvalidArgument: Source: .*nested"),
        (
            lambda text: triggers._config(call(), {"triggerConfig": text}),
            "InvalidArgument: triggerConfig: .*nested",
        ),
        (lambda text: groups._given_offsets(call(Offsets=text), "t", 1), "Offsets"),
        (lambda text: topic_rules._config(call(Config=text)), "Config"),
        (lambda text: roles._tags(call(Tag=text)), r"InvalidParameter\.Tag"),
        (policy_language.parse, "expected JSON: .*nested"),
        (policy_language.parse_trust, "expected JSON: .*nested"),
    ],
)
def test_a_text_that_nests_too_deeply_is_refused(read: Callable[[str], object], says: str, levels: int) -> None:
    with pytest.raises((ApiError, PolicyError), match=says):
        read(nested(levels))


def test_an_offset_that_is_no_whole_number_is_refused() -> None:
    with pytest.raises(ApiError, match="Offsets"):
        groups._given_offsets(call(Offsets='[{"Partition": 0, "Offset": 1e999}]'), "t", 1)


def test_a_text_that_nests_too_deeply_is_not_logged() -> None:
    text = f'{{"Password": "hush", "more": {nested(100_000)}}}'
    assert without_secrets({"Source": text}) == {"Source": "***"}
