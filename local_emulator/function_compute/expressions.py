"""Resolves Serverless Devs' expressions such as `${env('NAME', 'default')}`, as far as template.yml may use them.

The rules come from runs of `s preview` of @serverless-devs/s 3.1.10: an environment value is text, an empty value
counts as unset, a default keeps its own type, and a node that is a single expression keeps that expression's type.
`s preview` leaves `config` to the component; this module resolves it. Not emulated: file(), path(), output. Both
refuse an expression inside another expression.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXPRESSION = re.compile(r"\$\{([^{}]*)\}")
_TEXT = r"'[^']*'|\"[^\"]*\""
_CALL = re.compile(rf"(?P<name>env|config)\(\s*(?P<key>{_TEXT})\s*(?:,\s*(?P<default>{_TEXT}|[\w.+-]+)\s*)?\)")
_JSON = re.compile(r"json\((?P<inner>.*)\)")
_REFERENCE = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)+")
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
        if isinstance(node, dict):
            return {key: self.resolve(value, f"{path}.{key}", resource) for key, value in node.items()}
        if isinstance(node, list):
            return [self.resolve(value, f"{path}[{index}]", resource) for index, value in enumerate(node)]
        if not isinstance(node, str):
            return node
        try:
            return self._text(node, resource, ())
        except _Unresolvable as fault:
            self.faults.append(f"{path}: {fault}")
            return node

    def _text(self, text: str, resource: str, trail: tuple[str, ...]) -> Any:
        whole = _EXPRESSION.fullmatch(text)
        if whole:
            return self._expression(whole[1].strip(), resource, trail)
        result = _EXPRESSION.sub(lambda match: _plain(self._expression(match[1].strip(), resource, trail)), text)
        if "${" in result:
            raise _Unresolvable(
                f"{text!r}: an expression can't hold braces or another expression; use a variable of vars"
            )
        return result

    def _expression(self, expression: str, resource: str, trail: tuple[str, ...]) -> Any:
        if expression in trail:
            raise _Unresolvable(f"{' -> '.join((*trail, expression))} leads back to itself")
        if call := _CALL.fullmatch(expression):
            return self._call(call)
        if inner := _JSON.fullmatch(expression):
            return _parsed(self._expression(inner["inner"].strip(), resource, trail), expression)
        if _REFERENCE.fullmatch(expression):
            return self._reference(expression, resource, trail)
        raise _Unresolvable(f"${{{expression}}} isn't understood here; known are {_KNOWN}")

    def _call(self, call: re.Match[str]) -> Any:
        name, key, default = call["name"], call["key"][1:-1], call["default"]
        source = self._environment if name == "env" else self._config
        if source.get(key):
            return source[key]
        if default is not None:
            return _literal(default)
        known = "" if name == "env" else f"; known are {', '.join(sorted(self._config))}"
        raise _Unresolvable(f"{name}('{key}') is not set and has no default; set it{known}")

    def _reference(self, expression: str, resource: str, trail: tuple[str, ...]) -> Any:
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
        return self._text(node, owner, (*trail, expression)) if isinstance(node, str) else node


def _literal(text: str) -> Any:
    """Return a default as JavaScript would read it: quoted text, a number, true, false."""
    if text[0] in "'\"":
        return text[1:-1]
    return _parsed(text, text)


def _parsed(text: Any, expression: str) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        raise _Unresolvable(
            f"{expression}: expected a JSON value such as 10, found {text!r}; set it to a number"
        ) from None


def _plain(value: Any) -> str:
    """Return the text of a value inside other text, as JavaScript would write it."""
    return value if isinstance(value, str) else json.dumps(value)
