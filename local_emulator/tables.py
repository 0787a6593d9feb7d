"""SQL on the local MaxCompute with PyODPS, and its answers as text."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from odps import ODPS, options
from odps.errors import InstanceTypeNotSupported, ObjectAlreadyExists

from local_emulator.text_table import draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from local_emulator.endpoints import Endpoints


def connect(at: Endpoints) -> ODPS:
    """A client of the running cloud's project."""
    return client(at.access_id, at.access_key, at.project, at.maxcompute, at.tunnel)


def client(access_id: str, access_key: str, project: str, endpoint: str, tunnel_endpoint: str) -> ODPS:
    """A client that says nothing by itself, and leaves other clients of this process what they have."""
    options.verbose = False
    return ODPS(
        access_id,
        access_key,
        project=project,
        endpoint=endpoint,
        tunnel_endpoint=tunnel_endpoint,
        logview_host=endpoint,
        # By default PyODPS makes these addresses those of every client made after this one that doesn't name its own.
        overwrite_global=False,
    )


def admit(owner: ODPS, statements: Iterable[str]) -> None:
    """Run the owner's statements that let somebody into the project; who is in it already stays."""
    for statement in statements:
        with contextlib.suppress(ObjectAlreadyExists):  # from an earlier run, where the tables are kept
            owner.execute_security_query(statement)


def run(project: ODPS, statement: str) -> Iterator[str]:
    """Run one statement; the lines that MaxCompute's command line client would print. Raises odps.errors.ODPSError."""
    instance = project.execute_sql(statement)
    try:
        reader = instance.open_reader(tunnel=True)
    except InstanceTypeNotSupported:  # what isn't a query answers with text
        with instance.open_reader(tunnel=False) as text:
            yield from str(text.raw).splitlines()
        yield ""
        yield "OK"
        return
    with reader:
        names = [column.name for column in reader.schema.columns]
        yield from draw(names, [record.values for record in reader])
