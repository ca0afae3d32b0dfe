"""Spanish. Torch-free."""

from __future__ import annotations

from sample_suite import world
from sample_suite.grammar.base import Grammar, Phrase, comma
from sample_suite.model import NP, NUMERALS, Event, Slot, Token

_CONTRACTIONS = {("a", "el"): "al", ("de", "el"): "del"}


class Spanish(Grammar):
    """Spanish: gender, contractions, personal "a", adjectives after the noun."""

    language = "es"
    question_opener = "¿"
    city_prepositions = ("en", "a", "de")
    clause_link = ((",", "PUNCT"), ("y", "CCONJ"))

    def np(self, np: NP, role: str, *, negative: bool = False) -> Phrase:
        """A noun phrase; negated indefinites take "ningún"."""
        if np.also is not None:
            first = NP(np.head, np.form, np.adjective, np.surname)
            head = self.np(first, role, negative=negative)
            other = self.np(np.also, role, negative=negative)
            link = "e" if other[0].text[0] in "iIíÍ" else "y"
            return [*head, Token(link, "CCONJ", role=role), *other]
        if np.form == "name":
            return self.person(np, 0, role)
        if np.form == "org":
            return self.words(self.lexicon.form("org", np.head), "PROPN", role, "ORG")
        gender, singular, plural = self.lexicon.forms("noun", np.head)
        feminine = gender == "f"
        if np.form in NUMERALS:
            return [
                Token(self.lexicon.form("number", np.form), "NUM", role=role),
                Token(plural, "NOUN", role=role),
            ]
        if np.form == "plural":
            return [Token("las" if feminine else "los", "DET", role=role), Token(plural, "NOUN", role=role)]
        article = ""
        if np.form == "def":
            article = "la" if feminine else "el"
        elif np.form == "indef":
            article = ("ninguna" if feminine else "ningún") if negative else ("una" if feminine else "un")
        tokens = [Token(article, "DET", role=role)] if article else []
        tokens.append(Token(singular, "NOUN", role=role))
        if np.adjective:
            tokens.append(
                Token(self.lexicon.form("adjective", np.adjective, int(feminine)), "ADJ", role=role)
            )
        return tokens

    def after(self, preposition: str, phrase: Phrase, role: str) -> Phrase:
        """A phrase after a preposition, contracted with the article "el"."""
        joined = _CONTRACTIONS.get((preposition, phrase[0].text))
        if joined:
            return [Token(joined, "ADP", role=role), *phrase[1:]]
        return [Token(preposition, "ADP", role=role), *phrase]

    def verb(self, event: Event) -> Phrase:
        """The verb with its clitic and the negation before it."""
        column = 2 * event.present + event.subject.plural
        words = self.words(self.lexicon.forms("verb", event.verb)[column], "VERB")
        return [Token("no", "ADV"), *words] if event.negative else words

    def rest(self, event: Event) -> Phrase:
        """Everything after the verb up to the place."""
        tokens: Phrase = []
        if event.object:
            tokens = self.np(event.object, "object", negative=event.negative)
            preposition = self.lexicon.forms("verb", event.verb)[4]
            known = event.object.form != "indef" or event.object.head not in {*world.ANIMALS, "animal"}
            if preposition and known and event.object.head in world.ANIMATE:
                tokens = self.after(preposition, tokens, "object")
        if event.recipient:
            tokens += self.after("a", self.np(event.recipient, "recipient"), "recipient")
        return tokens + self.organisation(event) + self.goal(event)

    def core(self, event: Event) -> Phrase:
        """The verb and what follows; a recipient is announced by "le"."""
        verb = self.verb(event)
        pronoun = [Token("le", "PRON")] if event.recipient or event.verb in {"thank", "feed"} else []
        start = int(event.negative)
        return verb[:start] + pronoun + verb[start:]

    def subject(self, np: NP) -> Phrase:
        """A noun phrase as subject."""
        return self.np(np, "subject")

    def clause(self, event: Event) -> Phrase:
        """Words of a statement."""
        time, place = self.time(event), self.place(event)
        core = self.np(event.subject, "subject") + self.core(event) + self.rest(event)
        if event.front == "time" and time:
            return [*time, comma(), *core, *place]
        if event.front == "place" and place:
            return [*place, comma(), *core, *time]
        return core + place + time

    def question(self, event: Event, slot: Slot) -> Phrase:
        """Words of a question; the subject follows the verb."""
        place = [] if slot == "where" else self.place(event)
        time = [] if slot == "when" else self.time(event)
        verb, rest = self.core(event), self.rest(event)
        if slot == "who":
            return [Token("quién", "PRON"), *verb, *rest, *place, *time]
        subject = self.np(event.subject, "subject")
        if slot == "what":
            return [Token("qué", "PRON"), *verb, *subject, *place, *time]
        if slot == "whom":
            preposition = self.lexicon.forms("verb", event.verb)[4] or "a"
            return [Token(preposition, "ADP"), Token("quién", "PRON"), *verb, *subject, *place, *time]
        opener = "dónde" if slot == "where" else "cuándo"
        return [Token(opener, "ADV"), *verb, *subject, *rest, *place, *time]
