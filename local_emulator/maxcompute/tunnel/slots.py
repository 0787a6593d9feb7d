"""Slots: how many stream and upsert writes Tunnel takes in at once, over all of a project's clients."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from local_emulator.maxcompute.tunnel.answers import body
from local_emulator.maxcompute.tunnel.errors import tunnel_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Slots:
    """Counted in the event loop's thread alone; ``most`` None: any number."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._taken = 0

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Hold a slot for the block; whether there was one left."""
        free = self.most is None or self._taken < self.most
        self._taken += free
        try:
            yield free
        finally:
            self._taken -= free

    def require(self, count: int) -> None:
        """ServiceError SlotExceeded if a session asks for more slots than there are."""
        if self.most is not None and count > self.most:
            raise tunnel_error("SlotExceeded", f"{count} slots are asked for; there are {self.most}.")


SLOTS = web.AppKey("SLOTS", Slots)


@asynccontextmanager
async def slotted_body(request: web.Request) -> AsyncIterator[bytes]:
    """A write's whole body, and a slot for as long as the block takes; ServiceError SlotExceeded if none is left."""
    slots = request.app[SLOTS]
    with slots.one() as free:
        # Read in any case: a client that is still sending doesn't see an answer.
        pieces = await body(request)
        if not free:
            raise tunnel_error("SlotExceeded", f"All {slots.most} slots are taken.")
        yield b"".join(pieces)
