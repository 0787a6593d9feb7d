"""Function Compute's invoke API over HTTP: FC 2.0 paths for the SDK aliyun-fc2, FC 3.0 paths for the current SDK.

FC 3.0 has no services: a 2.0 path may carry any service name. Functions have only the qualifier LATEST.
An asynchronous invocation waits for a free instance and runs once: the service's own retries aren't emulated.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from local_emulator.foundation.admission import admit
from local_emulator.foundation.loop_thread import LoopThread
from local_emulator.foundation.stoppable import Stoppable
from local_emulator.function_compute import authentication, layers
from local_emulator.function_compute.errors import FunctionComputeError
from local_emulator.function_compute.instances import (
    Credentials,
    InstanceEnvironment,
    InvocationOutcome,
    new_request_id,
)
from local_emulator.function_compute.pool import ExhaustedError, Pool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from local_emulator.function_compute.template import Function, Template

SYNC_BYTES = 32 * 1024 * 1024
ASYNC_BYTES = 128 * 1024
_TAIL_BYTES = 4096
_START_SECONDS = 10.0
_STOP_SECONDS = 2.0  # for clients that still send a refused request; all calls have ended by then
_QUALIFIER = "LATEST"
_REQUEST_ID = web.RequestKey("request_id", str)
_log = logging.getLogger(__name__)


class FunctionComputeServer(Stoppable):
    """A running service; `with` stops it at the end."""

    def __init__(self, pools: dict[str, Pool], credentials: Credentials | None, threads: int) -> None:
        self.endpoint = ""
        self._pools = pools
        self._credentials = credentials
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="function-compute")
        self._thread = LoopThread("function-compute-http")
        self._runner = web.AppRunner(
            self._application(), auto_decompress=False, access_log=None, shutdown_timeout=_STOP_SECONDS
        )
        self._background: set[asyncio.Future[None]] = set()

    def logs(self, function: str) -> list[str]:
        """Return the last lines that a function's instances printed, oldest first."""
        return self._pools[function].logs()

    def stop(self) -> None:
        """Stop all instances (idle ones with their pre-stop hook), then the server; a second call does nothing."""
        if self._thread.closed:
            return
        for pool in self._pools.values():
            pool.stop()
        self._thread.run(self._runner.cleanup(), _START_SECONDS)
        self._workers.shutdown()
        self._thread.close()

    def _serve(self, port: int) -> None:
        self._thread.run(self._listen(port), _START_SECONDS)

    async def _listen(self, port: int) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=SYNC_BYTES + 1, middlewares=[admit, _answer_errors])
        for version in ("2016-08-15", "2021-04-06"):
            application.router.add_post(
                f"/{version}/services/{{service}}/functions/{{function}}/invocations", self._invoke
            )
        application.router.add_post("/2023-03-30/functions/{function}/invocations", self._invoke)
        return application

    async def _invoke(self, request: web.Request) -> web.Response:
        request_id = request[_REQUEST_ID]
        if self._credentials:
            authentication.check(request.method, request.path, request.headers, self._credentials)
        pool = self._pool(request)
        asynchronous = request.headers.get("x-fc-invocation-type", "Sync") == "Async"
        event = await _body(request, ASYNC_BYTES if asynchronous else SYNC_BYTES)
        if asynchronous:
            later = asyncio.get_running_loop().run_in_executor(self._workers, _invoke_later, pool, event, request_id)
            self._background.add(later)
            later.add_done_callback(self._background.discard)
            return web.Response(status=202, headers={"X-Fc-Request-Id": request_id})
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(self._workers, pool.invoke, event, request_id)
        except ExhaustedError:
            raise FunctionComputeError(
                429, "ResourceExhausted", "all instances that the function may have are busy"
            ) from None
        return _answer(outcome, request_id, tail=request.headers.get("x-fc-log-type") == "Tail")

    def _pool(self, request: web.Request) -> Pool:
        name = request.match_info["function"]
        service, _, qualifier = request.match_info.get("service", "").partition(".")
        qualifier = qualifier or request.query.get("qualifier", _QUALIFIER)
        pool = self._pools.get(name)
        if pool is None:
            where = f"function '{name}' does not exist" + (f" in service '{service}'" if service else "")
            raise FunctionComputeError(404, "FunctionNotFound", where)
        if qualifier != _QUALIFIER:
            raise FunctionComputeError(404, "AliasNotFound", f"alias '{qualifier}' of function '{name}' does not exist")
        return pool


