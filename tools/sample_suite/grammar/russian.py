"""Russian. Torch-free."""

from __future__ import annotations

from sample_suite import world
from sample_suite.grammar.base import Grammar, Phrase
from sample_suite.model import NP, NUMERALS, Event, Slot, Token

_NOMINATIVE, _ACCUSATIVE, _DATIVE, _GENITIVE, _PLURAL, _PLURAL_GENITIVE = range(1, 7)
_NAME_COLUMN = {"nom": 0, "acc": 1, "dat": 2}
_NOUN_COLUMN = {"nom": _NOMINATIVE, "acc": _ACCUSATIVE, "dat": _DATIVE}


class Russian(Grammar):
    """Russian: cases, aspect, agreement of the past tense, no articles."""

    language = "ru"
    clause_link = ((",", "PUNCT"), ("а", "CCONJ"))

    def np(self, np: NP, case: str, role: str, *, negative: bool = False) -> Phrase:
        """A noun phrase in a case; negated general nouns stand in the genitive plural."""
        if np.also is not None:
            first = NP(np.head, np.form, np.adjective, np.surname)
            return [
                *self.np(first, case, role),
                Token("и", "CCONJ", role=role),
                *self.np(np.also, case, role),
            ]
        if np.form == "name":
            return self.person(np, _NAME_COLUMN[case], role)
        if np.form == "org":
            return self.words(self.lexicon.form("org", np.head), "PROPN", role, "ORG")
        forms = self.lexicon.forms("noun", np.head)
        if np.form in NUMERALS:
            numeral = self.lexicon.form("number", np.form, int(forms[0] == "f"))
            noun = forms[_PLURAL_GENITIVE if np.form == "five" else _GENITIVE]
            return [Token(numeral, "NUM", role=role), Token(noun, "NOUN", role=role)]
        if negative and np.head in world.GENERAL and np.form != "def":
            return [Token(forms[_PLURAL_GENITIVE], "NOUN", role=role)]
        if np.form == "plural":
            return [Token(forms[_PLURAL], "NOUN", role=role)]
        noun_token = Token(forms[_NOUN_COLUMN[case]], "NOUN", role=role)
        if not np.adjective:
            return [noun_token]
        column = {"m": 0, "f": 1, "n": 2}[forms[0]]
        if case == "acc" and forms[0] == "f":
            column = 3
        elif case == "acc" and forms[0] == "m" and np.head in world.ANIMATE:
            column = 4
        return [Token(self.lexicon.form("adjective", np.adjective, column), "ADJ", role=role), noun_token]

    def agreement(self, np: NP) -> int:
        """Number and gender of the past tense: 0 masculine, 1 feminine, 2 plural, 3 neuter."""
        if np.plural:
            return 2
        if np.form == "org":
            return int(self.lexicon.forms("org", np.head)[2] == "f")
        if np.form == "name":
            return int(self.gender(np) == "f")
        return {"m": 0, "f": 1, "n": 3, "p": 2}[self.lexicon.form("noun", np.head)]

    def verb(self, event: Event, agreement: int) -> Phrase:
        """Perfective past, or imperfective where it is negated, or present."""
        perfective, imperfective, *present = self.lexicon.forms("verb", event.verb)
        if event.present:
            return [Token(present[agreement == 2], "VERB")]
        form = imperfective if event.negative else perfective
        if "/" in form:
            masculine, feminine, plural = form.split("/")
        else:
            masculine, feminine, plural = form, form + "а", form + "и"
        neuter = feminine[:-1] + "о" if feminine.endswith("а") else feminine[:-2] + "ось"
        verb = Token((masculine, feminine, plural, neuter)[agreement], "VERB")
        return [Token("не", "PART"), verb] if event.negative else [verb]

    def rest(self, event: Event) -> Phrase:
        """Everything after the verb up to the place."""
        tokens: Phrase = []
        if event.recipient:
            tokens = self.np(event.recipient, "dat", "recipient")
        if event.object:
            case = self.lexicon.forms("verb", event.verb)[4]
            tokens += self.np(event.object, case, "object", negative=event.negative)
        return tokens + self.organisation(event) + self.goal(event)

    def subject(self, np: NP) -> Phrase:
        """A noun phrase as subject."""
        return self.np(np, "nom", "subject")

    def clause(self, event: Event) -> Phrase:
        """Words of a statement; time stands before the verb."""
        time, place = self.time(event), self.place(event)
        subject = self.np(event.subject, "nom", "subject")
        core = self.verb(event, self.agreement(event.subject)) + self.rest(event)
        if event.front == "time":
            return time + subject + core + place
        if event.front == "place":
            return place + subject + time + core
        return subject + time + core + place

    def question(self, event: Event, slot: Slot) -> Phrase:
        """Words of a question."""
        place = [] if slot == "where" else self.place(event)
        time = [] if slot == "when" else self.time(event)
        if slot == "who":
            return [Token("кто", "PRON"), *self.verb(event, 0), *self.rest(event), *place, *time]
        whom = "кому" if self.lexicon.forms("verb", event.verb)[4] == "dat" else "кого"
        opener = {"what": "что", "whom": whom, "where": "где", "when": "когда"}[slot]
        rest = [] if slot in {"what", "whom"} else self.rest(event)
        subject = self.np(event.subject, "nom", "subject")
        verb = self.verb(event, self.agreement(event.subject))
        # A question about a lone verb ends in the subject: "Где родилась Анна?"
        clause = subject + verb + rest if rest or slot in {"what", "whom"} else verb + subject
        return [Token(opener, "PRON"), *clause, *place, *time]
