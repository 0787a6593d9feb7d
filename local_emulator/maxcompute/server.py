"""The emulator as an HTTP server: REST under ``/api`` and Tunnel at the root of one port."""

from __future__ import annotations

import asyncio
import logging
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from local_emulator.foundation import fault_api
from local_emulator.foundation.admission import admit
from local_emulator.foundation.clock import CLOCK, Clock
from local_emulator.foundation.faults import FAULTS, Faults
from local_emulator.foundation.injection import stop as stop_faults
from local_emulator.foundation.loop_thread import LoopThread
from local_emulator.foundation.stoppable import Stoppable
from local_emulator.maxcompute.access.names import Account
from local_emulator.maxcompute.access.permissions import Access
from local_emulator.maxcompute.access.queries import Queries
from local_emulator.maxcompute.authentication import Accounts, Credential
from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.faults import inject
from local_emulator.maxcompute.instances import Instances
from local_emulator.maxcompute.keys import (
    ACCESS,
    ACCOUNTS,
    ADDRESS,
    DATA_DIR,
    EXECUTOR,
    INSTANCES,
    PRINCIPAL,
    QUERIES,
    REQUEST_ID,
    STORE,
)
from local_emulator.maxcompute.limits import Limits
from local_emulator.maxcompute.operations import NAMES
from local_emulator.maxcompute.refusals import refusal
from local_emulator.maxcompute.rest import routes as rest
from local_emulator.maxcompute.store import Store
from local_emulator.maxcompute.traffic import TRAFFIC, Traffic, count
from local_emulator.maxcompute.tunnel import routes as tunnel
from local_emulator.maxcompute.tunnel.slots import SLOTS, Slots
from local_emulator.maxcompute.tunnel.upload_requests import UPLOADS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOGGER = logging.getLogger(__name__)
ACCOUNT_ID = "1000000000000001"
THREADS = 40  # 32 concurrent commits (the service's limit for one table) and some reads
LINE_BYTES = 1 << 20  # of a request line: a partition list in a query can be long
START_SECONDS = 30.0
STOP_SECONDS = 10.0
# Paths that clients ask before they have credentials to sign with.
PUBLIC_PATHS = frozenset({"/api/logview/host", "/api/webconsole/host"})


@dataclass(frozen=True, slots=True)
class UserKey:
    """A key of an identity that isn't the account's own, such as ``RAM$<account>:alice``."""

    name: str
    access_id: str
    access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MaxComputeSettings:
    """What the emulator starts with; ``insecure`` takes any signature. An account has an id and perhaps a name.

    ``second_commit_conflicts``: what a second commit of an upload session is answered, for no source settles it.
    """

    project: str = "connector_test"
    access_id: str = "ak"
    access_key: str = "sk"
    account_id: str = ACCOUNT_ID
    data_dir: Path | None = None
    insecure: bool = False
    account_name: str = ""
    users: tuple[UserKey, ...] = ()
    limits: Limits = field(default_factory=Limits)
    second_commit_conflicts: bool = False


def build(settings: MaxComputeSettings, address: str) -> web.Application:
    """The application, with its store open; its clean-up closes the store."""
    clock = Clock()
    account = Account(settings.account_id, settings.account_name)
    accounts = Accounts(account, insecure=settings.insecure)
    accounts.add(settings.access_id, Credential(settings.access_key, accounts.owner))
    for user in settings.users:
        accounts.add(user.access_id, Credential(user.access_key, accounts.principal(user.name)))
    store = Store(clock.now, settings.data_dir, settings.limits)
    store.ensure_project(settings.project, account.principal)
    access = Access(store, account)

    # A table's block may have any size; handlers that take bodies bound what they hold.
    app = web.Application(middlewares=[admit, _answer, inject, _authenticate, count], client_max_size=0)
    app[STORE] = store
    app[INSTANCES] = Instances(store, access, clock.now)
    app[CLOCK] = clock
    app[FAULTS] = Faults(NAMES)
    app[TRAFFIC] = Traffic(settings.limits, clock.now)
    app[SLOTS] = Slots(settings.limits.slots)
    app[ACCOUNTS] = accounts
    app[ACCESS] = access
    app[QUERIES] = Queries(store, access, app[INSTANCES])
    app[ADDRESS] = address
    app[DATA_DIR] = settings.data_dir
    app[EXECUTOR] = ThreadPoolExecutor(THREADS, "maxcompute")
    rest.add_routes(app)
    fault_api.add_routes(app)
    tunnel.add_routes(app)
    app[UPLOADS].second_commit_conflicts = settings.second_commit_conflicts
    app.on_shutdown.append(stop_faults)
    app.on_cleanup.append(_close)
    return app


