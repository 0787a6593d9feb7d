"""The control plane's HTTP server: all products on one port; version and action, or the path, select the action."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from local_emulator.control_plane import dispatch, faults, sts
from local_emulator.control_plane.authentication import Gate
from local_emulator.control_plane.dispatch import Action, Call, Reply, Rules
from local_emulator.control_plane.errors import ApiError, Refusal, RefusedError
from local_emulator.control_plane.eventbridge import emulator_api
from local_emulator.control_plane.function_compute import object_storage
from local_emulator.control_plane.function_compute import product as function_compute
from local_emulator.control_plane.function_compute.invocations import too_large
from local_emulator.control_plane.function_compute.object_storage import ObjectStorage
from local_emulator.control_plane.identity import AccessKey, AccessKeys, RamPrincipal
from local_emulator.control_plane.products import PRODUCTS
from local_emulator.control_plane.ram.users import add_user
from local_emulator.control_plane.request_log import Entry, RequestLog, without_secrets
from local_emulator.control_plane.signature import SIGNATURE_PARAMETERS, Message
from local_emulator.control_plane.state import AccountState
from local_emulator.control_plane.surroundings import Surroundings
from local_emulator.foundation.admission import admit
from local_emulator.foundation.clock import Clock
from local_emulator.foundation.loop_thread import LoopThread
from local_emulator.foundation.stoppable import Stoppable
from local_emulator.function_compute.errors import FunctionComputeError
from local_emulator.function_compute.instances import new_request_id
from local_emulator.function_compute.surroundings import Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from local_emulator.control_plane.dispatch import Product
    from local_emulator.control_plane.eventbridge.running import RunningStreams
    from local_emulator.function_compute.runner import FunctionRunner
    from local_emulator.function_compute.template import Function

_log = logging.getLogger(__name__)
ACCOUNT_ID = "1000000000000001"
BODY_BYTES = 150 << 20  # code as base64 in a request may have 100 MB (control plane facts, section f)
LOG_PATH = "/emulator/requests"
INSTANCES_PATH = "/emulator/instances"
STREAMS_PATH = "/emulator/streams"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
_THREADS = 16
_WAITING_THREADS = 512  # invocations at the same time, each for as long as the function takes
ROLE_LIFE = timedelta(hours=36)
"""The life of the temporary keys that Function Compute gives to an instance."""
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE"})
_UNKNOWN_PATH = "unknown_path"
_FORM = "application/x-www-form-urlencoded"
_FUNCTION_COMPUTE = {*function_compute.EARLIER_VERSIONS, function_compute.PRODUCT.version}


@dataclass(frozen=True, slots=True)
class ControlPlaneSettings:
    """The control plane's account, its owner's access key, and where its state is kept."""

    access_id: str = "ak"
    access_key: str = field(default="sk", repr=False)
    account_id: str = ACCOUNT_ID
    data_dir: Path | None = None
    rules: Rules = field(default_factory=Rules)
    surroundings: Surroundings = field(default_factory=Surroundings)


@dataclass(slots=True)
class _Work:
    """A request in progress: its content, and the caller and the error code for the answer and the log."""

    request: web.Request
    product: Product | None
    action: str
    parameters: Mapping[str, str]
    form: Mapping[str, str]
    request_id: str
    principal: str = ""
    code: str = ""
    logged: bool = False


class ControlPlaneApplication:
    """The web application: its state, its log, its clock, and the handlers of requests."""

    def __init__(self, settings: ControlPlaneSettings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.state = AccountState(settings.data_dir)
        self.log = RequestLog()
        self._gate = Gate(self.state, clock)
        self._workers = ThreadPoolExecutor(_THREADS, "control-plane")
        self._waiting = ThreadPoolExecutor(_WAITING_THREADS, "invocation")
        functions = settings.surroundings.functions
        functions.runner.account_id, functions.runner.keys = settings.account_id, self.assume
        self._storage = ObjectStorage(settings.account_id, self.state, clock, functions)
        if settings.data_dir:
            functions.contents.keep_in(settings.data_dir / "code")
        owner = RamPrincipal("Account", settings.account_id, settings.account_id)
        keys = self.state.part(AccessKeys).keys
        for key_id, key in list(keys.items()):
            if key.principal.kind == "Account":  # from an earlier start: the owner's only key is in the settings
                del keys[key_id]
            else:
                settings.surroundings.register_key(key_id, key)
        keys[settings.access_id] = AccessKey(settings.access_key, owner)
        self._rpc = {product.version: product for product in PRODUCTS if not product.routes}

    def application(self) -> web.Application:
        """Return the aiohttp application; its clean-up ends the threads."""
        app = web.Application(client_max_size=BODY_BYTES, middlewares=[admit])
        for product in PRODUCTS:
            for route, action in product.routes.items():
                method, _, path = route.partition(" ")
                app.router.add_route(method, path, partial(self._answer, product=product, action=action))
        faults.install(app, PRODUCTS, self.clock)
        settings = self.settings
        emulator_api.add_routes(app, settings.access_id, settings.access_key, settings.surroundings)
        app.router.add_get(INSTANCES_PATH, self._show_instances)
        app.router.add_get(LOG_PATH, self._show_log)
        app.router.add_delete(LOG_PATH, self._clear_log)
        app.router.add_get(
            f"{self.settings.surroundings.functions.downloads}/{{name:[0-9a-f]+}}.zip", self._storage.get
        )
        app.router.add_get(STREAMS_PATH, self._show_streams)
        app.router.add_route("*", f"/{{{_UNKNOWN_PATH}:.*}}", self._answer_rpc)
        app.on_cleanup.append(self._close)
        return app

    async def _answer_rpc(self, request: web.Request) -> web.StreamResponse:
        headers = request.headers
        if request.method == "PUT" and headers.get("Authorization", "").startswith(object_storage.SCHEME):
            return await self._storage.put(request)
        parameters = {**request.query, **await _form(request)}
        version = headers.get("x-acs-version") or parameters.get("Version", "")
        action = headers.get("x-acs-action") or parameters.get("Action", "")
        product = self._rpc.get(version) if request.path == "/" else None
        if request.path.split("/")[1] in _FUNCTION_COMPUTE:
            product, action = function_compute.PRODUCT, ""
        return await self._answer(request, product=product, action=action)

    async def _answer(self, request: web.Request, *, product: Product | None, action: str) -> web.StreamResponse:
        form = await _form(request)
        parameters = {
            name: value
            for name, value in {**request.query, **form, **request.match_info}.items()
            if name not in SIGNATURE_PARAMETERS and name != _UNKNOWN_PATH
        }
        request_id = new_request_id() if product is function_compute.PRODUCT else str(uuid.uuid4()).upper()
        work = _Work(request, product, action, parameters, form, request_id)
        if product is None:
            return await self._carry_out(work)
        response = await faults.inject(
            request, product, action, lambda _: self._carry_out(work), partial(_refusal, work=work)
        )
        if not work.logged:
            disconnected = request.transport is None or request.transport.is_closing()
            self._record(work, 0 if disconnected else response.status)
        return response

    async def _carry_out(self, work: _Work) -> web.Response:
        request, product = work.request, work.product
        try:
            action = _action(product, work.action, request)
            body = await _body(request, action.most_bytes or BODY_BYTES)
            message = Message(request.method, request.raw_path, request.headers, body, work.form)
            _check_scheme(product, message)
            key = self._gate.enter(message)
            work.principal = key.principal.arn
            call = self._call(work, key, body)
            threads = self._waiting if action.waits else self._workers
            answer = await asyncio.get_running_loop().run_in_executor(threads, dispatch.run, action, call)
            response = _response(answer, work)
        except Exception as error:  # noqa: BLE001 - every error is answered
            response = _refusal(_failure(error, product, work.action), work)
        self._record(work, response.status)
        return response

    def _record(self, work: _Work, status: int) -> None:
        work.logged = True
        product = work.product.name if work.product else ""
        parameters = without_secrets(work.parameters)
        self.log.add(Entry(self.clock.now(), work.principal, product, work.action, parameters, status, work.code))

    def _call(self, work: _Work, key: AccessKey, body: bytes) -> Call:
        settings = self.settings
        return Call(
            work.action,
            work.parameters,
            key,
            settings.account_id,
            self.clock.now(),
            self.state,
            settings.rules,
            settings.surroundings,
            body,
            work.request.headers,
            work.request_id,
        )

    def assume(self, function: Function) -> Credentials:
        """Return temporary keys of a function's role; FunctionComputeError if the role can't be assumed."""
        if not function.role:
            return Credentials("", "")
        try:
            key_id, key = self.issue_to_service(function.role.rpartition("/")[2], "fc.aliyuncs.com", ROLE_LIFE)
        except ApiError as error:
            raise FunctionComputeError(
                403, "AccessDenied", f"{function.role} can't be assumed: {error.message}"
            ) from error
        ends = self.clock.now() + ROLE_LIFE

        def seconds_left() -> float:
            return (ends - self.clock.now()).total_seconds()

        return Credentials(key_id, key.secret, key.token, seconds_left)

    def issue_to_service(self, role: str, service: str, life: timedelta) -> tuple[str, AccessKey]:
        """Issue a key (see `sts.issue_to_service`) and register it with the other services."""
        account, now = self.settings.account_id, self.clock.now()
        key_id, key = sts.issue_to_service(self.state, account, role, service, now=now, life=life)
        self.settings.surroundings.register_key(key_id, key)
        return key_id, key

    async def _show_streams(self, _: web.Request) -> web.Response:
        return web.json_response(self.settings.surroundings.streams.describe(), dumps=_compact)

    async def _show_log(self, _: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(list(self.log)), content_type="application/json")

    async def _show_instances(self, _: web.Request) -> web.Response:
        status = self.settings.surroundings.functions.runner.status()
        return web.Response(body=msgspec.json.encode(status), content_type="application/json")

    async def _clear_log(self, _: web.Request) -> web.Response:
        self.log.clear()
        return web.Response(status=204)

    async def _close(self, _: web.Application) -> None:
        self._workers.shutdown()
        self._waiting.shutdown()
        self.state.save()


class ControlPlaneServer(Stoppable):
    """A running control plane in a thread of its own; a context manager that stops it."""

    def __init__(self, host: str, port: int, settings: ControlPlaneSettings, clock: Clock) -> None:
        self.plane = ControlPlaneApplication(settings, clock)
        self._thread = LoopThread("control-plane")
        self._runner = web.AppRunner(
            self.plane.application(), access_log=None, auto_decompress=False, shutdown_timeout=STOP_SECONDS / 2
        )
        try:
            self._thread.run(self._listen(host, port), START_SECONDS)
        except BaseException:
            self.stop()
            raise
        self.endpoint = f"{host}:{self._runner.addresses[0][1]}"

    @property
    def url(self) -> str:
        """The server's URL; ``endpoint``, as the SDKs expect it, has no scheme."""
        return f"http://{self.endpoint}"

    @property
    def state(self) -> AccountState:
        """The control plane's state; hold its lock to read or change it."""
        return self.plane.state

    @property
    def log(self) -> RequestLog:
        """The received calls."""
        return self.plane.log

    @property
    def streams(self) -> RunningStreams:
        """The running event streams."""
        return self.plane.settings.surroundings.streams

    @property
    def functions(self) -> FunctionRunner:
        """The functions that can be invoked."""
        return self.plane.settings.surroundings.functions.runner

    @property
    def clock(self) -> Clock:
        """The emulator's clock."""
        return self.plane.clock

    @property
    def account_id(self) -> str:
        """The account's number."""
        return self.plane.settings.account_id

    def add_user(self, name: str, *documents: str) -> tuple[str, str]:
        """Add a RAM user with these policies (JSON texts); return the id and the secret of its access key."""
        key_id, key = add_user(self.state, self.account_id, name, self.clock.now(), *documents)
        self.plane.settings.surroundings.register_key(key_id, key)
        return key_id, key.secret

    def stop(self) -> None:
        """End streams, instances and open connections, and save the state; a second call does nothing."""
        if self._thread.closed:
            return
        self.functions.stop()
        self._thread.run(self._runner.cleanup(), STOP_SECONDS)
        self.plane.settings.surroundings.streams.close()
        self.plane.settings.surroundings.functions.close()
        self._thread.close()

    async def _listen(self, host: str, port: int) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()


