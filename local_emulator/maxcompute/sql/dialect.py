"""MaxCompute's grammar for sqlglot: Hive's grammar, in which each function stays a name with arguments.

sqlglot interprets functions as Hive and Spark do. The meaning of MaxCompute's functions is in `functions` alone.
"""

from __future__ import annotations

import logging
from typing import ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.hive import Hive
from sqlglot.parser import Parser
from sqlglot.parsers.hive import HiveParser
from sqlglot.tokenizer_core import Token, TokenType

from local_emulator.maxcompute.sql.errors import Position, parse_error, unsupported

# sqlglot logs statements that it can't parse; here such statements become errors.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

# The functions whose arguments aren't a plain list.
_SPECIAL = ("CAST", "EXTRACT")


class MaxComputeParser(HiveParser):
    """Hive's parser without its functions."""

    FUNCTIONS: ClassVar = {}
    FUNCTION_PARSERS: ClassVar = {name: HiveParser.FUNCTION_PARSERS[name] for name in _SPECIAL}
    NO_PAREN_FUNCTIONS: ClassVar = {}
    # In MaxCompute ARRAY[1, 2] isn't an array, and array(1, 2)[0] is an element.
    ARRAY_CONSTRUCTORS: ClassVar = {}
    STRICT_CAST = True

    def _parse_types(
        self,
        check_func: bool = False,
        schema: bool = False,
        allow_identifiers: bool = True,
        with_collation: bool = False,
    ) -> exp.Expr | None:
        # Hive's method drops the length of char and varchar.
        return Parser._parse_types(  # noqa: SLF001 - the parent's parent
            self, check_func, schema, allow_identifiers, with_collation
        )


class MaxCompute(Hive):
    """The dialect; texts have Hive's backslash escapes."""

    class Tokenizer(Hive.Tokenizer):
        """Comments, back-quoted names, strings in either quotes with backslash escapes."""

        COMMENTS: ClassVar = ["--", ("/*", "*/")]
        # Without this, sqlglot makes a single text of everything behind SHOW, EXPLAIN, ...
        COMMANDS: ClassVar = set()

    Parser = MaxComputeParser


DIALECT = MaxCompute()


def tokenize(script: str) -> list[Token]:
    """Return the script's tokens, with their positions; SqlError for an open string or comment."""
    try:
        return DIALECT.tokenize(script)
    except sqlglot.TokenError as error:
        raise parse_error(f"invalid token: {error}", end_position(script)) from error


def parse_query(script: str, tokens: list[Token]) -> exp.Expression:
    """Return the tree of a query or INSERT; ``tokens`` are a slice of the script's. SqlError for anything else."""
    _check_lists(script, tokens)
    tokens = [_as_function(token, following) for token, following in zip(tokens, [*tokens[1:], None], strict=True)]
    try:
        trees = DIALECT.parser(error_level=sqlglot.ErrorLevel.IMMEDIATE).parse(tokens, script)
    except sqlglot.ParseError as error:
        first = error.errors[0] if error.errors else {}
        near = str(first.get("highlight") or "").strip()
        # sqlglot reports the column of the token's end.
        column = max(int(first.get("col") or 1) - max(len(near) - 1, 0), 1)
        detail = f"invalid token '{near}'" if near else "unexpected end"
        raise parse_error(
            f"{detail}, {first.get('description', error)}", Position(int(first.get("line") or 1), column)
        ) from error
    tree = trees[0] if len(trees) == 1 else None
    if not isinstance(tree, exp.Expression) or isinstance(tree, exp.Command):
        raise parse_error("expected a statement", position_at(script, tokens[0].start))
    written = sum(token.token_type in _LITERALS for token in tokens)
    if written > sum(1 for _ in tree.find_all(exp.Literal)):
        # sqlglot has skipped a literal, so the tree is another query than the text.
        raise unsupported("this form", position_at(script, tokens[0].start))
    return tree


def position_at(script: str, offset: int) -> Position:
    """Return line and column of a character's offset."""
    before = script[:offset]
    return Position(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def end_position(script: str) -> Position:
    """Return the position behind the script's last character."""
    return position_at(script, len(script.rstrip()))


_TYPE_NAMES = frozenset({TokenType.ARRAY, TokenType.MAP, TokenType.STRUCT})
_LITERALS = frozenset({TokenType.STRING, TokenType.NUMBER})
# sqlglot accepts an empty place in a list; the service doesn't.
_NEEDS_MORE = frozenset(
    {
        TokenType.COMMA,
        TokenType.GROUP_BY,
        TokenType.ORDER_BY,
        TokenType.PARTITION_BY,
        TokenType.WHERE,
        TokenType.HAVING,
        TokenType.SELECT,
        TokenType.FROM,
        TokenType.ON,
        TokenType.LIMIT,
    }
)
_ENDS = frozenset(
    {
        TokenType.COMMA,
        TokenType.R_PAREN,
        TokenType.SEMICOLON,
        TokenType.FROM,
        TokenType.WHERE,
        TokenType.GROUP_BY,
        TokenType.HAVING,
        TokenType.ORDER_BY,
        TokenType.LIMIT,
    }
)


def _as_function(token: Token, following: Token | None) -> Token:
    """Turn a type's name before a parenthesis into a function's name, which it is in ``array(1, 2)[0]``."""
    if token.token_type not in _TYPE_NAMES or not following or following.token_type is not TokenType.L_PAREN:
        return token
    return Token(TokenType.VAR, token.text, token.line, token.col, token.start, token.end, token.comments)


def _check_lists(script: str, tokens: list[Token]) -> None:
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.token_type not in _NEEDS_MORE or (following and following.token_type not in _ENDS):
            continue
        if following is None:
            raise parse_error(f"unexpected end after '{token.text}'", end_position(script))
        raise parse_error(f"invalid token '{following.text}'", position_at(script, following.start))
