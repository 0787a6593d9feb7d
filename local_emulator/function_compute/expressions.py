"""Resolves Serverless Devs' expressions such as `${env('NAME', 'default')}`, as far as templates here may use them.

The rules come from runs of `s preview` of @serverless-devs/s 3.1.10:

- An environment value is text, an empty value counts as unset, a default keeps its own type. A node that is a single
  expression keeps that expression's type.
- `${...}` is a name with dots, or JavaScript with a call and a quoted text. It may not be null, and can't hold braces.
- `<%- ... %>` is any JavaScript. If it is null, its key is left out, as is a key whose value is null in the template.

`s preview` leaves `config` to the component; this module resolves it. Not emulated: file(), path(), yaml(), output.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from local_emulator.function_compute.javascript import Evaluation, SyntaxUnknownError, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXPRESSION = re.compile(r"\$\{([^{}]*)\}")
_OPTIONAL = re.compile(r"<%-(.*?)%>", re.DOTALL)
_REFERENCE = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)+")
_CALL = re.compile(r"\(.*['\"].*\)", re.DOTALL)
_KNOWN = (
    "env('NAME', 'default'), json(env('NAME', '1')), vars.NAME, this.props.NAME, "
    "resources.R.props.NAME, config('AccountID')"
)


class _Unresolvable(Exception):  # noqa: N818 # never leaves this module: it becomes a fault
    pass


class Resolver:
    """Replaces the expressions of one document; collects those that it can't resolve in `faults`, with their paths."""

    def __init__(self, document: Mapping[str, Any], environment: Mapping[str, str], config: Mapping[str, str]) -> None:
        self.faults: list[str] = []
        self._document = document
        self._environment = environment
        self._config = config

    def resolve(self, node: Any, path: str, resource: str = "") -> Any:
        """Return a node with every expression replaced; `this` in an expression means the resource named `resource`."""
        return self._node(node, path, resource, ())

    def _node(self, node: Any, path: str, resource: str, trail: tuple[str, ...]) -> Any:
        if isinstance(node, dict):
            resolved = {key: self._node(value, f"{path}.{key}", resource, trail) for key, value in node.items()}
            return {key: value for key, value in resolved.items() if value is not None}
        if isinstance(node, list):
            return [self._node(value, f"{path}[{index}]", resource, trail) for index, value in enumerate(node)]
        if not isinstance(node, str):
            return node
        try:
            return self._text(node, path, resource, trail)
        except _Unresolvable as fault:
            self.faults.append(f"{path}: {fault}")
            return node

    def _text(self, text: str, path: str, resource: str, trail: tuple[str, ...]) -> Any:
        optional, whole = _OPTIONAL.fullmatch(text.strip()), _EXPRESSION.fullmatch(text)
        if optional:
            value = self._javascript(optional[1].strip(), resource, trail)
        elif whole:
            value = self._expression(whole[1].strip(), resource, trail)
        if optional or whole:
            return value if isinstance(value, str) else self._node(value, path, resource, trail)
        result = _EXPRESSION.sub(lambda match: plain(self._expression(match[1].strip(), resource, trail)), text)
        if "${" in result or "<%" in result:
            raise _Unresolvable(
                f"{text!r}: an expression can't hold braces or another expression; use a variable of vars"
            )
        return result

    def _expression(self, expression: str, resource: str, trail: tuple[str, ...]) -> Any:
        """Return the value of `${expression}`."""
        if _REFERENCE.fullmatch(expression):
            return self._reference(expression, resource, trail)
        if not _CALL.search(expression):
            raise _Unresolvable(f"${{{expression}}} isn't understood here; known are {_KNOWN}")
        value = self._javascript(expression, resource, trail)
        if value is None:
            raise _Unresolvable(f"${{{expression}}} is null; write <%- {expression} %> to leave the key out")
        return value

    def _javascript(self, expression: str, resource: str, trail: tuple[str, ...]) -> Any:
        try:
            return Evaluation(self._call, lambda name: self._reference(name, resource, trail)).of(expression)
        except SyntaxUnknownError:
            raise _Unresolvable(f"${{{expression}}} isn't understood here; known are {_KNOWN}") from None

    def _call(self, name: str, arguments: list[Any]) -> Any:
        if name == "json" and len(arguments) == 1:
            return _parsed(arguments[0])
        if name not in {"env", "config"} or not 1 <= len(arguments) <= 2:  # noqa: PLR2004 # a name and a default
            raise SyntaxUnknownError
        source = self._environment if name == "env" else self._config
        key, *default = arguments
        if source.get(key):
            return source[key]
        if default and default[0] is not None:
            return default[0]
        known = "" if name == "env" else f"; known are {', '.join(sorted(self._config))}"
        raise _Unresolvable(f"{name}('{key}') is not set and has no default; set it{known}")

    def _reference(self, expression: str, resource: str, trail: tuple[str, ...]) -> Any:
        if expression in trail:
            raise _Unresolvable(f"{' -> '.join((*trail, expression))} leads back to itself")
        names = expression.split(".")
        if names[0] == "this":
            names = ["resources", resource, *names[1:]]
        node: Any = self._document
        for name in names:
            if not isinstance(node, dict) or name not in node:
                raise _Unresolvable(
                    f"${{{expression}}}: the template has nothing called {name!r} there; add it or correct the name"
                )
            node = node[name]
        owner = names[1] if names[0] == "resources" else resource
        return self._text(node, expression, owner, (*trail, expression)) if isinstance(node, str) else node


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        raise _Unresolvable(f"expected a JSON value such as 10, found {text!r}; set it to a number") from None
