"""Swahili. Torch-free."""

from __future__ import annotations

from dataclasses import replace

from sample_suite import world
from sample_suite.grammar.base import Grammar, Phrase, comma
from sample_suite.model import NP, NUMERALS, Event, Slot, Token

#: Concord class of the singular to the column of adjectives and numerals.
_ADJECTIVE_COLUMN = {"1": 0, "3": 1, "5": 2, "7": 3, "9": 4, "11": 5}
#: Animals that are not known yet are not marked on the verb.
_BEASTS = frozenset({*world.ANIMALS, "animal"})
#: Plural or not to subject marker with past, negative past, habit and present.
_SUBJECT = {False: ("ali", "haku", "hu", "ana"), True: ("wali", "hawaku", "hu", "wana")}


class Swahili(Grammar):
    """Swahili: noun classes with concords, subject and object markers on the verb."""

    language = "sw"
    city_prepositions = ("jijini", "hadi", "kutoka")
    clause_link = ((",", "PUNCT"), ("na", "CCONJ"))

    def np(self, np: NP, role: str) -> Phrase:
        """A noun phrase; adjectives and numerals follow with the concord of the class."""
        if np.also is not None:
            first = NP(np.head, np.form, np.adjective, np.surname)
            return [*self.np(first, role), Token("na", "CCONJ", role=role), *self.np(np.also, role)]
        if np.form == "name":
            return self.person(np, 0, role)
        if np.form == "org":
            tokens = self.words(self.lexicon.form("org", np.head), "PROPN", role, "ORG")
            return _whole(tokens)
        singular, plural, concord = self.lexicon.forms("noun", np.head)
        noun = self.words(plural if np.plural else singular, role=role)
        if np.adjective:
            column = _ADJECTIVE_COLUMN[concord]
            noun += self.words(self.lexicon.forms("adjective", np.adjective)[column], "ADJ", role)
        if np.form in NUMERALS:
            column = _ADJECTIVE_COLUMN[concord]
            noun.append(Token(self.lexicon.forms("number", np.form)[column], "NUM", role=role))
        return noun

    def organisation(self, event: Event) -> Phrase:
        """For whom somebody works, or nothing."""
        return _whole(super().organisation(event))

    def marked(self, event: Event) -> NP | None:
        """Whose marker the verb carries: the recipient, or a living object."""
        if event.recipient:
            return event.recipient
        known = event.object and (event.object.form != "indef" or event.object.head not in _BEASTS)
        if known and event.object and self.lexicon.forms("verb", event.verb)[2]:
            return event.object
        return None

    def verb(self, event: Event) -> Phrase:
        """Subject marker, tense or negation, object marker and stem in one word."""
        stem, bare, one, many, *_ = self.lexicon.forms("verb", event.verb)
        past, negative, habit, present = _SUBJECT[event.subject.plural]
        if event.subject.form == "org":
            past = self.lexicon.forms("org", event.subject.head)[2] + "li"
        marked = self.marked(event)
        if marked is not None:
            stem = bare = many if marked.plural else one
        if event.present:
            form = habit + bare if event.time else present + stem
        else:
            form = negative + bare if event.negative else past + stem
        return self.words(form, "VERB")

    def rest(self, event: Event, *, asked: str = "") -> Phrase:
        """Everything after the verb up to the place; a question word may stand for the object."""
        preposition, last = self.lexicon.forms("verb", event.verb)[4:6]
        tokens = self.np(event.recipient, "recipient") if event.recipient else []
        if event.object:
            target = [Token(asked, "PRON")] if asked else self.np(event.object, "object")
            tokens += [*self.words(preposition, "ADP"), *target, *self.words(last)]
        return tokens + self.organisation(event) + self.goal(event)

    def subject(self, np: NP) -> Phrase:
        """A noun phrase as subject."""
        return self.np(np, "subject")

    def clause(self, event: Event) -> Phrase:
        """Words of a statement."""
        time, place = self.time(event), self.place(event)
        core = self.np(event.subject, "subject") + self.verb(event) + self.rest(event)
        if event.front == "time" and time:
            return [*time, comma(), *core, *place]
        if event.front == "place" and place:
            return [*place, comma(), *core, *time]
        return core + place + time

    def question(self, event: Event, slot: Slot) -> Phrase:
        """Words of a question; the question word stands where its answer would."""
        place = [Token("wapi", "PRON")] if slot == "where" else self.place(event)
        time = [Token("lini", "PRON")] if slot == "when" else self.time(event)
        if slot == "who":
            verb = self.verb(replace(event, subject=NP("man")))
            return [Token("nani", "PRON"), *verb, *self.rest(event), *place, *time]
        asked = {"what": "nini", "whom": "nani"}.get(slot, "")
        return (
            self.np(event.subject, "subject")
            + self.verb(event)
            + self.rest(event, asked=asked)
            + place
            + time
        )


def _whole(tokens: Phrase) -> Phrase:
    """One entity from its first marked word to the last, linking words included."""
    marks = [index for index, token in enumerate(tokens) if token.entity != "O"]
    return [
        replace(token, entity="B-ORG" if index == marks[0] else "I-ORG")
        if marks and marks[0] <= index <= marks[-1]
        else token
        for index, token in enumerate(tokens)
    ]
