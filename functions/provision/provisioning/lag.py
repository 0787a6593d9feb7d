"""The positions of group and ledger in the source topic, and whether its logs still reach them. Pure.

If a log ends before a committed or settled offset, the brokers have lost records, or the topic was created again. Its
lag is None then: 0 would mean that everything is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_maxcompute.offsets import count, gaps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kafka_maxcompute.offsets import Intervals, TopicPartition


def of_group(progress: Mapping[str, Any]) -> dict[str, Any]:
    """Return the total lag, and each topic-partition's end and lag, from the service's description of the progress."""
    listed = (progress.get("TopicList") or {}).get("TopicList") or []
    places = [
        {
            "topic": topic.get("Topic"),
            "partition": offset.get("Partition"),
            "end": offset.get("BrokerOffset"),
            "committed": offset.get("ConsumerOffset"),
            "lag": _difference(offset.get("BrokerOffset"), offset.get("ConsumerOffset")),
        }
        for topic in listed
        for offset in (topic.get("OffsetList") or {}).get("OffsetList") or []
    ]
    lost = any(_is_short(place["end"], place["committed"]) for place in places)
    return {"records": None if lost else progress.get("TotalDiff"), "topic_partitions": places}


def of_ledger(settled: Intervals, start: int, end: int, pending: int = 0) -> dict[str, Any]:
    """Return the last settled offset and the lag of a log from `start` to before `end`.

    The lag counts the offsets that are neither settled nor among the `pending` ones.
    """
    last = settled[-1][1] if settled else None
    missing = count(gaps(settled, within=(start, end - 1))) if end > start else 0
    short = last is not None and last >= end
    return {"settled_up_to": last, "end": end, "lag": None if short else max(0, missing - pending)}


def beyond(group: Sequence[Mapping[str, Any]], ledger: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a fault for each log that ends before an offset that the group has committed, or the ledger has settled.

    `group` and `ledger` are the topic-partitions of both, as a reply shows them.
    """
    short: dict[TopicPartition, tuple[int, list[str]]] = {}
    for place in group:
        if _is_short(place["end"], place["committed"]):
            committed = f"the group has committed offset {place['committed']}"
            short.setdefault((place["topic"], place["partition"]), (place["end"], []))[1].append(committed)
    for place in ledger:
        if place["lag"] is None:
            settled = f"the ledger has offset {place['settled_up_to']} as settled"
            short.setdefault((place["topic"], place["partition"]), (place["end"], []))[1].append(settled)
    for (topic, number), (end, positions) in sorted(short.items()):
        yield (
            f"{topic}-{number}: its log ends at {end}, but {' and '.join(positions)}, so the brokers have lost records "
            "or the topic was created again, and its lag isn't known; pause the stream, run audit, and do what its "
            "finding beyond-the-log says"
        )


def passed(group: Sequence[Mapping[str, Any]], ledger: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a warning for each topic-partition whose group has committed past offsets that aren't settled.

    `group` and `ledger` are the topic-partitions of both, as a reply shows them. The number is the least possible: the
    ledger may also have settled offsets that the group hasn't committed.
    """
    waiting = {(place["topic"], place["partition"]): place["lag"] for place in group}
    for place in ledger:
        topic_partition = (place["topic"], place["partition"])
        lags = (place["lag"], waiting.get(topic_partition))
        if None in lags or not (number := max(0, lags[0] - lags[1])):
            continue
        yield (
            f"{place['topic']}-{place['partition']}: the group has committed past {number} offsets that the ledger "
            "doesn't have as settled; either the topic has no record at them, or their records were never written; run "
            "audit, which distinguishes the two"
        )


def _is_short(end: object, committed: object) -> bool:
    """Return whether the log ends before the committed offset."""
    return end is not None and committed is not None and int(str(end)) < int(str(committed))


def _difference(end: object, committed: object) -> int | None:
    if end is None or committed is None or _is_short(end, committed):
        return None
    return int(str(end)) - int(str(committed))
