"""Recordings of deliveries, and what is refused as one."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from local_emulator.eventbridge import deliveries, recording
from local_emulator.eventbridge.deliveries import RecentDeliveries, RecordedDelivery
from local_emulator.eventbridge.errors import RecordingError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

TIME = datetime(2020, 11, 17, 6, 23, 5, 123_000, tzinfo=timezone.utc)


def delivery(number: int = 1, body: str = '[{"a":"\\u0027"},"杭州"]', **fields: Any) -> RecordedDelivery:
    return RecordedDelivery(number=number, time=TIME, events=2, body=body, **fields)


def written(path: Path, *recorded: RecordedDelivery) -> Path:
    with recording.writer(path) as write:
        for each in recorded:
            write(each)
    return path


@pytest.mark.parametrize("name", ["recording.jsonl", "recording.jsonl.gz"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    recorded = [
        delivery(1, stream="s", status=200, reply='{"records": 2}', request_id="1-a", seconds=0.25, records="t-0"),
        delivery(2, status=200, error_type="E", message="why", attempt=3, asynchronous=True),
    ]
    path = written(tmp_path / name, *recorded)
    assert list(recording.read(path)) == recorded
    assert [file.name for file in tmp_path.iterdir()] == [name]
    content = path.read_bytes()
    lines = (gzip.decompress(content) if name.endswith(".gz") else content).decode().splitlines()
    assert [json.loads(line).get("number") for line in lines] == [None, 1, 2]
    assert json.loads(lines[1])["time"] == "2020-11-17T06:23:05.123000Z"


def test_an_interrupted_recording_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl.gz"

    def interrupted() -> None:
        with recording.writer(path) as write:
            write(delivery())
            assert not path.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(recording.read(path)) == [delivery()]


@pytest.mark.parametrize("name", ["batch.json", "batch.json.gz"])
def test_a_lone_batch_has_no_outcome(tmp_path: Path, name: str) -> None:
    body = b'[\n{"data": {"topic": "orders", "partition": 1, "offset": 7}},\n "x"\n]\n'
    path = tmp_path / name
    path.write_bytes(gzip.compress(body) if name.endswith(".gz") else body)
    [lone] = recording.read(path)
    assert (lone.body.encode(), lone.events, lone.number, lone.status) == (body, 2, 0, 0)
    assert lone.records == "orders-1 offsets 7 to 7"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "holds no batch.*, found an empty file"),
        (b"\xef\xbb\xbf[]", "holds no batch.*, found a byte order mark before the text"),
        (b"{}", "holds no batch"),
        (b"[1,", "holds no batch"),
        (b"not json", "holds no batch"),
        pytest.param(b"[" * 100_000, "nests too deeply", id="deep"),
        (b'["\xff"]', "holds no batch"),
        (b'{"format": "another", "version": 1, "created": "2020-11-17T06:23:05Z"}', "found 'another', version 1"),
        (b'{"format": "kafka-maxcompute deliveries", "version": 2, "created": "2020-11-17T06:23:05Z"}', "version 2"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(RecordingError, match=rf"x\.json.*{expected}"):
        list(recording.read(file))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"{", "line 3: expected a delivery, found: Input data was truncated; the line isn't whole"),
        (b"\n", "line 3: expected a delivery, found: an empty line$"),
        (b'{"number": 1}\n', "line 3: expected a delivery, found: Object missing required field `time`"),
        (b'{"number": "1"}\n', r"line 3: .*Expected `int`, got `str` - at `\$\.number`"),
        pytest.param(b"[" * 100_000 + b"\n", "line 3: expected a delivery", id="deep"),
        (b'"\xff"\n', "line 3: expected a delivery"),
    ],
)
def test_a_damaged_line_is_named_and_not_shown(tmp_path: Path, line: bytes, expected: str) -> None:
    path = written(tmp_path / "x.jsonl", delivery())
    path.write_bytes(path.read_bytes() + line)
    reading = recording.read(path)
    assert next(reading) == delivery()
    with pytest.raises(RecordingError, match=expected):
        next(reading)


def test_damaged_gzip_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl.gz", *(delivery(number) for number in range(100)))
    whole = path.read_bytes()
    for content, expected in (
        (whole[:-20], r" line \d+: the gzip file is cut off; record or copy it again"),
        (
            whole[:40] + b"damaged" + whole[47:],
            r" line \d+: expected gzip, as the name's end says, found other or damaged data",
        ),
        (whole[:-8] + b"\0" * 8, r" line \d+: expected gzip"),
        (b"no gzip at all", r" line 1: expected gzip"),
    ):
        path.write_bytes(content)
        with pytest.raises(RecordingError, match=rf"x\.jsonl\.gz{expected}"):
            list(recording.read(path))


def test_a_small_file_that_unpacks_to_any_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LINE_BYTES", 10_000)
    monkeypatch.setattr(recording, "MOST_BYTES", 30_000)
    path = written(tmp_path / "x.jsonl.gz", delivery())
    text = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(text + b" " * 1_000_000))
    with pytest.raises(RecordingError, match="line 3: expected at most 10,000"):
        list(recording.read(path))
    path.write_bytes(gzip.compress(text + text.splitlines(keepends=True)[1] * 1_000))
    with pytest.raises(RecordingError, match="at most 30,000 bytes uncompressed"):
        list(recording.read(path))
    monkeypatch.setattr(recording, "BODY_BYTES", 100)
    lone = tmp_path / "lone.json"
    lone.write_bytes(b"[\n" + b" \n" * 50 + b"]")
    with pytest.raises(RecordingError, match="a batch of at most 100 bytes, found more"):
        list(recording.read(lone))


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"gone\.json can't be read: No such file"):
        list(recording.read(tmp_path / "gone.json"))
    with pytest.raises(RecordingError, match=r"gone/x\.json can't be written"):
        written(tmp_path / "gone/x.json", delivery())
    with pytest.raises(RecordingError, match="which is a folder"):
        written(tmp_path.joinpath("/"), delivery())


def test_the_newest_deliveries_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "MOST_BYTES", 10)
    recent = RecentDeliveries()
    assert recent.after(0, 100) == ([], 0)
    for body in ("[1,2]", "[3,4]", "[5,6]"):
        recent.add("s", delivery(body=body))
    kept, dropped = recent.after(0, 100)
    assert [(one.number, one.stream, one.body) for one in kept] == [(2, "s", "[3,4]"), (3, "s", "[5,6]")]
    assert dropped == 1
    assert recent.after(1, 5) == (kept[:1], 0), "one at least, and no more than the bytes"
    assert recent.after(1, 1) == (kept[:1], 0)
    assert recent.after(3, 100) == ([], 0)
    recent.add("s", delivery(body="[" + "1" * 20 + "]"))
    assert [one.number for one in recent.after(3, 1)[0]] == [4], "the newest stays, whatever its size"
    assert recent.after(0, 1)[1] == 3
