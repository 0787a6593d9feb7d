"""SQL's own errors: they end up as a failed task's result, in the service's wording."""

from __future__ import annotations

from dataclasses import dataclass

TABLE_NOT_FOUND = "0130131"


@dataclass(frozen=True, slots=True)
class Position:
    """Where in the script, both from 1."""

    line: int = 1
    column: int = 1


class SqlError(Exception):
    """A statement that the service refuses: ``ODPS-<code>:[line,col] <kind> - <detail>``."""

    def __init__(self, code: str, kind: str, detail: str, position: Position | None = None) -> None:
        place = f"[{position.line},{position.column}] " if position else ""
        super().__init__(f"ODPS-{code}:{place}{kind} - {detail}")
        self.code = code


def parse_error(detail: str, position: Position | None) -> SqlError:
    """The script isn't MaxCompute SQL, or it's a part of it that isn't emulated."""
    return SqlError("0130161", "Parse exception", detail, position or Position())


def unsupported(what: str, position: Position | None) -> SqlError:
    """A part of the language that this emulator doesn't have; it must never look like a success."""
    return parse_error(f"{what} is not supported by the emulator", position)


def semantic_error(detail: str, position: Position | None = None) -> SqlError:
    """The script is well formed, but names or types don't fit."""
    return SqlError("0130071", "Semantic analysis exception", detail, position or Position())


def table_not_found(name: str, position: Position | None = None) -> SqlError:
    """``name`` is the full one: project.table."""
    return SqlError(TABLE_NOT_FOUND, "Table not found", f"table {name} cannot be resolved", position or Position())


def no_permission(detail: str) -> SqlError:
    """Who runs it isn't allowed to."""
    return SqlError("0130013", "Authorization exception", detail)


def ddl_error(detail: str) -> SqlError:
    """The statement is right, but the state of the catalog forbids it."""
    return SqlError("0110061", "Failed to run ddltask", detail)


def overflow(detail: str) -> SqlError:
    """A value is too large for its type, or a cell for the service."""
    return SqlError("0121145", "Data overflow", detail)


def runtime_error(detail: str) -> SqlError:
    """The values don't allow it in another way."""
    return SqlError("0121095", "Invalid argument", detail)
