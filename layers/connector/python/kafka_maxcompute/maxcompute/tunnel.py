"""Upload sessions in MaxCompute's Tunnel service, by the requests of PyODPS 0.13.2 (odps/tunnel/tabletunnel.py)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from kafka_maxcompute.errors import UnavailableError
from kafka_maxcompute.maxcompute.column import Column
from kafka_maxcompute.maxcompute.upload_sessions import SessionState, SessionStatus, UploadSession
from kafka_maxcompute.retrying import until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fc_powertools import Deadline
    from kafka_maxcompute.maxcompute.service import Service
    from kafka_maxcompute.settings.destinations import Destinations, TrustedAddress
    from kafka_maxcompute.settings.settings import Settings

_HEADERS = {
    "odps-tunnel-date-transform": "v1",
    "odps-tunnel-sdk-support-schema-evolution": "true",
    "x-odps-tunnel-version": "6",
}
_ADDRESS = re.compile(rb"[A-Za-z0-9.-]+(:[0-9]{1,5})?")


class _Block(msgspec.Struct):
    id: int = msgspec.field(name="BlockID")


class _Answer(msgspec.Struct):
    """The service's answer about a session; only the fields that this module needs."""

    id: str = msgspec.field(name="UploadID")
    status: str = msgspec.field(name="Status")
    blocks: list[_Block] = msgspec.field(name="UploadedBlockList", default_factory=list)


class _Column(msgspec.Struct):
    name: str
    type: str


class _Schema(msgspec.Struct):
    columns: list[_Column]


class _OpenedAnswer(_Answer, kw_only=True):
    """The answer to the request for a new session; `schema` has the columns that the session's blocks must have."""

    schema: _Schema = msgspec.field(name="Schema")


AnswerT = TypeVar("AnswerT", bound=_Answer)


def tunnel_endpoint(service: Service, destinations: Destinations, deadline: Deadline) -> TrustedAddress:
    """Request the address of the project's Tunnel service from MaxCompute's endpoint, and return the address.

    Raises `ConfigurationError` if requests with the role's keys may not go to this address.
    """
    doing = "ask for the Tunnel endpoint"
    for attempt in until(deadline):
        with attempt:
            answer = service.request("GET", "/tunnel", params={"service": ""}, doing=doing, deadline=deadline)
            if not _ADDRESS.fullmatch(answer):
                raise UnavailableError(f"could not {doing}: expected host:port, found {len(answer)} other bytes")
    address = f"{service.endpoint.partition('://')[0]}://{answer.decode()}"
    return destinations.returned_tunnel(address, service.endpoint)


class TunnelUploadSessions:
    """The upload sessions of a connector's table at the Tunnel endpoint.

    Requests that open a session, write a block or read a status are repeated until the deadline, because they are
    idempotent (an unused session expires). The request for a commit is sent once.
    """

    def __init__(self, service: Service, settings: Settings) -> None:
        self._service = service
        self._path = f"/tables/{settings.table}"
        self._column = settings.partition_column

    def open(self, partition_value: str, deadline: Deadline) -> UploadSession:
        """Open a session for a partition; the service creates a missing partition."""
        params = {"uploads": "1", "reload": "False", "create_partition": "true", **self._partition(partition_value)}
        doing = f"open an upload session for {partition_value!r}"
        answer = self._request_until_deadline("POST", params, doing, deadline, _OpenedAnswer)
        columns = tuple(Column(column.name, column.type.upper()) for column in answer.schema.columns)
        return UploadSession(answer.id, partition_value, columns)

    def put_block(
        self, session: UploadSession, block_id: int, body: bytes, encoding: str | None, deadline: Deadline
    ) -> None:
        """Write a block of Arrow data, or replace the block that a failed attempt has left."""
        params = {
            "uploadid": session.id,
            "blockid": str(block_id),
            "arrow": "",
            **self._partition(session.partition_value),
        }
        headers = {**_HEADERS, "Content-Type": "application/octet-stream"}
        if encoding:
            headers["Content-Encoding"] = encoding
        doing = f"write block {block_id} ({len(body)} bytes) of upload session {session.id}"
        for attempt in until(deadline):
            with attempt:
                self._service.request(
                    "PUT",
                    self._path,
                    params=params,
                    headers=headers,
                    data=body,
                    doing=doing,
                    deadline=deadline,
                    quotable=False,
                )

    def look(self, session: UploadSession, deadline: Deadline) -> SessionState:
        """Read the session's present state."""
        params = {"uploadid": session.id, "reload": "True", **self._partition(session.partition_value)}
        answer = self._request_until_deadline("GET", params, f"look at upload session {session.id}", deadline, _Answer)
        return SessionState(_status(answer), frozenset(block.id for block in answer.blocks))

    def commit(self, session: UploadSession, deadline: Deadline) -> SessionStatus:
        """Request the session's commit once."""
        params = {"uploadid": session.id, **self._partition(session.partition_value)}
        return _status(self._request_once("POST", params, f"commit upload session {session.id}", deadline, _Answer))

    def _partition(self, value: str) -> dict[str, str]:
        """Return the parameter for a partition; Tunnel expects the value without quotes."""
        return {"partition": f"{self._column}={value}"}

    def _request_until_deadline(
        self, method: str, params: Mapping[str, str], doing: str, deadline: Deadline, expected: type[AnswerT]
    ) -> AnswerT:
        for attempt in until(deadline):
            with attempt:
                answer = self._request_once(method, params, doing, deadline, expected)
        return answer

    def _request_once(
        self, method: str, params: Mapping[str, str], doing: str, deadline: Deadline, expected: type[AnswerT]
    ) -> AnswerT:
        body = self._service.request(
            method, self._path, params=params, headers=_HEADERS, doing=doing, deadline=deadline
        )
        try:
            return msgspec.json.decode(body, type=expected)
        except (msgspec.DecodeError, UnicodeDecodeError):
            message = f"could not {doing}: expected JSON of a session, found {len(body)} other bytes"
            raise UnavailableError(message) from None


def _status(answer: _Answer) -> SessionStatus:
    """Return the status in an answer; UNKNOWN for a status that the SDKs don't know."""
    return SessionStatus.__members__.get(answer.status.upper(), SessionStatus.UNKNOWN)
