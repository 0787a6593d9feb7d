"""The action `letters`: lists dead letters page by page, with their payloads only if the request asks for these.

Nothing of a payload is logged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from kafka_maxcompute.offsets import intervals
from provisioning.redrive import catalogue, pages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kafka_maxcompute.brokers.originals import Original
    from kafka_maxcompute.offsets import TopicPartition
    from provisioning.cloud import Cloud
    from provisioning.redrive.catalogue import LetterEntry
    from provisioning.redrive.pages import Position


def letters(cloud: Cloud) -> dict[str, Any]:
    """Return a page of the dead letters that the filters accept, in the order of the topics that hold them.

    `next` is the position after which the next page begins, None on the last page.
    """
    request, settings, deadline = cloud.request, cloud.request.settings, cloud.deadline
    partitions = cloud.clients.appender.count_partitions(catalogue.topics(settings, request.letters), deadline)
    listed = catalogue.read(cloud.clients.logs(), settings, request.letters, partitions, deadline)
    entries = sorted(listed.entries.values(), key=_position)
    rest = [entry for entry in entries if _position(entry) > request.after]
    page = rest[: _size(request.limit, request.payload_bytes)]
    payloads = _payloads(cloud, page) if request.payload_bytes else {}
    return {
        "state": "listed",
        "faults": [],
        "total": len(entries),
        "reasons": dict(Counter(entry.letter.reason for entry in entries).most_common()),
        "unreadable": listed.unreadable,
        "letters": [
            _row(entry, redriven=entry.id in listed.notes.done)
            | ({"payload": payloads.get(_position(entry))} if request.payload_bytes else {})
            for entry in page
        ],
        "next": _text(page[-1]) if len(page) < len(rest) else None,
    }


def _size(limit: int, payload_bytes: int) -> int:
    """Return the most letters of a page."""
    return max(1, min(limit, pages.PAGE_BYTES // payload_bytes)) if payload_bytes else limit


def _position(entry: LetterEntry) -> Position:
    """Return an entry's position; the entries of a listing are in topics."""
    topic, partition = entry.place.topic_partition or ("", -1)
    return topic, partition, entry.place.offset, entry.place.element or 0


def _text(entry: LetterEntry) -> str:
    return pages.text(_position(entry), queued=entry.place.element is not None)


def _row(entry: LetterEntry, *, redriven: bool) -> dict[str, Any]:
    letter = entry.letter
    return {
        "letter": _text(entry),
        "written": _iso(entry.written),
        "reason": letter.reason,
        "message": letter.message,
        "path": letter.path,
        "request_id": letter.request_id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": _iso(letter.record.timestamp),
        "form": letter.form,
        "truncated": list(letter.cut),
        "generation": letter.generation,
        "redriven": redriven,
    }


def _iso(milliseconds: int | None) -> str | None:
    """Return a time as ISO text in UTC; a time that a calendar doesn't have stays a number."""
    if milliseconds is None:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1_000, timezone.utc).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return str(milliseconds)


def _payloads(cloud: Cloud, page: Sequence[LetterEntry]) -> dict[Position, dict[str, Any]]:
    """Read the page's letters once more, now with their bytes; return the shown parts by the letters' positions.

    A letter that retention has removed meanwhile is left out.
    """
    by_message: dict[tuple[TopicPartition, int], list[LetterEntry]] = defaultdict(list)
    offsets: dict[TopicPartition, list[int]] = defaultdict(list)
    for entry in page:
        if entry.place.topic_partition is not None:
            by_message[entry.place.topic_partition, entry.place.offset].append(entry)
            offsets[entry.place.topic_partition].append(entry.place.offset)
    wanted = {topic_partition: intervals(numbers) for topic_partition, numbers in offsets.items()}
    payloads = {}
    for topic_partition, offset, record in cloud.clients.logs().stream(wanted, cloud.deadline):
        for entry in by_message[topic_partition, offset]:
            letter = catalogue.whole_letter(entry, record, cloud.request.settings)
            if letter is not None:
                payloads[_position(entry)] = _payload(letter.record, cloud.request.payload_bytes)
    return payloads


def _payload(record: Original, most: int) -> dict[str, Any]:
    """Return key, value and headers of a record, each cut to `most` bytes; a header's name isn't cut."""
    headers: list[dict[str, Any]] = []
    room = most
    for name, value in record.headers:
        room -= len(name.encode())
        if room < 0:
            break
        headers.append({"name": name, "value": part(value, room)})
        room = max(0, room - len(value or b""))
    return {
        "key": part(record.key, most),
        "value": part(record.value, most),
        "headers": headers,
        "headers_left_out": len(record.headers) - len(headers),
    }


def part(data: bytes | None, most: int) -> dict[str, Any] | None:
    """Return at most `most` bytes, as `text` if all bytes are UTF-8, else as `hex`; `bytes` is the number of all bytes.

    Text isn't cut within a character.
    """
    if data is None:
        return None
    size = {"bytes": len(data), **({"cut": True} if len(data) > most else {})}
    try:
        data.decode()
    except UnicodeDecodeError:
        return {"hex": data[:most].hex(), **size}
    return {"text": data[:most].decode("utf-8", "ignore"), **size}
