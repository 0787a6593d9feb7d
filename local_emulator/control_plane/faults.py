"""Faults of the control plane: the kinds of the local MaxCompute, for calls named ``Product.Action``.

A call can be throttled, fail with a 5xx, be carried out although its answer is lost, be late, or have an expired token.
The emulator's clock can be moved, too.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from local_emulator.control_plane.errors import ApiError, Refusal, RefusedError
from local_emulator.foundation import fault_api
from local_emulator.foundation.clock import CLOCK
from local_emulator.foundation.faults import FAULTS, Faults
from local_emulator.foundation.injection import apply_fault, stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from aiohttp import web

    from local_emulator.control_plane.dispatch import Product
    from local_emulator.foundation.clock import Clock
    from local_emulator.foundation.faults import Fault

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CODES: Mapping[int, str] = MappingProxyType({408: "RequestTimeout", 500: "InternalError", 503: "ServiceUnavailable"})
_THROTTLED = 429


def install(app: web.Application, products: Iterable[Product], clock: Clock) -> None:
    """Add the paths below ``/emulator`` that set faults; the local MaxCompute has the same paths."""
    names = sorted(f"{product.name}.{action}" for product in products for action in product.actions)
    app[FAULTS] = Faults(names)
    app[CLOCK] = clock
    fault_api.add_routes(app)
    app.on_shutdown.append(stop)


async def inject(
    request: web.Request, product: Product, action: str, handler: Handler, fail: Callable[[ApiError], web.Response]
) -> web.StreamResponse:
    """Carry a call out, or let its fault happen if one is set; `fail` makes the answer for an error."""
    faults = request.app[FAULTS]
    pending = faults.take(f"{product.name}.{action}", "", signed=True) if faults.armed else None
    if pending is None:
        return await handler(request)

    def refuse(_: web.Request, fault: Fault) -> web.Response:
        return fail(_error(product, fault))

    return await apply_fault(request, handler, pending, refuse)


def _error(product: Product, fault: Fault) -> ApiError:
    if fault.status is None:
        return product.error(RefusedError(Refusal.EXPIRED_TOKEN, "Specified SecurityToken is expired."))
    default = product.throttled if fault.status == _THROTTLED else _CODES.get(fault.status, "")
    return ApiError(fault.status, fault.code or default, fault.message or "A fault that was set.")