async def serve(host: str, port: int, settings: MaxComputeSettings) -> tuple[web.AppRunner, str]:
    """Start to listen in the running event loop; the runner (to be cleaned up by the caller) and ``host:port``."""
    # The port is taken before the store is opened, for its number is part of what the application answers.
    listener = await asyncio.to_thread(_listen, host, port)
    address = f"{host}:{listener.getsockname()[1]}"
    try:
        app = await asyncio.to_thread(build, settings, address)
    except BaseException:
        listener.close()
        raise
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        max_line_size=LINE_BYTES,
        max_field_size=LINE_BYTES,
        shutdown_timeout=STOP_SECONDS / 2,
    )
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return runner, address


class MaxComputeServer(Stoppable):
    """A running emulator in a thread of its own; a context manager that stops it."""

    def __init__(self, host: str, port: int, settings: MaxComputeSettings) -> None:
        self._thread = LoopThread("maxcompute")
        try:
            self._runner, self.address = self._thread.run(serve(host, port, settings), START_SECONDS)
        except BaseException:
            self._thread.close()
            raise

    @property
    def endpoint(self) -> str:
        """The REST endpoint."""
        return f"http://{self.address}{rest.PREFIX}"

    @property
    def tunnel_endpoint(self) -> str:
        """The Tunnel endpoint."""
        return f"http://{self.address}"

    @property
    def app(self) -> web.Application:
        """The application, for what only a test in the same process may touch (clock, store)."""
        return self._runner.app

    def stop(self) -> None:
        """End open connections, close the store."""
        self._thread.run(self._runner.cleanup(), STOP_SECONDS * 2)
        self._thread.close()


def start(
    project: str = "connector_test",
    access_id: str = "ak",
    access_key: str = "sk",
    data_dir: Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    account_id: str = ACCOUNT_ID,
    account_name: str = "",
    insecure: bool = False,
    limits: Limits | None = None,
) -> MaxComputeServer:
    """A running emulator on a free port, for tests and for the rest of the local cloud; limits None: as documented."""
    settings = MaxComputeSettings(
        project, access_id, access_key, account_id, data_dir, insecure, account_name, limits=limits or Limits()
    )
    return MaxComputeServer(host, port, settings)


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


async def _close(app: web.Application) -> None:
    app[INSTANCES].close()
    app[EXECUTOR].shutdown(wait=True)
    app[STORE].close()


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every answer a request id, and every failure the service's error body."""
    request[REQUEST_ID] = uuid.uuid4().hex.upper()
    try:
        response = await handler(request)
    except ServiceError as error:
        response = refusal(request, error)
    except web.HTTPException as error:
        code = "NoSuchPath" if error.status == web.HTTPNotFound.status_code else "MethodNotAllowed"
        response = refusal(
            request, ServiceError(error.status, code, f"{request.method} {request.path} is not emulated")
        )
    except (asyncio.CancelledError, ConnectionResetError):
        raise
    except Exception:
        LOGGER.exception("%s %s failed", request.method, request.path)
        response = refusal(
            request,
            ServiceError(500, "InternalServerError", "ODPS-0010000:System internal error - see the emulator's log"),
        )
    if not response.prepared:
        response.headers["x-odps-request-id"] = request[REQUEST_ID]
        # PyODPS's processes (writers in a pool, to_pandas(n_process=2)) would share a connection that was kept open.
        response.force_close()
    return response


@web.middleware
async def _authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path not in PUBLIC_PATHS and not request.path.startswith(fault_api.PREFIX + "/"):
        target = request.raw_path.removeprefix(rest.PREFIX)
        request[PRINCIPAL] = request.app[ACCOUNTS].authenticate(
            request.method, target, request.headers, request.app[CLOCK]
        )
    return await handler(request)
