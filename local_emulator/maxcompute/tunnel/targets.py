"""The current state of a session's table and partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.maxcompute.tunnel.errors import tunnel_error

if TYPE_CHECKING:
    from local_emulator.maxcompute.entities import Table
    from local_emulator.maxcompute.store import Store


def current_table(store: Store, known: Table) -> Table:
    """Return the current state of a session's table; ServiceError NoSuchTable, or TableModified for a new table."""
    current = store.table(known.project, known.schema, known.name)
    if current.id != known.id:
        raise tunnel_error("TableModified", "The table was dropped and created again.")
    return current


def require_unchanged(store: Store, known: Table, spec: tuple[str, ...]) -> None:
    """Raise the errors of `current_table`, TableModified for changed columns, or NoSuchPartition."""
    current = current_table(store, known)
    if current.schema_version != known.schema_version:
        raise tunnel_error("TableModified", "Its columns were changed.")
    if spec:
        store.partition(current, spec)


def require_same(own: Table, named: Table, spec: tuple[str, ...], named_spec: tuple[str, ...] | None) -> None:
    """Raise ServiceError InvalidResourceSpec if a request names another table or partition than its session's.

    ``named_spec`` None: the request names no partition.
    """
    same_name = (own.project, own.schema, own.name) == (named.project, named.schema, named.name)
    if not same_name or (named_spec is not None and named_spec != spec):
        raise tunnel_error("InvalidResourceSpec", f"It is on {own.name} {own.describe(spec)}".rstrip() + ".")
