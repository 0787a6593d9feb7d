"""A script as statements, and a statement as tokens to be read one after the other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot.tokenizer_core import Token, TokenType

from local_emulator.maxcompute.sql.dialect import end_of, place_of, tokenize
from local_emulator.maxcompute.sql.errors import Position, SqlError, parse_error
from local_emulator.maxcompute.types import DataType, TypeSyntaxError, parse_type_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    T = TypeVar("T")

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement's tokens (without its semicolon); their offsets are in the whole script."""

    script: str
    tokens: list[Token]

    @property
    def text(self) -> str:
        """As it was written."""
        return self.script[self.tokens[0].start : self.tokens[-1].end + 1]


def split(script: str) -> Iterator[Statement]:
    """The statements of a script, empty ones left out."""
    pending: list[Token] = []
    for token in tokenize(script):
        if token.token_type is not TokenType.SEMICOLON:
            pending.append(token)
        elif pending:
            yield Statement(script, pending)
            pending = []
    if pending:
        yield Statement(script, pending)


class Reader:
    """Reads a statement token by token; every ``expect`` fails with a parse error that names what was found."""

    def __init__(self, statement: Statement) -> None:
        self._script = statement.script
        self._tokens = statement.tokens
        self._words = [word for token in self._tokens for word in self._split(token)]
        self._at = 0

    @property
    def place(self) -> Position:
        """Where the next word is."""
        return place_of(self._script, self._words[self._at][1]) if self.more else end_of(self._script)

    @property
    def more(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._words)

    def accept(self, *words: str) -> bool:
        """Step over these words, if they come next."""
        coming = [text.upper() for text, _, kind in self._words[self._at : self._at + len(words)] if kind == "word"]
        if coming != list(words):
            return False
        self._at += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Step over these words."""
        for word in words:
            if not self.accept(word):
                raise self.unexpected(word)

    def end(self) -> None:
        """Nothing may be left."""
        if self.more:
            raise self.unexpected("the end of the statement")

    def name(self) -> str:
        """A name, back-quoted or not; words of the grammar too, as in ``partition BIGINT``. Lower case."""
        text, _, kind = self._peek()
        if kind == "quoted" or (kind == "word" and (text[0].isalpha() or text[0] == "_")):
            self._at += 1
            return text.lower()
        raise self.unexpected("a name")

    def string(self) -> str:
        """A string literal's value."""
        text, _, kind = self._peek()
        if kind != "string":
            raise self.unexpected("a string")
        self._at += 1
        return text

    def number(self) -> int:
        """A whole number."""
        text, _, kind = self._peek()
        if kind != "number" or not text.isdecimal():
            raise self.unexpected("a whole number")
        self._at += 1
        return int(text)

    def constant(self) -> str:
        """A string's value, or a number as it's written (with its sign)."""
        sign = "-" if self.accept("-") else ""
        text, _, kind = self._peek()
        if kind not in ("string", "number") or (sign and kind == "string"):
            raise self.unexpected("a string or a number")
        self._at += 1
        return sign + text

    def type(self) -> DataType:
        """A column's type."""
        offset = self._peek()[1]
        try:
            found, end = parse_type_at(self._script, offset)
            found.require()
        except TypeSyntaxError as error:
            raise parse_error(f"invalid data type, {error}", self.place) from error
        while self.more and self._words[self._at][1] < end:
            self._at += 1
        return found

    def listed(self, item: Callable[[], T]) -> list[T]:
        """One or more items with commas between."""
        items = [item()]
        while self.accept(","):
            items.append(item())
        return items

    def in_parentheses(self, item: Callable[[], T]) -> list[T]:
        """A list in parentheses."""
        self.expect("(")
        items = self.listed(item)
        self.expect(")")
        return items

    def rest(self) -> Statement:
        """What is left, as a statement of its own."""
        offset = self._peek()[1]
        return Statement(self._script, [token for token in self._tokens if token.start >= offset])

    def unexpected(self, expected: str) -> SqlError:
        """The parse error for what comes next."""
        found = f"invalid token '{self._words[self._at][0]}'" if self.more else "unexpected end"
        return parse_error(f"{found}, expect {expected}", self.place)

    def _peek(self) -> tuple[str, int, str]:
        if not self.more:
            raise self.unexpected("more")
        return self._words[self._at]

    def _split(self, token: Token) -> Iterator[tuple[str, int, str]]:
        """A token as words: sqlglot joins some keywords to one token (``PARTITIONED BY``)."""
        if token.token_type is TokenType.STRING:
            yield token.text, token.start, "string"
        elif token.token_type is TokenType.IDENTIFIER:
            yield token.text, token.start, "quoted"
        elif token.token_type is TokenType.NUMBER:
            yield token.text, token.start, "number"
        else:
            for match in _WORD.finditer(self._script, token.start, token.end + 1):
                yield match[0], match.start(), "word"
