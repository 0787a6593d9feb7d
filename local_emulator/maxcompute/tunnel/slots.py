"""Slots: the number of stream and upsert writes that Tunnel accepts at the same time, for all clients together."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from local_emulator.maxcompute.tunnel.answers import body
from local_emulator.maxcompute.tunnel.errors import tunnel_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Slots:
    """A counter of used slots, for the event loop's thread alone; ``most`` None: no limit."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._taken = 0

    @contextmanager
    def hold(self) -> Iterator[bool]:
        """Hold a slot during the block; yield whether a slot was free."""
        free = self.most is None or self._taken < self.most
        self._taken += free
        try:
            yield free
        finally:
            self._taken -= free

    def require(self, count: int) -> None:
        """Raise ServiceError SlotExceeded if a session requests more slots than exist."""
        if self.most is not None and count > self.most:
            raise tunnel_error("SlotExceeded", f"{count} slots are requested; there are {self.most}.")


SLOTS = web.AppKey("SLOTS", Slots)


@asynccontextmanager
async def slotted_body(request: web.Request) -> AsyncIterator[bytes]:
    """Yield a write's whole body and hold a slot during the block; ServiceError SlotExceeded without a free slot."""
    slots = request.app[SLOTS]
    with slots.hold() as free:
        # Read the body in any case: a client doesn't see an answer while it sends.
        pieces = await body(request)
        if not free:
            raise tunnel_error("SlotExceeded", f"All {slots.most} slots are taken.")
        yield b"".join(pieces)
