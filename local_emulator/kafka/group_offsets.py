"""Sets or removes a group's committed offsets in the embedded broker, also after the group had members.

librdkafka's mock cluster never forgets a group. After a group's first member the mock cluster refuses the commits of
all other clients; a real broker does so only while the group has members. The mock cluster can't delete a group, but
its value for "nothing committed" is the offset -1. So the functions here join the group as a member, commit, and leave.
librdkafka's clients don't send the offset -1, so the requests are written here. (Source: the messages' JSON definitions
in Apache Kafka, clients/src/main/resources/common/message.)
"""

from __future__ import annotations

import socket
import struct
from itertools import groupby
from typing import TYPE_CHECKING

from local_emulator.kafka.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local_emulator.kafka.topics import TopicPartition

REMOVED = -1
"""In place of an offset: the group has committed nothing for the topic-partition."""

SESSION_MS = 6_000
REQUEST_SECONDS = 60.0
"""After the last member has left, a new member waits for its session timeout, less one second. The event stream's is
SESSION_MS; librdkafka's default is 45 s."""

_OFFSET_COMMIT, _JOIN_GROUP, _LEAVE_GROUP, _SYNC_GROUP = (8, 2), (11, 0), (13, 0), (14, 0)
"""Key and version of each request."""
_UNKNOWN_MEMBER = 25
_NOBODY = (-1, b"")
"""Generation and member id of a client that isn't a member."""


class GroupMembersError(BrokerError):
    """The group has members, so its offsets can't be set."""


def set_offsets(bootstrap_servers: str, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Set the group's offsets of these topic-partitions, or remove those that are `REMOVED`.

    Raises GroupMembersError if the group has members, and BrokerError if the broker refuses a request.
    """
    if not offsets:
        return
    host, _, port = bootstrap_servers.partition(",")[0].rpartition(":")
    with socket.create_connection((host, int(port)), REQUEST_SECONDS) as connection:
        if _UNKNOWN_MEMBER not in (errors := _commit(connection, group, *_NOBODY, offsets)):
            _check(errors, group)
            return
        generation, member = _join(connection, group)
        try:
            _check(_commit(connection, group, generation, member, offsets), group)
        finally:
            _request(connection, _LEAVE_GROUP, _text(group.encode()) + _text(member))


def _join(connection: socket.socket, group: str) -> tuple[int, bytes]:
    """Join the group as its only member; return the group's generation and the member's id."""
    protocol = struct.pack(">i", 1) + _text(b"range") + struct.pack(">i", 0)
    join = _text(group.encode()) + struct.pack(">i", SESSION_MS) + _text(b"") + _text(b"consumer") + protocol
    answer = _request(connection, _JOIN_GROUP, join)
    error, generation = struct.unpack_from(">hi", answer)
    _check({error}, group)
    _, position = _read_text(answer, 6)
    leader, position = _read_text(answer, position)
    member, position = _read_text(answer, position)
    (members,) = struct.unpack_from(">i", answer, position)
    if leader != member or members != 1:
        _request(connection, _LEAVE_GROUP, _text(group.encode()) + _text(member))
        raise GroupMembersError(f"group {group} has members; stop its consumers first")
    assignment = struct.pack(">i", 1) + _text(member) + struct.pack(">i", 0)
    sync = _text(group.encode()) + struct.pack(">i", generation) + _text(member) + assignment
    _check(set(struct.unpack_from(">h", _request(connection, _SYNC_GROUP, sync))), group)
    return generation, member


def _commit(
    connection: socket.socket, group: str, generation: int, member: bytes, offsets: Mapping[TopicPartition, int]
) -> set[int]:
    """Commit the offsets; return the error codes of the topic-partitions, of which 0 is success."""
    by_topic = [(topic, list(places)) for topic, places in groupby(sorted(offsets), lambda place: place[0])]
    body = _text(group.encode()) + struct.pack(">i", generation) + _text(member)
    body += struct.pack(">qi", -1, len(by_topic))
    for topic, places in by_topic:
        body += _text(topic.encode()) + struct.pack(">i", len(places))
        body += b"".join(struct.pack(">iq", place[1], offsets[place]) + _text(b"") for place in places)
    return set(_commit_errors(_request(connection, _OFFSET_COMMIT, body)))


def _commit_errors(answer: bytes) -> Iterator[int]:
    (topics,), position = struct.unpack_from(">i", answer), 4
    for _ in range(topics):
        _, position = _read_text(answer, position)
        (count,), position = struct.unpack_from(">i", answer, position), position + 4
        end = position + 6 * count
        yield from (error for _, error in struct.iter_unpack(">ih", answer[position:end]))
        position = end


def _check(errors: set[int], group: str) -> None:
    if codes := sorted(errors - {0}):
        raise BrokerError(
            f"the embedded broker refused to set the offsets of group {group} (Kafka's error codes: {codes})"
        )


def _request(connection: socket.socket, api: tuple[int, int], body: bytes) -> bytes:
    """Send a request; return the answer without its length and correlation id."""
    message = struct.pack(">hhi", *api, 0) + _text(b"local-emulator") + body
    connection.sendall(struct.pack(">i", len(message)) + message)
    (size,) = struct.unpack(">i", _receive(connection, 4))
    return _receive(connection, size)[4:]


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise BrokerError("the embedded broker closed the connection before its answer was complete")
        received += part
    return received


def _text(text: bytes) -> bytes:
    return struct.pack(">h", len(text)) + text


def _read_text(answer: bytes, position: int) -> tuple[bytes, int]:
    """Return a text and the position after it."""
    (size,), start = struct.unpack_from(">h", answer, position), position + 2
    return answer[start : start + size], start + size
