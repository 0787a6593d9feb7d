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
from local_emulator.maxcompute.limit_enforcement import TRAFFIC, Traffic, count
from local_emulator.maxcompute.limits import Limits
from local_emulator.maxcompute.operations import NAMES
from local_emulator.maxcompute.refusals import refusal
from local_emulator.maxcompute.rest import routes as rest
from local_emulator.maxcompute.store import Store
from local_emulator.maxcompute.tunnel import routes as tunnel
from local_emulator.maxcompute.tunnel.slots import SLOTS, Slots
from local_emulator.maxcompute.tunnel.upload_requests import UPLOADS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger(__name__)
ACCOUNT_ID = "1000000000000001"
THREADS = 40  # 32 concurrent commits (the service's limit for one table) and some reads
LINE_BYTES = 1 << 20  # of a request line: a partition list in a query can be long
START_SECONDS = 30.0
STOP_SECONDS = 10.0
# Paths that clients request before they have credentials.
PUBLIC_PATHS = frozenset({"/api/logview/host", "/api/webconsole/host"})


@dataclass(frozen=True, slots=True)
class UserKey:
    """A key of an identity that isn't the account's own, such as ``RAM$<account>:alice``."""

    name: str
    access_id: str
    access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MaxComputeSettings:
    """The settings of an emulator; with ``insecure`` any signature is valid. An account has an id and perhaps a name.

    ``second_commit_conflicts``: whether a second commit of an upload session fails; no source says what the service
    answers.
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
    """Return the application with an open store; the application's clean-up closes the store."""
    clock = Clock()
    account = Account(settings.account_id, settings.account_name)
    accounts = Accounts(account, insecure=settings.insecure)
    accounts.add(settings.access_id, Credential(settings.access_key, accounts.owner))
    for user in settings.users:
        accounts.add(user.access_id, Credential(user.access_key, accounts.principal(user.name)))
    store = Store(clock.now, settings.data_dir, settings.limits)
    store.ensure_project(settings.project, account.principal)
    access = Access(store, account)

    # A block may have any size; each handler that reads a body limits how much of it is in memory.
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
    """Start to listen in the running event loop; return the runner (the caller cleans it up) and ``host:port``."""
    # The port is bound before the store is opened, since the application's answers contain the port's number.
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
    """A running emulator in its own thread; as a context manager it stops at the end of the block."""

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
        """The application; only a test in the same process may use its clock and store."""
        return self._runner.app

    def stop(self) -> None:
        """Close the open connections and the store."""
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
    """Start an emulator on a free port, for tests and for the rest of the local cloud; limits None: as documented."""
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
    """Add a request id to every answer, and turn every failure into the service's error body."""
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
    except Exception:  # noqa: BLE001 - clients expect the service's error body for a fault of the emulator, too
        _log.exception("%s %s failed", request.method, request.path)
        response = refusal(
            request,
            ServiceError(500, "InternalServerError", "ODPS-0010000:System internal error - see the emulator's log"),
        )
    if not response.prepared:
        response.headers["x-odps-request-id"] = request[REQUEST_ID]
        # PyODPS's worker processes (a pool of writers, to_pandas(n_process=2)) would share an open connection.
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
