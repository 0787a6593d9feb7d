"""The statements of access control, and their parser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from local_emulator.maxcompute.access.objects import ACTIONS, find_action
from local_emulator.maxcompute.errors import ServiceError, invalid

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKEN = re.compile(r'`[^`\n]*`|"[^"\n]*"|[(),;=]|[^\s`"(),;=]+|\S')


@dataclass(frozen=True, slots=True)
class WhoAmI:
    """``whoami``."""


@dataclass(frozen=True, slots=True)
class Listing:
    """``list users``, ``list roles`` or ``list accountproviders``."""

    what: str


@dataclass(frozen=True, slots=True)
class UserChange:
    """``add user NAME`` or ``remove user NAME``."""

    add: bool
    user: str


@dataclass(frozen=True, slots=True)
class RoleChange:
    """``create role NAME`` or ``drop role NAME``."""

    add: bool
    role: str


@dataclass(frozen=True, slots=True)
class Place:
    """An object in a statement: its kind, and its name, which may contain the project."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class AclChange:
    """``grant ACTIONS on KIND NAME to user|role NAME`` or ``revoke ACTIONS on KIND NAME from user|role NAME``."""

    add: bool
    actions: tuple[str, ...]
    place: Place
    grantee: str
    to_role: bool


@dataclass(frozen=True, slots=True)
class HolderChange:
    """``grant ROLES to USER`` or ``revoke ROLES from USER``."""

    add: bool
    roles: tuple[str, ...]
    user: str


@dataclass(frozen=True, slots=True)
class ShowGrants:
    """``show grants [for [user|role] NAME]`` or ``describe role NAME``; without a name, the sender's grants."""

    name: str = ""
    of_role: bool = False


@dataclass(frozen=True, slots=True)
class ShowAcl:
    """``show acl for NAME on type KIND``, ``show grants on KIND NAME``."""

    place: Place


@dataclass(frozen=True, slots=True)
class PackageChange:
    """``install package NAME`` or ``uninstall package NAME``; the service answers these statements later."""

    package: str


Statement: TypeAlias = (
    WhoAmI | Listing | UserChange | RoleChange | AclChange | HolderChange | ShowGrants | ShowAcl | PackageChange
)


def parse(text: str) -> Statement:
    """Parse a statement, with or without semicolon; ServiceError ParseError has the position of the fault."""
    return _Parser(text).statement()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [(match[0], match.start()) for match in _TOKEN.finditer(text)]
        self._at = 0

    def statement(self) -> Statement:
        rules: list[tuple[str, Callable[[], Statement]]] = [
            ("WHOAMI", WhoAmI),
            ("LIST", self._listing),
            ("ADD USER", lambda: UserChange(add=True, user=self._principal())),
            ("REMOVE USER", lambda: UserChange(add=False, user=self._principal())),
            ("CREATE ROLE", lambda: RoleChange(add=True, role=self._name("a role"))),
            ("DROP ROLE", lambda: RoleChange(add=False, role=self._name("a role"))),
            ("GRANT", lambda: self._change(add=True)),
            ("REVOKE", lambda: self._change(add=False)),
            ("SHOW GRANTS ON", lambda: ShowAcl(self._place())),
            ("SHOW GRANTS", self._grants),
            ("SHOW ACL FOR", self._acl),
            ("DESCRIBE ROLE", lambda: ShowGrants(self._name("a role"), of_role=True)),
            ("DESC ROLE", lambda: ShowGrants(self._name("a role"), of_role=True)),
            ("INSTALL PACKAGE", lambda: PackageChange(self._name("a package"))),
            ("UNINSTALL PACKAGE", lambda: PackageChange(self._name("a package"))),
        ]
        for words, rule in rules:
            if self._accept(words):
                statement = rule()
                self._accept(";")
                if self._at < len(self._tokens):
                    raise self._unexpected("the end of the statement")
                return statement
        raise self._unexpected("a statement of access control")

    def _listing(self) -> Listing:
        for what in ("USERS", "ROLES", "ACCOUNTPROVIDERS"):
            if self._accept(what):
                return Listing(what.lower())
        raise self._unexpected("USERS, ROLES or ACCOUNTPROVIDERS")

    def _change(self, *, add: bool) -> Statement:
        self._accept("ROLE")
        words = [self._name("an action or a role")]
        while self._accept(","):
            words.append(self._name("an action or a role"))
        preposition = "TO" if add else "FROM"
        if not self._accept("ON"):
            self._expect(preposition)
            self._accept("USER")
            return HolderChange(add, tuple(words), self._principal())
        place = self._place()
        self._expect(preposition)
        to_role = self._accept("ROLE")
        if not to_role:
            self._accept("USER")
        grantee = self._name("a role") if to_role else self._principal()
        return AclChange(add, _actions(place.kind, words), place, grantee, to_role)

    def _grants(self) -> ShowGrants:
        if not self._accept("FOR"):
            return ShowGrants() if self._ended() else ShowGrants(self._principal())
        if self._accept("ROLE"):
            return ShowGrants(self._name("a role"), of_role=True)
        self._accept("USER")
        return ShowGrants(self._principal())

    def _acl(self) -> ShowAcl:
        name = self._name("an object")
        kind = "table"
        if self._accept("ON"):
            self._accept("TYPE")
            kind = self._kind()
        return ShowAcl(Place(kind, name))

    def _place(self) -> Place:
        kind = self._kind()
        return Place(kind, self._name(f"the name of a {kind}"))

    def _kind(self) -> str:
        for kind in ACTIONS:
            if self._accept(kind.upper()):
                return kind
        raise self._unexpected(f"one of {', '.join(ACTIONS)}")

    def _principal(self) -> str:
        """Read a user; a RAM role's name must be in back quotes, as on the service."""
        quoted = self._at < len(self._tokens) and self._tokens[self._at][0].startswith("`")
        name = self._name("a user")
        if "/" in name and not quoted:
            self._at -= 1
            raise self._unexpected("a RAM role's name in back quotes")
        return name

    def _name(self, expected: str) -> str:
        if self._ended() or self._tokens[self._at][0][0] in '(),;="':
            raise self._unexpected(expected)
        text = self._tokens[self._at][0].strip("`").strip()
        if not text:
            raise self._unexpected(expected)
        self._at += 1
        return text

    def _accept(self, words: str) -> bool:
        wanted = words.split()
        coming = [text.upper() for text, _ in self._tokens[self._at : self._at + len(wanted)]]
        if coming != wanted:
            return False
        self._at += len(wanted)
        return True

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise self._unexpected(word)

    def _ended(self) -> bool:
        return self._at >= len(self._tokens) or self._tokens[self._at][0] == ";"

    def _unexpected(self, expected: str) -> ServiceError:
        token, offset = self._tokens[self._at] if self._at < len(self._tokens) else ("", len(self._text))
        before = self._text[:offset]
        place = f"[{before.count(chr(10)) + 1},{offset - before.rfind(chr(10))}]"
        problem = f"invalid token '{token}'" if token else "unexpected end"
        return ServiceError(400, "ParseError", f"ODPS-0130161:{place} Parse exception - {problem}, expect {expected}")


def _actions(kind: str, words: list[str]) -> tuple[str, ...]:
    actions = []
    for word in words:
        action = find_action(kind, word.removeprefix("odps:"))
        if action is None:
            raise invalid(f"invalid Action value - odps:{word}; a {kind} has {', '.join(ACTIONS[kind])}")
        actions.append(action)
    return tuple(dict.fromkeys(actions))
