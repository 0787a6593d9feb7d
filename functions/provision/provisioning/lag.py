"""How far the group and the ledger have come in the source topic, and whether its logs still reach so far. Pure.

A log that ends before what is done with has lost records, or is that of a topic created again. Its lag is None then:
0 would say that everything is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka_maxcompute.offsets import count, gaps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kafka_maxcompute.offsets import Intervals, TopicPartition


def of_group(progress: Mapping[str, Any]) -> dict[str, Any]:
    """The group's progress as the service describes it: the lag of all, and each topic-partition's end and lag."""
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
    lost = any(_is_short(one["end"], one["committed"]) for one in places)
    return {"records": None if lost else progress.get("TotalDiff"), "topic_partitions": places}


def of_ledger(settled: Intervals, start: int, end: int, pending: int = 0) -> dict[str, Any]:
    """Of a log from `start` to before `end`: the last settled offset, and the offsets neither settled nor pending."""
    last = settled[-1][1] if settled else None
    missing = count(gaps(settled, within=(start, end - 1))) if end > start else 0
    short = last is not None and last >= end
    return {"settled_up_to": last, "end": end, "lag": None if short else max(0, missing - pending)}


def beyond(group: Sequence[Mapping[str, Any]], ledger: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A sentence for each log that ends before what the group has committed, or the ledger has settled."""
    done: dict[TopicPartition, tuple[int, list[str]]] = {}
    for one in group:
        if _is_short(one["end"], one["committed"]):
            committed = f"the group has committed offset {one['committed']}"
            done.setdefault((one["topic"], one["partition"]), (one["end"], []))[1].append(committed)
    for one in ledger:
        if one["lag"] is None:
            settled = f"the ledger has offset {one['settled_up_to']} as settled"
            done.setdefault((one["topic"], one["partition"]), (one["end"], []))[1].append(settled)
    for (topic, number), (end, told) in sorted(done.items()):
        yield (
            f"{topic}-{number}: its log ends at {end}, but {' and '.join(told)}, so the brokers have lost records or "
            "the topic was created again, and its lag isn't known; pause the stream, run audit, and do what its "
            "finding beyond-the-log says"
        )


def _is_short(end: object, committed: object) -> bool:
    """Whether the log ends before what is committed."""
    return end is not None and committed is not None and int(str(end)) < int(str(committed))


def _difference(end: object, committed: object) -> int | None:
    if end is None or committed is None or _is_short(end, committed):
        return None
    return int(str(end)) - int(str(committed))
