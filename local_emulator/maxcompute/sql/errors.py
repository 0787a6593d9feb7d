"""SQL's errors. A failed task's result is the error's text, in the service's wording."""

from __future__ import annotations

from dataclasses import dataclass

TABLE_NOT_FOUND = "0130131"
INVALID_VIEW = "0130231"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the script; line and column count from 1."""

    line: int = 1
    column: int = 1


class SqlError(Exception):
    """A statement that the service refuses: ``ODPS-<code>:[line,col] <kind> - <detail>``."""

    def __init__(self, code: str, kind: str, detail: str, position: Position | None = None) -> None:
        place = f"[{position.line},{position.column}] " if position else ""
        super().__init__(f"ODPS-{code}:{place}{kind} - {detail}")
        self.code = code
        self._kind = kind
        self._detail = detail
        self._position = position

    def in_view(self, name: str, position: Position | None) -> SqlError:
        """Return the error of a statement that reads a view whose query has this error."""
        place = position if self._position else None
        return SqlError(self.code, self._kind, f"{self._detail}, in the view {name}", place)


def parse_error(detail: str, position: Position | None) -> SqlError:
    """Return the error for a script that isn't MaxCompute SQL, or uses a part of the language that isn't emulated."""
    return SqlError("0130161", "Parse exception", detail, position or Position())


def unsupported(what: str, position: Position | None) -> SqlError:
    """Return the error for a part of the language that isn't emulated; such a statement must never seem to succeed."""
    return parse_error(f"{what} is not supported by the emulator", position)


def semantic_error(detail: str, position: Position | None = None) -> SqlError:
    """Return the error for a well-formed script with wrong names or types."""
    return SqlError("0130071", "Semantic analysis exception", detail, position or Position())


def table_not_found(name: str, position: Position | None = None) -> SqlError:
    """Return the error for an unknown table; ``name`` is ``project.table``."""
    return SqlError(TABLE_NOT_FOUND, "Table not found", f"table {name} cannot be resolved", position or Position())


def view_not_found(name: str, position: Position | None) -> SqlError:
    """Return the error for an unknown view; ``name`` is ``project.view``."""
    return SqlError("0130201", "View not found", f"view {name} cannot be resolved", position)


def already_exists(detail: str, position: Position | None) -> SqlError:
    """Return the error for a new view with the name of a table or view."""
    return SqlError("0130211", "Table or view already exists", detail, position)


def invalid_view(detail: str, position: Position | None) -> SqlError:
    """Return the error for a view whose query doesn't fit the view any more."""
    return SqlError(INVALID_VIEW, "Invalid view", detail, position or Position())


def view_creation_error(detail: str, position: Position | None) -> SqlError:
    """Return the error for a CREATE VIEW whose columns or query are wrong."""
    return SqlError("0130171", "Creating view exception", detail, position)


def no_permission(detail: str) -> SqlError:
    """Return the error for a statement that its sender may not run."""
    return SqlError("0130013", "Authorization exception", detail)


def ddl_error(detail: str) -> SqlError:
    """Return the error for a correct statement that the catalog's state forbids."""
    return SqlError("0110061", "Failed to run ddltask", detail)


def overflow(detail: str) -> SqlError:
    """Return the error for a value that is too large for its type, or for a cell."""
    return SqlError("0121145", "Data overflow", detail)


def runtime_error(detail: str) -> SqlError:
    """Return the error for other invalid values."""
    return SqlError("0121095", "Invalid argument", detail)
