"""French. Torch-free."""

from __future__ import annotations

from sample_suite import world
from sample_suite.grammar.base import Grammar, Phrase, comma
from sample_suite.model import NP, NUMERALS, Event, Slot, Token

_ELIDED = {"le": "l'", "la": "l'", "de": "d'", "ne": "n'", "se": "s'", "que": "qu'"}
_CONTRACTIONS = {("à", "le"): "au", ("de", "le"): "du"}
#: Letters before which le, la, de, ne, se, que lose their vowel; every h of the lexicon is mute.
_VOWELS = "aeiouyhâàéèêîôœ"


def joined(word: str, tag: str, phrase: Phrase, role: str = "") -> Phrase:
    """A word before a phrase, elided before a vowel."""
    first, *rest = phrase
    if word in _ELIDED and first.text[0].lower() in _VOWELS:
        glued = Token(first.text, first.tag, first.entity, first.role, True)
        return [Token(_ELIDED[word], tag, role=role), glued, *rest]
    return [Token(word, tag, role=role), *phrase]


class French(Grammar):
    """French: partitives, elision, contraction, compound past with agreement."""

    language = "fr"
    question_mark = "\u00a0?"
    clause_link = ((",", "PUNCT"), ("et", "CCONJ"))
    city_prepositions = ("à", "à", "de")

    def city(self, city: str, column: int, role: str) -> Phrase:
        """A city after its preposition, elided before a vowel."""
        preposition, *name = super().city(city, column, role)
        return joined(preposition.text, "ADP", name, role)

    def np(self, np: NP, role: str, *, negative: bool = False) -> Phrase:
        """A noun phrase; negated indefinites and partitives take "de"."""
        if np.also is not None:
            first = NP(np.head, np.form, np.adjective, np.surname)
            head = self.np(first, role, negative=negative)
            return [*head, Token("et", "CCONJ", role=role), *self.np(np.also, role, negative=negative)]
        if np.form == "name":
            return self.person(np, 0, role)
        if np.form == "org":
            return self.words(self.lexicon.form("org", np.head), "PROPN", role, "ORG")
        gender, singular, plural = self.lexicon.forms("noun", np.head)
        feminine = gender == "f"
        noun = self.words(plural if np.plural else singular, role=role)
        if np.adjective:
            noun = self.described(noun, np.adjective, feminine, role)
        if np.form in NUMERALS:
            return [Token(self.lexicon.form("number", np.form), "NUM", role=role), *noun]
        if np.form == "plural":
            return [Token("les", "DET", role=role), *noun]
        if np.form == "def":
            return joined("la" if feminine else "le", "DET", noun, role)
        if negative:
            return joined("de", "DET", noun, role)
        if np.form == "indef":
            return [Token("une" if feminine else "un", "DET", role=role), *noun]
        if np.head == "fruit":
            return [Token("des", "DET", role=role), *noun]
        tokens = joined("la" if feminine else "le", "DET", noun, role)
        if tokens[0].text == "le":
            return [Token("du", "DET", role=role), *noun]
        return [Token("de", "ADP", role=role), *tokens]

    def described(self, noun: Phrase, adjective: str, feminine: bool, role: str) -> Phrase:
        """A singular noun with its adjective on the side where it belongs."""
        masculine, other, side, before_vowel = self.lexicon.forms("adjective", adjective)
        form = other if feminine else masculine
        if side == "post":
            return [*noun, Token(form, "ADJ", role=role)]
        if not feminine and before_vowel and noun[0].text[0] in _VOWELS:
            form = before_vowel
        return [Token(form, "ADJ", role=role), *noun]

    def subject_gender(self, np: NP) -> str:
        """Gender for agreement: of the noun where it is fixed, else of the person."""
        if np.also is None and np.form not in {"name", "org"}:
            return self.lexicon.form("noun", np.head)
        return self.gender(np)

    def verb(self, event: Event) -> Phrase:
        """Verb group with clitics, auxiliary and negation."""
        auxiliary, participle, *present = self.lexicon.forms("verb", event.verb)
        plural = event.subject.plural
        after: Phrase = []
        if event.present:
            finite, *rest = self.words(present[plural], "VERB")
            after = rest
        else:
            be = auxiliary in {"être", "se"}
            finite = Token(("sont" if plural else "est") if be else ("ont" if plural else "a"), "AUX")
            agreement = ("e" if self.subject_gender(event.subject) == "f" else "") + ("s" if plural else "")
            first, *more = participle.split()
            after = self.words(" ".join([first + agreement * be, *more]), "VERB")
        group = [finite]
        if auxiliary == "se":
            group = joined("se", "PRON", group)
        if event.negative:
            return [*joined("ne", "ADV", group), Token("pas", "ADV"), *after]
        return group + after

    def rest(self, event: Event) -> Phrase:
        """Everything after the verb up to the place."""
        tokens: Phrase = []
        if event.object:
            tokens = self.np(event.object, "object", negative=event.negative)
            preposition = self.lexicon.forms("verb", event.verb)[4]
            if preposition and event.object.head in world.ANIMATE:
                tokens = self.after(event.object, preposition, "object")
        if event.recipient:
            tokens += self.after(event.recipient, "à", "recipient")
        return tokens + self.organisation(event) + self.goal(event)

    def after(self, np: NP, preposition: str, role: str) -> Phrase:
        """A phrase after a preposition, contracted with the article "le"."""
        phrase = self.np(np, role)
        contracted = _CONTRACTIONS.get((preposition, phrase[0].text))
        if contracted:
            return [Token(contracted, "ADP", role=role), *phrase[1:]]
        return joined(preposition, "ADP", phrase, role)

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
        """Words of a question, with "est-ce que" unless the subject is asked for."""
        place = [] if slot == "where" else self.place(event)
        time = [] if slot == "when" else self.time(event)
        verb = self.verb(event)
        if slot == "who":
            return [Token("qui", "PRON"), *verb, *self.rest(event), *place, *time]
        subject = joined("que", "SCONJ", self.np(event.subject, "subject"))
        rest = [] if slot in {"what", "whom"} else self.rest(event)
        preposition = self.lexicon.forms("verb", event.verb)[4]
        opener = {"what": "qu'est-ce", "whom": "qui est-ce", "where": "où est-ce", "when": "quand est-ce"}[
            slot
        ]
        if slot == "whom" and preposition:
            opener = f"{preposition} {opener}"
        return [Token(opener, "PRON"), *subject, *verb, *rest, *place, *time]
