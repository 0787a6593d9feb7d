"""What every handler may take from the application: the store, the clock, who is asking, a thread for slow work."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from local_emulator.maxcompute.access.permissions import Access
from local_emulator.maxcompute.access.queries import Queries
from local_emulator.maxcompute.authentication import Accounts, Principal
from local_emulator.maxcompute.instances import Instances
from local_emulator.maxcompute.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

STORE = web.AppKey("STORE", Store)
INSTANCES = web.AppKey("INSTANCES", Instances)
ACCOUNTS = web.AppKey("ACCOUNTS", Accounts)
ACCESS = web.AppKey("ACCESS", Access)
QUERIES = web.AppKey("QUERIES", Queries)
EXECUTOR = web.AppKey("EXECUTOR", ThreadPoolExecutor)
ADDRESS = web.AppKey("ADDRESS", str)
# Where what has to outlive the emulator is kept; None: nothing has to.
DATA_DIR: web.AppKey[Path | None] = web.AppKey("DATA_DIR")

REQUEST_ID = web.RequestKey("REQUEST_ID", str)
PRINCIPAL = web.RequestKey("PRINCIPAL", Principal)


async def in_thread(request: web.Request, work: Callable[[], T]) -> T:
    """Do what takes time (all that touches the database) outside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(request.app[EXECUTOR], work)
