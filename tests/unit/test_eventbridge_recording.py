"""Delivered batches as they are written to files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_emulator.eventbridge import recording
from local_emulator.eventbridge.errors import RecordingError
from local_emulator.eventbridge.window import Batch

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick


def test_batches_are_written_byte_for_byte_in_their_order(tmp_path: Path) -> None:
    record = recording.recorder(tmp_path / "batches")
    bodies = [b'[{"a":"\\u0027"}]', '["杭州"]'.encode()]
    for number, body in enumerate(bodies):
        record(Batch(body, 1, {("orders", 2): (number, number + 1), ("orders", 10): (0, 1)}))
    files = sorted((tmp_path / "batches").iterdir())
    assert [file.name for file in files] == ["000001-orders-2-0.json", "000002-orders-2-1.json"]
    assert [recording.read(file) for file in files] == bodies


@pytest.mark.parametrize("content", [b"", b"{}", b"[1,", b"not json"])
def test_a_file_that_is_no_batch_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(RecordingError, match=r"x\.json holds no batch"):
        recording.read(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"gone\.json can't be read: No such file"):
        recording.read(tmp_path / "gone.json")
