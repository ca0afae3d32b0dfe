"""What the grammars share: words to tokens, tokens to text. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sample_suite import world
from sample_suite.lexicon import Lexicon
from sample_suite.model import NP, Event, Slot, Token

Phrase = list[Token]


class Grammar(ABC):
    """Turns events into sentences of one language.

    A subclass says how noun phrases, clauses and questions are built; the
    lexicon holds the forms.

    Args:
        lexicon: The forms of the language.
    """

    language: str
    #: Whether words are written apart.
    spaced = True
    #: What closes a statement and a question; a question may also be opened.
    stop, question_mark, question_opener = ".", "?", ""
    #: Between two clauses with different subjects.
    clause_link: tuple[tuple[str, str], ...] = ((",", "PUNCT"),)
    #: Prepositions of cities (in, to, from); None where the name itself is inflected.
    city_prepositions: tuple[str, str, str] | None = None

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon

    # words -----------------------------------------------------------------

    def words(self, text: str, tag: str = "NOUN", role: str = "", entity: str = "") -> Phrase:
        """Tokens of a stored phrase; function words take their own tag.

        Function words and common nouns are outside an entity. A word after one that
        ends in an apostrophe is glued to it.
        """
        tokens: Phrase = []
        inside = False
        for word in text.split():
            own = self.lexicon.tag(word, tag)
            mark = "O"
            if entity and own not in {"DET", "ADP", "NOUN"}:
                mark = f"{'I' if inside else 'B'}-{entity}"
                inside = True
            glued = bool(tokens) and tokens[-1].text.endswith(("'", "’"))
            tokens.append(Token(word, own, mark, role, glued))
        return tokens

    def time(self, event: Event) -> Phrase:
        """The time expression, or nothing."""
        if event.time is None:
            return []
        return self.words(self.lexicon.form("time", event.time), role="time")

    def place(self, event: Event) -> Phrase:
        """The place where it happens, or nothing."""
        return [] if event.place is None else self.locative(event.place)

    def city(self, city: str, column: int, role: str) -> Phrase:
        """A city as a location (column 1), as what is reached (2) or left (3)."""
        if self.city_prepositions is None:
            return self.words(self.lexicon.form("city", city, column), "PROPN", role, "LOC")
        name = self.words(self.lexicon.form("city", city), "PROPN", role, "LOC")
        return [*self.words(self.city_prepositions[column - 1], "ADP", role), *name]

    def locative(self, place: str) -> Phrase:
        """A place or city as a location."""
        if place in world.CITIES:
            return self.city(place, 1, "place")
        return self.words(self.lexicon.form("place", place, 0), role="place")

    def goal(self, event: Event) -> Phrase:
        """Where a movement ends, with the city where it starts before it."""
        tokens = self.city(event.source, 3, "source") if event.source else []
        if event.goal in world.CITIES:
            return tokens + self.city(event.goal, 2, "goal")
        if event.goal:
            tokens += self.words(self.lexicon.form("place", event.goal, 1), role="goal")
        return tokens

    def organisation(self, event: Event) -> Phrase:
        """For whom somebody works, or nothing."""
        if event.organisation is None:
            return []
        return self.words(self.lexicon.form("org", event.organisation, 1), "PROPN", "org", "ORG")

    def person(self, np: NP, column: int = 0, role: str = "") -> Phrase:
        """A person's name; a surname follows only where the name is not inflected."""
        tokens = self.words(self.lexicon.form("name", np.head, column), "PROPN", role, "PER")
        if np.surname:
            tokens += [
                replace(token, entity="I-PER")
                for token in self.words(self.lexicon.form("surname", np.surname), "PROPN", role, "PER")
            ]
        return tokens

    def gender(self, np: NP) -> str:
        """Natural gender of a person or name (m or f); mixed groups are m."""
        genders = {world.GENDERS.get(part.head, "m") for part in (np, np.also) if part is not None}
        return "f" if genders == {"f"} else "m"

    # to be written per language --------------------------------------------

    @abstractmethod
    def subject(self, np: NP) -> Phrase:
        """A noun phrase as subject."""

    @abstractmethod
    def clause(self, event: Event) -> Phrase:
        """Words of a statement, without capital and full stop."""

    @abstractmethod
    def question(self, event: Event, slot: Slot) -> Phrase:
        """Words of a question about one part of a statement, without marks."""

    # text ------------------------------------------------------------------

    def upper(self, letter: str) -> str:
        """Upper case of a letter."""
        return letter.upper()

    def capitalised(self, tokens: Iterable[Token]) -> Phrase:
        """The same tokens, the first one with a capital letter."""
        first, *rest = tokens
        return [replace(first, text=self.upper(first.text[0]) + first.text[1:]), *rest]

    def sentence(self, *events: Event) -> Phrase:
        """A full sentence of one clause, or of two with different subjects."""
        tokens = self.clause(events[0])
        for event in events[1:]:
            tokens += [Token(text, tag, glued=tag == "PUNCT") for text, tag in self.clause_link]
            tokens += self.clause(event)
        return [*self.capitalised(tokens), Token(self.stop, "PUNCT", glued=True)]

    def ask(self, event: Event, slot: Slot) -> str:
        """The text of a question."""
        tokens = self.capitalised(self.question(event, slot))
        return self.question_opener + self.text(tokens) + self.question_mark

    def text(self, tokens: Sequence[Token]) -> str:
        """The written line."""
        pieces: list[str] = []
        for token in tokens:
            if pieces and self.spaced and not token.glued:
                pieces.append(" ")
            pieces.append(token.text)
        return "".join(pieces)

    def pronoun(self, gender: str) -> str:
        """Subject pronoun of the third person; empty where it is left out."""
        forms = self.lexicon.rows.get("pronoun", {}).get("subject", ("", ""))
        return forms[0] if gender == "m" else forms[-1]


def comma(role: str = "") -> Token:
    """A comma after the word before it."""
    return Token(",", "PUNCT", role=role, glued=True)
