"""Evaluates the part of JavaScript that a template's expressions may use.

Serverless Devs gives its expressions to a JavaScript engine. Here are: text, numbers, true, false and null; calls of
functions; names with dots; `+` of texts, `===`, `!==`, `||` and `condition ? one : other`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^']*'|\"[^\"]*\")|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_$][\w$]*)|"
    r"(?P<mark>===|!==|\|\||[()?:,.+]))"
)
_CONSTANTS = {"true": True, "false": False, "null": None}


class SyntaxUnknownError(Exception):
    """The text isn't of the part that is understood here."""


@dataclass(slots=True)
class Evaluation:
    """The evaluation of one expression; `call` gets a function's name and arguments, `look_up` a name with dots."""

    call: Callable[[str, list[Any]], Any]
    look_up: Callable[[str], Any]
    _tokens: list[tuple[str, str]] = field(default_factory=list)
    _at: int = 0

    def of(self, text: str) -> Any:
        """Return the value of an expression; raises SyntaxUnknownError."""
        self._tokens, self._at = _tokens(text), 0
        value = self._conditional()
        if self._at != len(self._tokens):
            raise SyntaxUnknownError(text)
        return value()

    def _conditional(self) -> Callable[[], Any]:
        """Return a function without arguments, so that only the chosen branch is evaluated."""
        condition = self._alternatives()
        if not self._take("?"):
            return condition
        one = self._conditional()
        self._need(":")
        other = self._conditional()
        return lambda: one() if condition() else other()

    def _alternatives(self) -> Callable[[], Any]:
        first = self._equality()
        if not self._take("||"):
            return first
        rest = self._alternatives()
        return lambda: first() or rest()

    def _equality(self) -> Callable[[], Any]:
        left = self._sum()
        for mark in ("===", "!=="):
            if self._take(mark):
                right = self._sum()
                return lambda: (left() == right()) is (mark == "===")
        return left

    def _sum(self) -> Callable[[], Any]:
        parts = [self._simple()]
        while self._take("+"):
            parts.append(self._simple())
        if len(parts) == 1:
            return parts[0]
        return lambda: "".join(plain(part()) for part in parts)

    def _simple(self) -> Callable[[], Any]:
        if self._take("("):
            inner = self._conditional()
            self._need(")")
            return inner
        kind, token = self._next()
        if kind == "text":
            return lambda: token[1:-1]
        if kind == "number":
            return lambda: json.loads(token)
        if kind != "name":
            raise SyntaxUnknownError(token)
        if token in _CONSTANTS:
            return lambda: _CONSTANTS[token]
        return self._call(token) if self._take("(") else self._name(token)

    def _call(self, name: str) -> Callable[[], Any]:
        arguments: list[Callable[[], Any]] = []
        while not self._take(")"):
            if arguments:
                self._need(",")
            arguments.append(self._conditional())
        return lambda: self.call(name, [argument() for argument in arguments])

    def _name(self, first: str) -> Callable[[], Any]:
        names = [first]
        while self._take("."):
            kind, token = self._next()
            if kind != "name":
                raise SyntaxUnknownError(token)
            names.append(token)
        return lambda: self.look_up(".".join(names))

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise SyntaxUnknownError
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, mark: str) -> bool:
        taken = self._tokens[self._at : self._at + 1] == [("mark", mark)]
        self._at += taken
        return taken

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            raise SyntaxUnknownError(mark)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise SyntaxUnknownError(text)
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


def plain(value: Any) -> str:
    """Return the text of a value inside other text, as JavaScript would write it."""
    return value if isinstance(value, str) else json.dumps(value)
