"""Errors of the emulated service itself, not of a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class FunctionComputeError(Exception):
    """An error answer: HTTP status, and code and message from the service's table of error codes (2026)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class TemplateError(Exception):
    """The template can't be deployed here; `faults` holds every reason, each with its path and what to do."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        super().__init__(f"{path} has {len(faults)} fault(s):" + "".join(f"\n  - {fault}" for fault in faults))
        self.faults = tuple(faults)


class MissingLayerError(Exception):
    """The folder of a layer that the template names doesn't exist."""
