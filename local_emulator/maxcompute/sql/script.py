"""A script as statements, and a reader of a statement's tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot.tokenizer_core import Token, TokenType

from local_emulator.maxcompute.sql.dialect import end_position, position_at, tokenize
from local_emulator.maxcompute.sql.errors import Position, SqlError, parse_error
from local_emulator.maxcompute.types import DataType, TypeSyntaxError, parse_type_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    T = TypeVar("T")

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Statement:
    """The tokens of a statement without its semicolon; their offsets count in the whole script."""

    script: str
    tokens: list[Token]

    @property
    def text(self) -> str:
        """The statement's text in the script."""
        return self.script[self.tokens[0].start : self.tokens[-1].end + 1]


def split(script: str) -> Iterator[Statement]:
    """Yield the statements of a script, without empty statements."""
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
    """Reads a statement word by word. A method that doesn't find its words raises a parse error that names the word."""

    def __init__(self, statement: Statement) -> None:
        self._script = statement.script
        self._tokens = statement.tokens
        self._words = [word for token in self._tokens for word in self._split(token)]
        self._at = 0

    @property
    def place(self) -> Position:
        """The position of the next word."""
        return position_at(self._script, self._words[self._at][1]) if self.more else end_position(self._script)

    @property
    def more(self) -> bool:
        """Whether there are more words."""
        return self._at < len(self._words)

    def accept(self, *words: str) -> bool:
        """Skip these words if they come next; return whether they did."""
        coming = [text.upper() for text, _, kind in self._words[self._at : self._at + len(words)] if kind == "word"]
        if coming != list(words):
            return False
        self._at += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Skip these words; SqlError if others come next."""
        for word in words:
            if not self.accept(word):
                raise self.unexpected(word)

    def end(self) -> None:
        """Raise SqlError if there are more words."""
        if self.more:
            raise self.unexpected("the end of the statement")

    def name(self) -> str:
        """Read a name, back-quoted or not, in lower case; also a keyword, as in ``partition BIGINT``."""
        text, _, kind = self._peek()
        if kind == "quoted" or (kind == "word" and (text[0].isalpha() or text[0] == "_")):
            self._at += 1
            return text.lower()
        raise self.unexpected("a name")

    def string(self) -> str:
        """Read a string literal's value."""
        text, _, kind = self._peek()
        if kind != "string":
            raise self.unexpected("a string")
        self._at += 1
        return text

    def number(self) -> int:
        """Read a whole number."""
        text, _, kind = self._peek()
        if kind != "number" or not text.isdecimal():
            raise self.unexpected("a whole number")
        self._at += 1
        return int(text)

    def constant(self) -> str:
        """Read a string's value, or a number's text with its sign."""
        sign = "-" if self.accept("-") else ""
        text, _, kind = self._peek()
        if kind not in ("string", "number") or (sign and kind == "string"):
            raise self.unexpected("a string or a number")
        self._at += 1
        return sign + text

    def type(self) -> DataType:
        """Read a column's type."""
        offset = self._peek()[1]
        try:
            type_, end = parse_type_at(self._script, offset)
            type_.require()
        except TypeSyntaxError as error:
            raise parse_error(f"invalid data type, {error}", self.place) from error
        while self.more and self._words[self._at][1] < end:
            self._at += 1
        return type_

    def listed(self, item: Callable[[], T]) -> list[T]:
        """Read one or more items with commas between them."""
        items = [item()]
        while self.accept(","):
            items.append(item())
        return items

    def in_parentheses(self, item: Callable[[], T]) -> list[T]:
        """Read a list in parentheses."""
        self.expect("(")
        items = self.listed(item)
        self.expect(")")
        return items

    def rest(self) -> Statement:
        """Return the rest of the words as a statement."""
        offset = self._peek()[1]
        return Statement(self._script, [token for token in self._tokens if token.start >= offset])

    def unexpected(self, expected: str) -> SqlError:
        """Return the parse error for the next word."""
        problem = f"invalid token '{self._words[self._at][0]}'" if self.more else "unexpected end"
        return parse_error(f"{problem}, expect {expected}", self.place)

    def _peek(self) -> tuple[str, int, str]:
        if not self.more:
            raise self.unexpected("more")
        return self._words[self._at]

    def _split(self, token: Token) -> Iterator[tuple[str, int, str]]:
        """Yield a token's words (text, offset, kind): sqlglot makes one token of phrases like ``PARTITIONED BY``."""
        if token.token_type is TokenType.STRING:
            yield token.text, token.start, "string"
        elif token.token_type is TokenType.IDENTIFIER:
            yield token.text, token.start, "quoted"
        elif token.token_type is TokenType.NUMBER:
            yield token.text, token.start, "number"
        else:
            for match in _WORD.finditer(self._script, token.start, token.end + 1):
                yield match[0], match.start(), "word"
