"""The words of a setup expression. Torch-free."""

from __future__ import annotations

import re
from dataclasses import dataclass

from adaptrans.models.nodes import BARE_ADDRESS
from adaptrans.tasks.names import NAME
from adaptrans.tasks.names import WORDS as WORDS

TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |"(?P<quoted>[^"\x00-\x1f\x7f-\x9f\u2028\u2029]*)"
    |(?P<slot>\{{[^{{}}]*\}})
    |(?P<address>{BARE_ADDRESS.pattern.replace("#", "[#]")})
    |(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_]|-+[A-Za-z0-9_]))
    |(?P<name>{NAME.pattern})
    |[#](?P<run>[A-Za-z0-9]+)
    |(?P<sign>[>()+\-*@,\[\]])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an expression: its kind, its text and its position, counted from 0."""

    kind: str
    text: str
    start: int


def split(text: str) -> tuple[list[Token], int | None]:
    """All words of a text with an `end` after the last, and the place of a character that starts no word.

    Example:
        >>> [token.text for token in split("mnli>target")[0]], split("a & b")[1]
        (['mnli', '>', 'target', ''], 2)
    """
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            return [*tokens, Token("end", "", position)], position
        if match.lastgroup != "space":
            tokens.append(Token(match.lastgroup, match[match.lastgroup], position))
        position = match.end()
    return [*tokens, Token("end", "", len(text))], None
