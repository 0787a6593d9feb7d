"""Tunnel's error codes with the service's sentences; the emulator adds the found value, and its place.

Codes and sentences are from the service's page "Tunnel common errors" and its Java SDK; the statuses follow HTTP's
meaning.
"""

from __future__ import annotations

from http import HTTPStatus
from types import MappingProxyType

from local_emulator.maxcompute.errors import ServiceError

_BAD = HTTPStatus.BAD_REQUEST
_SENTENCES = MappingProxyType(
    {
        "CorruptedDataStream": (_BAD, "The data stream was corrupted, please try again later."),
        "FlowExceeded": (HTTPStatus.TOO_MANY_REQUESTS, "Your flow quota is exceeded."),
        "InConsistentBlockList": (
            _BAD,
            "The specified block list is not consistent with the uploaded block list on server side.",
        ),
        "IncompleteBody": (
            _BAD,
            "You did not provide the number of bytes specified by the Content-Length HTTP header.",
        ),
        "InternalServerError": (
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "Service internal error, please try again later.",
        ),
        "InvalidArgument": (_BAD, "Invalid argument."),
        "InvalidBlockID": (_BAD, "The specified block id is not valid."),
        "InvalidColumnSpec": (_BAD, "The specified columns is not valid."),
        "InvalidPartitionSpec": (_BAD, "The specified partitionspec is not valid."),
        "InvalidResourceSpec": (_BAD, "Project, table or partition differ from those of the session."),
        "InvalidRowRange": (_BAD, "The specified row range is not valid."),
        "InvalidStatusChange": (_BAD, "You cannot change the specified upload or download status."),
        "MalformedDataStream": (
            _BAD,
            "The data stream you provided was not well-formed or did not validate against schema.",
        ),
        "MaxMessageLengthExceeded": (_BAD, "Your request was too big."),
        "MethodNotAllowed": (
            HTTPStatus.METHOD_NOT_ALLOWED,
            "The specified method is not allowed against this resource.",
        ),
        "MissingPartitionSpec": (_BAD, "You need to specify a partitionspec along with the specified table."),
        "NoSuchData": (HTTPStatus.NOT_FOUND, "The uploaded data within this uploaded no longer exists."),
        "NoSuchDownload": (HTTPStatus.NOT_FOUND, "The specified download id does not exist."),
        "NoSuchPartition": (HTTPStatus.NOT_FOUND, "The specified partition does not exist."),
        "NoSuchSchema": (HTTPStatus.NOT_FOUND, "The specified schema version does not exist."),
        "NoSuchUpload": (HTTPStatus.NOT_FOUND, "The specified upload id does not exist."),
        "NotImplemented": (
            HTTPStatus.NOT_IMPLEMENTED,
            "A header you provided implies functionality that is not implemented.",
        ),
        "RequestTimeOut": (
            HTTPStatus.REQUEST_TIMEOUT,
            "Your socket connection to the server was not read from or written to within the timeout period.",
        ),
        "SchemaModified": (HTTPStatus.PRECONDITION_FAILED, "The schema of the specified table has been modified."),
        "ServiceUnavailable": (
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Service is temporarily unavailable, please try again later.",
        ),
        "SlotExceeded": (HTTPStatus.TOO_MANY_REQUESTS, "Your slot quota is exceeded."),
        "StatusConflict": (
            HTTPStatus.CONFLICT,
            "You cannot complete the specified operation under the current upload or download status.",
        ),
        "StreamSessionNotFound": (HTTPStatus.NOT_FOUND, "The specified stream session does not exist."),
        "TableModified": (
            _BAD,
            "The specified table has been modified since the upload or download initiated. Try initiate another one.",
        ),
        "UpsertSessionNotFound": (HTTPStatus.NOT_FOUND, "The specified upsert session does not exist."),
    }
)


def tunnel_error(code: str, detail: str = "") -> ServiceError:
    """Return the error of a code; ``detail`` says what was expected and found, never a row's value."""
    status, sentence = _SENTENCES[code]
    return ServiceError(status, code, f"{sentence} {detail}" if detail else sentence)


def default_message(code: str) -> str:
    """Return the service's sentence for a code; empty if none is known."""
    return _SENTENCES[code][1] if code in _SENTENCES else ""


def malformed(detail: str) -> ServiceError:
    """Return the error for a body in a wrong format, or with values that don't fit the table's columns."""
    return tunnel_error("MalformedDataStream", detail)


def corrupted(detail: str) -> ServiceError:
    """Return the error for a body with a wrong checksum."""
    return tunnel_error("CorruptedDataStream", detail)
