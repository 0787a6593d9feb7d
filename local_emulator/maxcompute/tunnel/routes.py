"""The Tunnel side's paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web


def add_routes(app: web.Application) -> None:
    """Serve the Tunnel paths, below ``/projects``."""
    del app
