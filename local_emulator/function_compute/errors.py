"""An error of the service itself, not of a function."""

from __future__ import annotations


class FunctionComputeError(Exception):
    """`status` is HTTP's; code and message are those of the service's table of error codes (2026)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
