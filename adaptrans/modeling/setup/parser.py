"""Setup expressions: text to an immutable tree. Torch-free."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from adaptrans.errors import SetupError
from adaptrans.modeling.setup.nodes import (
    BARE_ADDRESS,
    NINE_REFERENCES,
    POLICIES,
    Adapter,
    Arithmetic,
    Average,
    Continue,
    Full,
    Fuse,
    LanguageSlot,
    Layer,
    Mix,
    Policy,
    Reference,
    Setup,
    Target,
)
from adaptrans.tasks.names import NAME, SLOT, WORDS, name_problem

T = TypeVar("T")


def parse(text: str) -> Setup:
    """Parse a setup expression.

    Args:
        text: The expression; spaces between its words do not matter.

    Returns:
        The tree, whose `str` is the canonical form of the expression.

    Raises:
        SetupError: If the text is not a setup, with the position and the nearest form.

    Example:
        >>> parse("mnli[de,ru]>target").layers
        (Reference(name='mnli', languages=('de', 'ru'), run=None, address=None), Target())
        >>> str(parse("average( 0.70*mnli,.3*qqp )>target@none"))
        'average(0.7*mnli, 0.3*qqp) > target @ none'
    """
    if not isinstance(text, str):
        raise SetupError(
            f"a setup is text, not {type(text).__name__}", remedy="write for instance 'mnli > target'"
        )
    return Parser(text).setup()


class Parser:
    """Recursive descent over the words of one expression, which never nests deeper than two."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.index = 0
        self.tokens, unknown = split(text)
        if unknown is not None:
            self.index = len(self.tokens) - 1
            raise self.error(f"{text[unknown]!r} cannot stand here", "put unusual addresses in double quotes")

    def error(self, message: str, remedy: str, start: int | None = None) -> SetupError:
        """The error of the current word, or of the word at `start`."""
        place = self.token.start if start is None else start
        shown = self.text if len(self.text) <= 80 else f"{self.text[:77]}..."
        return SetupError(f"setup {shown!r}, position {place + 1}: {message}", remedy=remedy)

    @property
    def token(self) -> Token:
        """The current word."""
        return self.tokens[self.index]

    @property
    def following(self) -> Token:
        """The word after the current one."""
        return self.tokens[min(self.index + 1, len(self.tokens) - 1)]

    def at(self, kind: str, *texts: str) -> bool:
        """Whether the current word is of a kind, and one of `texts` if any are given."""
        return self.token.kind == kind and (not texts or self.token.text in texts)

    def at_name(self) -> bool:
        """Whether the current word is a name; one of digits alone looks like a number."""
        return self.at("name") or (self.at("number") and NAME.fullmatch(self.token.text) is not None)

    def take(self) -> Token:
        """The current word; the next one becomes current."""
        token = self.token
        self.index += 1
        return token

    def expect(self, sign: str, remedy: str) -> None:
        """Take a sign that must stand here."""
        if not self.at("sign", sign):
            raise self.error(f"expected {sign!r}, found {self.found()}", remedy)
        self.take()

    def found(self) -> str:
        """The current word as messages name it."""
        return "the end" if self.at("end") else repr(self.token.text)

    def setup(self) -> Setup:
        """The whole expression."""
        if self.at("end"):
            raise self.error("the setup is empty", "write for instance 'full' or 'mnli > target'")
        starts: list[int] = []
        layers: list[Layer] = []
        while True:
            starts.append(self.token.start)
            layers.append(self.layer())
            if not self.at("sign", ">"):
                break
            self.take()
        policy = self.policy()
        if not self.at("end"):
            raise self.error(
                f"expected '>' or the end, found {self.found()}", "stack layers as 'mnli > target'"
            )
        self.order(layers, starts)
        return Setup(tuple(layers), policy)

    def policy(self) -> Policy | None:
        """The language policy after `@`, if there is one."""
        if not self.at("sign", "@"):
            return None
        self.take()
        word = self.token.text
        for policy in POLICIES:
            if self.at("name", policy):
                self.take()
                return policy
        near = difflib.get_close_matches(word, POLICIES, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(POLICIES)}"
        raise self.error(f"expected a language policy, found {self.found()}", hint)

    def layer(self) -> Layer:
        """One layer of the chain."""
        if self.at("slot"):
            if self.token.text.strip("{} ") != SLOT:
                raise self.error(f"{self.token.text!r} is not a slot", "the only one is '{lang}'")
            self.take()
            return LanguageSlot()
        following = self.following
        call = following.kind == "sign" and following.text == "("
        if self.at("name") and (call or self.token.text in WORDS):
            return self.word(call)
        return self.arithmetic()

    def word(self, call: bool) -> Layer:
        """A layer that starts with a word of the grammar."""
        token = self.take()
        simple: dict[str, Layer] = {
            "full": Full(),
            "adapter": Adapter(),
            "nine": Mix(NINE_REFERENCES),
            "target": Target(),
        }
        if token.text == "nine" and self.at("sign", "+", "-", "["):
            raise self.error(
                "'nine' stands for nine tasks in English, not for one adapter",
                "train them with others as 'mix(nine + mlm) > target'",
                token.start,
            )
        if not call and token.text in simple:
            return simple[token.text]
        calls: dict[str, Callable[[], Layer]] = {
            "full": lambda: Full(self.tasks("full(mnli + squad)")),
            "continue": lambda: Continue(self.reference()),
            "mix": lambda: self.mix(token.start),
            "fuse": lambda: self.fuse(token.start),
            "average": self.average,
        }
        if token.text not in calls:
            near = difflib.get_close_matches(token.text.lower(), calls, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}('?" if near else f"choose from {', '.join(calls)}"
            if token.text in simple:
                hint = f"write '{token.text}' alone"
            raise self.error(f"{token.text!r} takes no '('", hint, token.start)
        example = {"full": "full(mnli)", "continue": "continue(mnli)", "mix": "mix(mnli + squad)"}.get(
            token.text, f"{token.text}(mnli, squad)"
        )
        self.expect("(", f"write for instance '{example}'")
        layer = calls[token.text]()
        self.expect(")", f"write for instance '{example}'")
        return layer

    def sequence(self, item: Callable[[], T], separator: str, example: str) -> tuple[T, ...]:
        """Items up to the closing bracket."""
        items = [item()]
        while self.at("sign", separator):
            self.take()
            items.append(item())
        if not self.at("sign", ")", "]"):
            raise self.error(
                f"expected {separator!r} or the closing bracket, found {self.found()}", f"write '{example}'"
            )
        return tuple(items)

    def tasks(self, example: str) -> tuple[Reference, ...]:
        """Tasks that are trained at once, up to the closing bracket."""
        return tuple(source for found in self.sequence(self.group, "+", example) for source in found)

    def group(self) -> tuple[Reference, ...]:
        """One stored run, or those that a word stands for."""
        following = self.following
        if self.at("name", "nine") and following.text in ("+", ",", ")", ">", ""):
            self.take()
            return NINE_REFERENCES
        return (self.reference(),)

    def mix(self, start: int) -> Mix:
        """The tasks of one adapter."""
        sources = self.tasks("mix(mnli + squad)")
        self.need_two(sources, "a mix needs two tasks or more", start)
        return Mix(sources)

    def need_two(self, sources: Sequence[Reference], message: str, start: int) -> None:
        """Refuse a group of one."""
        if len(sources) < 2:
            raise self.error(message, f"nearest: '{sources[0]} > target'", start)

    def fuse(self, start: int) -> Fuse:
        """The members of a fusion."""
        members: list[Reference] = []
        while True:
            members += self.group()
            if self.at("sign", ">"):
                # Source: the composition table; a fusion of stacks raises TypeError in the library.
                inner = members[-1]
                raise self.error(
                    "a fusion of stacks does not run in the adapters library",
                    f"fuse single adapters, for instance 'fuse({inner}, ...) > target'",
                )
            if not self.at("sign", ","):
                break
            self.take()
        self.need_two(members, "a fusion needs two adapters or more", start)
        return Fuse(tuple(members))

    def average(self) -> Average:
        """The members of a mean, each with its weight or none with one."""
        start = self.token.start
        found = self.sequence(self.weighted, ",", "average(0.7*mnli, 0.3*qqp)")
        pairs = [(weight, source) for weight, group in found for source in group]
        sources = tuple(source for _, source in pairs)
        weights = tuple(weight for weight, _ in pairs if weight is not None)
        self.need_two(sources, "an average needs two adapters or more", start)
        if weights and len(weights) < len(sources):
            raise self.error(
                "only some adapters of the average have a weight", "give every one a weight, or none", start
            )
        return Average(sources, weights or None)

    def weighted(self) -> tuple[float | None, tuple[Reference, ...]]:
        """A reference with or without `number*` before it, or those that a word stands for."""
        following = self.following
        if not self.at("number") or (following.text != "*" and self.at_name()):
            return None, self.group()
        weight = float(self.token.text)
        if not math.isfinite(weight) or weight <= 0:
            raise self.error(
                f"the weight {self.token.text!r} is not above 0 and finite", "write for instance '0.5*mnli'"
            )
        self.take()
        self.expect("*", "write for instance '0.5*mnli'")
        return weight, (self.reference(),)

    def arithmetic(self) -> Layer:
        """A reference, or a sum of them."""
        terms = [(1, self.reference())]
        while self.at("sign", "+", "-"):
            sign = 1 if self.take().text == "+" else -1
            terms.append((sign, self.reference()))
        return terms[0][1] if len(terms) == 1 else Arithmetic(tuple(terms))

    def reference(self) -> Reference:
        """A stored run."""
        if self.at("quoted") or self.at("address"):
            if not self.token.text.strip():
                raise self.error("the address is empty", 'write for instance "./runs/mnli"')
            return Reference(address=self.take().text)
        if not self.at_name():
            raise self.error(
                f"expected a task name, found {self.found()}", "name a task, for instance 'mnli'"
            )
        if name_problem(self.token.text) is not None:
            raise self.error(
                f"{self.token.text!r} is a word of the grammar, not a task",
                "name a task, for instance 'mnli'",
            )
        name = self.take().text
        languages: tuple[str, ...] = ()
        if self.at("sign", "["):
            self.take()
            languages = self.sequence(self.language, ",", f"{name}[de,ru]")
            self.expect("]", f"write for instance '{name}[de,ru]'")
            if len(set(languages)) < len(languages):
                raise self.error(f"a language of {name!r} is named twice", "name each once")
        run = self.take().text if self.at("run") else None
        return Reference(name, languages, run)

    def language(self) -> str:
        """A language code."""
        if not self.at("name"):
            raise self.error(
                f"expected a language code, found {self.found()}", "write for instance 'mnli[de,ru]'"
            )
        return self.take().text

    def order(self, layers: list[Layer], starts: list[int]) -> None:
        """Check which layer may stand where."""
        last = len(layers) - 1
        named: set[Reference] = set()
        for place, (layer, start) in enumerate(zip(layers, starts, strict=True)):
            if layer.ALONE and last > 0:
                raise self.error(f"'{layer}' stands alone", f"nearest: '{layer}'", start)
            if layer == Target() and place < last:
                raise self.error(
                    "'target' is the last layer", "put what it builds on before it: 'mnli > target'", start
                )
            if layer == LanguageSlot() and place > 0:
                raise self.error("'{lang}' is the lowest layer", "write '{lang} > mnli > target'", start)
            for source in layer.references():
                if source in named:
                    raise self.error(f"'{source}' is named twice", "name each stored run once", start)
                named.add(source)
        if layers == [Target()]:
            raise self.error(
                "nothing stands below 'target'", "write 'adapter' for a target adapter alone", starts[0]
            )
        if not layers[last].ENDS:
            raise self.error(*self.ending(layers), starts[last])

    def ending(self, layers: list[Layer]) -> tuple[str, str]:
        """Message and remedy for a chain that does not end as it should."""
        word = str(layers[-1])
        near = difflib.get_close_matches(word.lower(), ("full", "adapter", "target"), n=1, cutoff=0.6)
        whole = " > ".join(map(str, layers))
        if near and (near[0] == "target") == (len(layers) > 1):
            return f"'{word}' is not the end of a setup", f"did you mean '{near[0]}'?"
        return "the setup has no 'target'", f"nearest: '{whole} > target'"


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
