"""Seeds a bug into production code for the length of a test."""

from __future__ import annotations

import inspect
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Change:
    """In the source of a function or method, `old` becomes `new`."""

    function: Callable[..., Any]
    old: str
    new: str


@contextmanager
def seeded(*changes: Change) -> Iterator[None]:
    """The changes, made to the functions wherever they are referred to."""
    functions: list[Any] = [getattr(change.function, "__func__", change.function) for change in changes]
    before = [(function, function.__code__) for function in functions]
    try:
        for function, change in zip(functions, changes, strict=True):
            function.__code__ = _changed(change)
        yield
    finally:
        for function, code in before:
            function.__code__ = code


def _changed(change: Change) -> Any:
    """The function's code after the change; its module is compiled again, in a namespace that is thrown away."""
    module = sys.modules[change.function.__module__]
    source, function = inspect.getsource(module), inspect.getsource(change.function)
    assert function.count(change.old) == 1, f"{change.function.__qualname__} doesn't hold {change.old!r} once"
    assert source.count(function) == 1
    scratch = {name: value for name, value in vars(module).items() if name.startswith("__")}
    compiled = compile(source.replace(function, function.replace(change.old, change.new)), str(module.__file__), "exec")
    exec(compiled, scratch)  # noqa: S102 - the project's own source
    found: Any = scratch
    for name in change.function.__qualname__.split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    return found.__code__
