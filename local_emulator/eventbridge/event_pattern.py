"""EventBridge's event patterns: which events a stream delivers.

A pattern is a JSON object with the structure of an event. Each of its leaves is an array of alternatives: values, or
objects with one operator. An event matches if it matches at every leaf. Operators and rules are from EventBridge's page
on event patterns (August 2026), which the page on patterns of event streams refers to. Assumed: numbers are compared by
value (an old version of the page compares their texts), and a field that is an array matches if one of its items does,
and with anything-but if none of its items is excluded.
"""

from __future__ import annotations

import ipaddress
import operator
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Matches: TypeAlias = Callable[[Any], bool]

EVERYTHING = "{}"
"""The pattern that all events match."""

_COMPARISONS = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MOST_COMPARISONS = 2


class PatternError(Exception):
    """A pattern is invalid; `faults` has all reasons, each with its place."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


_ABSENT = object()
"""The value of a field that an event doesn't have."""


def matcher(text: str) -> Matches:
    """Return a function that says whether an event (an object as decoded from JSON) matches; PatternError."""
    try:
        pattern = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise PatternError([f"must be a JSON object: {error}"]) from None
    faults: list[str] = []
    matches = _object(pattern, "", faults)
    if faults:
        raise PatternError(faults)
    return matches


def _object(pattern: object, place: str, faults: list[str]) -> Matches:
    if not isinstance(pattern, dict):
        faults.append(
            f"{place or 'the pattern'}: expected an object or an array of alternatives, found {pattern!r:.60}"
        )
        return _always
    fields: dict[str, Matches] = {}
    for name, inner in pattern.items():
        within = f"{place}.{name}" if place else name
        fields[name] = _leaf(inner, within, faults) if isinstance(inner, list) else _object(inner, within, faults)

    def matches(value: Any) -> bool:
        known: Mapping[str, Any] = value if isinstance(value, dict) else {}
        return all(matches_field(known.get(name, _ABSENT)) for name, matches_field in fields.items())

    return matches


def _leaf(alternatives: list[Any], place: str, faults: list[str]) -> Matches:
    if not alternatives:
        faults.append(f"{place}: expected at least one value or operator, found an empty array")
    tests = [_alternative(alternative, place, faults) for alternative in alternatives]
    return lambda value: any(test(value) for test in tests)


def _alternative(alternative: Any, place: str, faults: list[str]) -> Matches:
    if isinstance(alternative, list):
        faults.append(f"{place}: expected values and operators, found an array in the array")
        return _always
    if not isinstance(alternative, dict):
        return _of_any_item(lambda value: _equal(value, alternative))
    [*names] = alternative
    if len(names) != 1 or names[0] not in _OPERATORS:
        faults.append(f"{place}: expected one operator of {', '.join(_OPERATORS)}; found {', '.join(names) or 'none'}")
        return _always
    try:
        return _OPERATORS[names[0]](alternative[names[0]])
    except _OperandError as error:
        faults.append(f"{place}: {names[0]} needs {error}; found {alternative[names[0]]!r:.60}")
        return _always


class _OperandError(Exception):
    """An operator has an operand of the wrong kind; the text says what it needs."""


def _text(part: Callable[[str, str], bool]) -> Callable[[Any], Matches]:
    def build(operand: Any) -> Matches:
        if not isinstance(operand, str):
            raise _OperandError("a text")
        return _of_any_item(lambda value: isinstance(value, str) and part(value, operand))

    return build


def _anything_but(operand: Any) -> Matches:
    if isinstance(operand, dict):
        prefix = operand.get("prefix")
        if len(operand) != 1 or not isinstance(prefix, str):
            raise _OperandError('a text, a number, an array of them, or {"prefix": text}')
        return _of_every_item(lambda value: not (isinstance(value, str) and value.startswith(prefix)))
    excluded = operand if isinstance(operand, list) else [operand]
    if not excluded or any(isinstance(value, dict | list) for value in excluded):
        raise _OperandError('a text, a number, an array of them, or {"prefix": text}')
    return _of_every_item(lambda value: not any(_equal(value, other) for other in excluded))


def _numeric(operand: Any) -> Matches:
    needs = 'comparisons such as [">", 0, "<=", 5]'
    if not isinstance(operand, list) or len(operand) not in range(2, 2 * _MOST_COMPARISONS + 1, 2):
        raise _OperandError(needs)
    signs, numbers = operand[::2], operand[1::2]
    if not all(isinstance(sign, str) and sign in _COMPARISONS for sign in signs) or not all(map(_is_number, numbers)):
        raise _OperandError(needs)
    pairs = [(_COMPARISONS[sign], number) for sign, number in zip(signs, numbers, strict=True)]
    return _of_any_item(lambda value: _is_number(value) and all(compare(value, number) for compare, number in pairs))


def _cidr(operand: Any) -> Matches:
    try:
        network = ipaddress.IPv4Network(operand if isinstance(operand, str) else "", strict=False)
    except ValueError:
        raise _OperandError("a block of IPv4 addresses such as 10.0.0.0/24") from None

    def is_inside(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.IPv4Address(value) in network
        except ValueError:
            return False

    return _of_any_item(is_inside)


def _exists(operand: Any) -> Matches:
    if not isinstance(operand, bool):
        raise _OperandError("true or false")
    return lambda value: (value is not _ABSENT) is operand


_OPERATORS: dict[str, Callable[[Any], Matches]] = {
    "prefix": _text(str.startswith),
    "suffix": _text(str.endswith),
    "contains": _text(lambda value, part: part in value),
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _cidr,
    "exists": _exists,
}


def _of_any_item(test: Matches) -> Matches:
    """Return a test of a field: of its value, or if its value is an array of the array's items."""
    return lambda value: any(map(test, value)) if isinstance(value, list) else test(value)


def _of_every_item(test: Matches) -> Matches:
    def matches(value: Any) -> bool:
        return value is not _ABSENT and (all(map(test, value)) if isinstance(value, list) else test(value))

    return matches


def _equal(value: Any, wanted: Any) -> bool:
    """Compare two JSON values; unlike in Python, true isn't 1."""
    return value is not _ABSENT and isinstance(value, bool) is isinstance(wanted, bool) and bool(value == wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _always(_: Any) -> bool:
    return True
