"""German. Torch-free."""

from __future__ import annotations

from sample_suite import world
from sample_suite.grammar.base import Grammar, Phrase
from sample_suite.model import NP, NUMERALS, Event, Slot, Token

_DEFINITE = {
    "nom": {"m": "der", "f": "die", "n": "das"},
    "acc": {"m": "den", "f": "die", "n": "das"},
    "dat": {"m": "dem", "f": "der", "n": "dem"},
}
_INDEFINITE = {
    "nom": {"m": "", "f": "e", "n": ""},
    "acc": {"m": "en", "f": "e", "n": ""},
    "dat": {"m": "em", "f": "er", "n": "em"},
}
#: Endings of an adjective after "der" and after "ein".
_WEAK = {
    "nom": {"m": "e", "f": "e", "n": "e"},
    "acc": {"m": "en", "f": "e", "n": "e"},
    "dat": {"m": "en", "f": "en", "n": "en"},
}
_MIXED = {
    "nom": {"m": "er", "f": "e", "n": "es"},
    "acc": {"m": "en", "f": "e", "n": "es"},
    "dat": {"m": "en", "f": "en", "n": "en"},
}


class German(Grammar):
    """German: three genders, four cases (three used), verb second, separable verbs."""

    language = "de"
    city_prepositions = ("in", "nach", "von")
    clause_link = ((",", "PUNCT"), ("und", "CCONJ"))

    def np(self, np: NP, case: str, role: str, *, negative: bool = False) -> Phrase:
        """A noun phrase in a case; negated indefinites take "kein"."""
        if np.also is not None:
            first = NP(np.head, np.form, np.adjective, np.surname)
            head = self.np(first, case, role, negative=negative)
            return [*head, Token("und", "CCONJ", role=role), *self.np(np.also, case, role, negative=negative)]
        if np.form == "name":
            return self.person(np, 0, role)
        if np.form == "org":
            return self.words(self.lexicon.form("org", np.head), "PROPN", role, "ORG")
        gender, nominative, oblique, plural = self.lexicon.forms("noun", np.head)
        if np.form in NUMERALS:
            return [
                Token(self.lexicon.form("number", np.form), "NUM", role=role),
                Token(plural, "NOUN", role=role),
            ]
        if np.form == "plural":
            return [Token("die", "DET", role=role), Token(plural, "NOUN", role=role)]
        article, endings = "", _WEAK
        if np.form == "def":
            article = _DEFINITE[case][gender]
        elif np.form == "indef" or negative:
            article = ("kein" if negative else "ein") + _INDEFINITE[case][gender]
            endings = _MIXED
        tokens = [Token(article, "DET", role=role)] if article else []
        if np.adjective:
            stem = self.lexicon.form("adjective", np.adjective)
            tokens.append(Token(stem + endings[case][gender], "ADJ", role=role))
        return [*tokens, Token(nominative if case == "nom" else oblique or nominative, "NOUN", role=role)]

    def verb(self, event: Event) -> Phrase:
        """The finite verb, with a reflexive pronoun where it has one."""
        column = 2 * event.present + event.subject.plural
        return self.words(self.lexicon.forms("verb", event.verb)[column], "VERB")

    def last(self, event: Event) -> Phrase:
        """What closes the clause: a separable prefix or a participle."""
        word = self.lexicon.forms("verb", event.verb)[4]
        if event.verb == "born":
            return [Token(word, "VERB")]
        return [Token(word, "ADP")] if word else []

    def field(self, event: Event, time: Phrase, place: Phrase, *, with_object: bool = True) -> Phrase:
        """Everything between the finite verb with its subject and the end."""
        recipient = self.np(event.recipient, "dat", "recipient") if event.recipient else []
        target: Phrase = []
        if event.object and with_object:
            case = self.lexicon.forms("verb", event.verb)[5]
            target = self.np(event.object, case, "object", negative=event.negative)
        tail = self.goal(event)
        place = self.organisation(event) + place
        if not event.negative:
            # People come before the place: "im Hotel Carlos" would read as a hotel's name.
            if event.object and event.object.head in world.GENDERS:
                return time + target + place + tail
            return time + recipient + place + target + tail
        if event.object is None:
            return [*time, Token("nicht", "PART"), *place, *tail]
        if event.object.form in {"indef", "mass"}:
            return time + recipient + place + target
        return [*recipient, *target, *time, *place, Token("nicht", "PART")]

    def subject(self, np: NP) -> Phrase:
        """A noun phrase as subject."""
        return self.np(np, "nom", "subject")

    def clause(self, event: Event) -> Phrase:
        """Words of a statement."""
        time, place = self.time(event), self.place(event)
        subject, verb = self.np(event.subject, "nom", "subject"), self.verb(event)
        end = self.last(event)
        if event.front == "time" and time:
            return time + verb + subject + self.field(event, [], place) + end
        if event.front == "place" and place:
            return place + verb + subject + self.field(event, time, []) + end
        return subject + verb + self.field(event, time, place) + end

    def question(self, event: Event, slot: Slot) -> Phrase:
        """Words of a question."""
        place = [] if slot == "where" else self.place(event)
        time = [] if slot == "when" else self.time(event)
        verb = self.verb(event)
        if slot == "who":
            return [Token("wer", "PRON"), *verb, *self.field(event, time, place), *self.last(event)]
        case = self.lexicon.forms("verb", event.verb)[5]
        whom = "wem" if case == "dat" else "wen"
        opener = {"what": "was", "whom": whom, "where": "wo", "when": "wann"}[slot]
        subject = self.np(event.subject, "nom", "subject")
        inner = self.field(event, time, place, with_object=slot in {"where", "when"})
        return [Token(opener, "PRON"), *verb, *subject, *inner, *self.last(event)]
