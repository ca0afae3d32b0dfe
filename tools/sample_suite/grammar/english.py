"""English. Torch-free."""

from __future__ import annotations

from sample_suite import world
from sample_suite.grammar.base import Grammar, Phrase, comma
from sample_suite.model import NP, NUMERALS, Event, Slot, Token


class English(Grammar):
    """English: articles, do-support, adverbials after the object."""

    language = "en"
    city_prepositions = ("in", "to", "from")
    clause_link = ((",", "PUNCT"), ("and", "CCONJ"))

    def np(self, np: NP, role: str, *, negative: bool = False) -> Phrase:
        """A noun phrase; negated general nouns take "any"."""
        if np.also is not None:
            first = NP(np.head, np.form, np.adjective, np.surname)
            head = self.np(first, role, negative=negative)
            return [*head, Token("and", "CCONJ", role=role), *self.np(np.also, role, negative=negative)]
        if np.form == "name":
            return self.person(np, 0, role)
        if np.form == "org":
            return self.words(self.lexicon.form("org", np.head), "PROPN", role, "ORG")
        words = self.words(self.lexicon.form("noun", np.head, int(np.plural)), role=role)
        if np.adjective:
            words = self.words(self.lexicon.form("adjective", np.adjective), "ADJ", role) + words
        if np.form in NUMERALS:
            return self.words(self.lexicon.form("number", np.form), "NUM", role) + words
        if negative and np.head in world.GENERAL and np.form != "def":
            return [Token("any", "DET", role=role), *words]
        if np.form == "indef":
            article = "an" if words[0].text[0] in "aeiou" else "a"
            return [Token(article, "DET", role=role), *words]
        return [Token("the", "DET", role=role), *words] if np.form in {"def", "plural"} else words

    def verb(self, event: Event, *, bare: bool = False) -> Phrase:
        """The verb with its auxiliaries; bare after do-support in questions."""
        base, third, past = self.lexicon.forms("verb", event.verb)
        plural = event.subject.plural
        if event.verb == "born":
            return [Token("born", "VERB")] if bare else [Token("was", "AUX"), Token("born", "VERB")]
        if bare:
            return [Token(base, "VERB")]
        if event.negative:
            return [Token("did", "AUX"), Token("not", "PART"), Token(base, "VERB")]
        return [Token((base if plural else third) if event.present else past, "VERB")]

    def rest(self, event: Event) -> Phrase:
        """Everything after the verb up to the place."""
        tokens = self.np(event.object, "object", negative=event.negative) if event.object else []
        if event.recipient:
            tokens += [Token("to", "ADP", role="recipient"), *self.np(event.recipient, "recipient")]
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
        """Words of a question."""
        place = [] if slot == "where" else self.place(event)
        time = [] if slot == "when" else self.time(event)
        if slot == "who":
            return [Token("who", "PRON"), *self.verb(event), *self.rest(event), *place, *time]
        opener = {"what": "what", "whom": "who", "where": "where", "when": "when"}[slot]
        auxiliary = "did"
        if event.present:
            auxiliary = "do" if event.subject.plural else "does"
        if event.verb == "born":
            auxiliary = "was"
        rest = [] if slot in {"what", "whom"} else self.rest(event)
        head = [Token(opener, "PRON"), Token(auxiliary, "AUX"), *self.np(event.subject, "subject")]
        return head + self.verb(event, bare=True) + rest + place + time