def start(
    data_dir: Path | None = None,
    *,
    access_id: str = "ak",
    access_key: str = "sk",
    account_id: str = ACCOUNT_ID,
    rules: Rules | None = None,
    surroundings: Surroundings | None = None,
    clock: Clock | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> ControlPlaneServer:
    """Start a control plane, on a free port if ``port`` is 0; StateError if the state in ``data_dir`` can't be read."""
    settings = ControlPlaneSettings(
        access_id, access_key, account_id, data_dir, rules or Rules(), surroundings or Surroundings()
    )
    return ControlPlaneServer(host, port, settings, clock or Clock())


async def _form(request: web.Request) -> dict[str, str]:
    """Return the fields of a form; if a name has several values, the last."""
    if request.content_type != _FORM:
        return {}
    text = (await request.read()).decode("utf-8", errors="replace")
    return dict(parse_qsl(text, keep_blank_values=True))


def _response(answer: Mapping[str, object] | Reply, work: _Work) -> web.Response:
    if isinstance(answer, Reply):
        response = web.Response(body=answer.body, status=answer.status, headers=answer.headers)
    else:
        paths = work.product and work.product.routes
        body = dict(answer) if paths else {"RequestId": work.request_id, **answer}
        response = web.json_response(body, dumps=_compact)
    return _with_request_id(response, work)


async def _body(request: web.Request, limit: int) -> bytes:
    """Return the body; ApiError if it exceeds the limit, before the body is read if Content-Length says so."""
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large(limit) from None
    if len(body) > limit:
        raise too_large(limit)
    return body


def _action(product: Product | None, name: str, request: web.Request) -> Action:
    method = request.method
    action = product.actions.get(name) if product else None
    if action is None and product is function_compute.PRODUCT:
        raise ApiError(400, "PathNotSupported", f"'{method}' against '{request.path}' is not supported")
    if action is None or method not in _METHODS:
        raise ApiError(
            404,
            "InvalidAction.NotFound",
            f"Specified api is not found, please check your url and method: {method} {name or '(no action)'} of "
            f"{product.name if product else 'that version or path'} is not emulated.",
        )
    return action


def _check_scheme(product: Product | None, message: Message) -> None:
    """Refuse Function Compute's own signature in calls of other products."""
    if product is not function_compute.PRODUCT and message.headers.get("authorization", "").startswith("FC "):
        raise RefusedError(
            Refusal.INCOMPLETE, "Expected one of the signatures of this product, found Function Compute's."
        )


def _failure(error: Exception, product: Product | None, action: str) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RefusedError) and product:
        return product.error(error)
    _log.error("%s failed", action, exc_info=error)
    return ApiError(500, "InternalError", "The emulator failed: its log says how.")


def _refusal(error: ApiError, work: _Work) -> web.Response:
    work.code = error.code
    host = {} if work.product is function_compute.PRODUCT else {"HostId": work.request.host}
    body = {"RequestId": work.request_id, **host, "Code": error.code, "Message": error.message, **error.fields}
    if work.request.path.split("/")[1] in function_compute.EARLIER_VERSIONS:
        body |= {"ErrorCode": error.code, "ErrorMessage": error.message}  # as FC 2.0's clients read them
    return _with_request_id(web.json_response(body, status=error.status, dumps=_compact), work)


def _with_request_id(response: web.Response, work: _Work) -> web.Response:
    response.headers["x-acs-request-id"] = response.headers["x-fc-request-id"] = work.request_id
    return response


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
