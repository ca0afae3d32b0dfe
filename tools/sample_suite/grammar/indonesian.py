"""Indonesian. Torch-free."""

from __future__ import annotations

from sample_suite.grammar.base import Grammar, Phrase, comma
from sample_suite.model import NP, NUMERALS, Event, Slot, Token


class Indonesian(Grammar):
    """Indonesian: classifiers, affixed verbs, passive object questions."""

    language = "id"
    city_prepositions = ("di", "ke", "dari")
    clause_link = ((",", "PUNCT"), ("sedangkan", "SCONJ"))

    def np(self, np: NP, role: str, *, negative: bool = False) -> Phrase:
        """A noun phrase; an indefinite one that is denied or habitual stands bare."""
        if np.also is not None:
            first = NP(np.head, np.form, np.adjective, np.surname)
            head = self.np(first, role, negative=negative)
            return [*head, Token("dan", "CCONJ", role=role), *self.np(np.also, role, negative=negative)]
        if np.form == "name":
            return self.person(np, 0, role)
        if np.form == "org":
            return self.words(self.lexicon.form("org", np.head), "PROPN", role, "ORG")
        singular, classifier, plural = self.lexicon.forms("noun", np.head)
        noun = self.words(plural if np.form == "plural" else singular, role=role)
        if np.adjective:
            noun += self.words(self.lexicon.form("adjective", np.adjective), "ADJ", role)
        if np.form in {"def", "plural"}:
            return [*noun, Token("itu", "DET", role=role)]
        if np.form in NUMERALS:
            counter = [Token(classifier, "NOUN", role=role)] if classifier else []
            return [Token(self.lexicon.form("number", np.form), "NUM", role=role), *counter, *noun]
        if np.form == "indef" and not negative:
            return [
                Token(f"se{classifier or 'orang'}", "DET", role=role),
                *(noun if classifier else noun[1:]),
            ]
        return noun

    def verb(self, event: Event) -> Phrase:
        """The active verb with its negation."""
        words = self.words(self.lexicon.form("verb", event.verb), "VERB")
        return [Token("tidak", "PART"), *words] if event.negative else words

    def rest(self, event: Event) -> Phrase:
        """Everything after the verb up to the place."""
        tokens: Phrase = []
        if event.object:
            preposition = self.lexicon.forms("verb", event.verb)[2]
            tokens = self.words(preposition, "ADP") + self.np(
                event.object, "object", negative=event.negative or event.present
            )
        if event.recipient:
            tokens += [Token("kepada", "ADP", role="recipient"), *self.np(event.recipient, "recipient")]
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
        """Words of a question; objects are asked for with the passive."""
        place = [] if slot == "where" else self.place(event)
        time = [] if slot == "when" else self.time(event)
        subject, verb = self.np(event.subject, "subject"), self.verb(event)
        if slot == "who":
            return [Token("siapa", "PRON"), Token("yang", "PRON"), *verb, *self.rest(event), *place, *time]
        if slot in {"what", "whom"}:
            asked = "apa" if slot == "what" else "siapa"
            _, passive, preposition = self.lexicon.forms("verb", event.verb)
            if preposition:
                return [Token(preposition, "ADP"), Token(asked, "PRON"), *subject, *verb, *place, *time]
            if not passive:
                return [*subject, *verb, Token(asked, "PRON"), *place, *time]
            by = [*self.words(passive, "VERB"), Token("oleh", "ADP"), *subject]
            return [Token(asked, "PRON"), Token("yang", "PRON"), *by, *place, *time]
        opener = [Token("di", "ADP"), Token("mana", "PRON")] if slot == "where" else [Token("kapan", "ADV")]
        return [*opener, *subject, *verb, *self.rest(event), *place, *time]