def start(
    template: Template,
    *,
    credentials: Credentials | None = None,
    role_credentials: Callable[[Function], Credentials] | None = None,
    port: int = 0,
    instances: int = 16,
    log_folder: Path | None = None,
) -> FunctionComputeServer:
    """Serve a template's functions on 127.0.0.1; an instance starts with the first invocation that needs it.

    `credentials` is the key that has to sign calls (None: calls need no signature). `role_credentials` returns an
    instance's keys of its function's role, or raises FunctionComputeError (None: instances get `credentials`).
    `instances` is the limit for each function. `log_folder` is created and gets a new FUNCTION.log for each function.
    Raises MissingLayerError.
    """
    keys = role_credentials or (lambda _: credentials or Credentials("", ""))
    pools = {}
    if log_folder:
        log_folder.mkdir(parents=True, exist_ok=True)
    for function in template.functions.values():
        folders = layers.folders(function, template.path.parent)
        make_environment = partial(_instance_environment, template.account_id, function, keys, folders)
        log_file = log_folder / f"{function.name}.log" if log_folder else None
        if log_file:
            log_file.write_text("", encoding="utf-8")
        pools[function.name] = Pool(function, make_environment, instances, log_file)
    service = FunctionComputeServer(pools, credentials, threads=instances * len(pools) + 1)
    service._serve(port)  # noqa: SLF001 # only this function makes a server
    return service


def _instance_environment(
    account_id: str, function: Function, keys: Callable[[Function], Credentials], folders: tuple[Path, ...]
) -> InstanceEnvironment:
    return InstanceEnvironment(account_id, keys(function), folders)


@web.middleware
async def _answer_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give each request its id, and answer errors as JSON with the keys of both APIs, for the clients of both."""
    request_id = request[_REQUEST_ID] = new_request_id()
    try:
        return await handler(request)
    except FunctionComputeError as error:
        status, code, message = error.status, error.code, error.message
    except web.HTTPNotFound:
        status, code = 400, "PathNotSupported"
        message = f"'{request.method}' against '{request.path}' is not supported"
    except Exception:  # noqa: BLE001 # a client expects JSON also for a bug of the emulator
        _log.exception("%s %s failed in the emulator", request.method, request.path)
        status, code, message = 500, "InternalServerError", "an internal error has occurred. Please retry."
    body = {"ErrorCode": code, "ErrorMessage": message, "Code": code, "Message": message, "RequestId": request_id}
    return web.json_response(body, status=status, headers={"X-Fc-Request-Id": request_id})


async def _body(request: web.Request, limit: int) -> bytes:
    """Return the event; FunctionComputeError if it exceeds the limit, before the read if Content-Length says so."""
    refusal = FunctionComputeError(400, "EntityTooLarge", f"payload size exceeds maximum allowed size ({limit} bytes)")
    if (request.content_length or 0) > limit:
        raise refusal
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise refusal from None
    if len(body) > limit:
        raise refusal
    return body


def _invoke_later(pool: Pool, event: bytes, request_id: str) -> None:
    try:
        pool.invoke(event, request_id, wait=float(pool.function.timeout))
    except ExhaustedError:
        _log.warning("%s: asynchronous invocation %s dropped, no instance was free", pool.function.name, request_id)


def _answer(outcome: InvocationOutcome, request_id: str, *, tail: bool) -> web.Response:
    headers = {
        "X-Fc-Request-Id": request_id,
        "X-Fc-Invocation-Duration": f"{outcome.milliseconds:.2f}",
        "X-Fc-Max-Memory-Usage": f"{outcome.memory:.2f}",
    }
    if outcome.error_type:
        headers["X-Fc-Error-Type"] = outcome.error_type
    if tail:
        headers["X-Fc-Log-Result"] = base64.b64encode(outcome.log[-_TAIL_BYTES:]).decode()
    return web.Response(
        body=outcome.body,
        headers=headers,
        content_type="application/json" if outcome.error_type else "application/octet-stream",
    )
