"""The service's errors as exceptions, and the two bodies that they travel in: XML (REST) and JSON (Tunnel)."""

from __future__ import annotations

import json
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST_ID = "localhost"


class ServiceError(Exception):
    """An error answer of the service: HTTP status, code, message, and additional headers."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers

    def xml(self, request_id: str) -> str:
        """Return the body of a REST answer; clients read all four elements."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{escape(self.code)}</Code><Message>{escape(self.message)}</Message>"
            f"<RequestId>{escape(request_id)}</RequestId><HostId>{HOST_ID}</HostId></Error>"
        )

    def json(self, request_id: str) -> str:
        """Return the body of a Tunnel answer."""
        return json.dumps(
            {"Code": self.code, "Message": self.message, "RequestId": request_id, "HostId": HOST_ID},
            ensure_ascii=False,
        )


def missing(code: str, message: str) -> ServiceError:
    """Return a 404 with a code such as NoSuchObject, NoSuchProject, NoSuchTable or NoSuchPartition."""
    return ServiceError(HTTPStatus.NOT_FOUND, code, message)


def invalid(message: str, code: str = "InvalidArgument") -> ServiceError:
    """Return a 400: the request itself is invalid."""
    return ServiceError(HTTPStatus.BAD_REQUEST, code, message)


def missing_project(project: str) -> ServiceError:
    """Return the error of every path below an unknown project."""
    return missing("NoSuchProject", f"ODPS-0420111: Project not found - '{project}'.")


def missing_table(project: str, name: str) -> ServiceError:
    """Return the error of REST and Tunnel paths of an unknown table; SQL has its own error, ODPS-0130131."""
    return missing("NoSuchTable", f"ODPS-0130131:Table not found - table {project}.{name} cannot be resolved.")


def missing_partition(description: str) -> ServiceError:
    """Return the error of paths of an unknown partition; the description is like ``pt='v'``."""
    return missing("NoSuchPartition", f"The specified partition does not exist: {description}.")


class DatabaseBusyError(Exception):
    """Another process has the data directory's database open."""
