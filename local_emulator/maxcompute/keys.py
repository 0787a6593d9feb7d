"""The application's and the request's keys for all handlers: the store, the sender of a request, a thread for work."""

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
# The directory of the files that outlive the emulator; None: nothing outlives it.
DATA_DIR: web.AppKey[Path | None] = web.AppKey("DATA_DIR")

REQUEST_ID = web.RequestKey("REQUEST_ID", str)
PRINCIPAL = web.RequestKey("PRINCIPAL", Principal)


async def in_thread(request: web.Request, work: Callable[[], T]) -> T:
    """Run slow work, such as all use of the database, outside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(request.app[EXECUTOR], work)
