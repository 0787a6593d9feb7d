"""Partition names as REST and Tunnel spell them."""

from __future__ import annotations

import pytest

from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.partition_spec import parse_spec

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pt='11-17-2020 14:05'", {"pt": "11-17-2020 14:05"}),
        ("pt=11-17-2020 14:05", {"pt": "11-17-2020 14:05"}),
        ('PT="a"', {"pt": "a"}),
        ("ds='1',region='w'", {"ds": "1", "region": "w"}),
        ("ds=1/region=w", {"ds": "1", "region": "w"}),
        (" ds = '1' , region = w ", {"ds": "1", "region": "w"}),
        ("pt='a,b/c=d'", {"pt": "a,b/c=d"}),
        ("pt='中 文'", {"pt": "中 文"}),
    ],
)
def test_both_spellings_are_read(text: str, expected: dict[str, str]) -> None:
    assert parse_spec(text) == expected


@pytest.mark.parametrize("text", ["", "pt", "='x'", "pt='x' y", ",pt='x'"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ServiceError) as caught:
        parse_spec(text)
    assert caught.value.code == "InvalidPartitionSpec"
