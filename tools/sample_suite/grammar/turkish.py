"""Turkish. Torch-free."""

from __future__ import annotations

from sample_suite import world
from sample_suite.grammar.base import Grammar, Phrase, comma
from sample_suite.model import NP, NUMERALS, Event, Slot, Token

_NAME_COLUMN = {"nom": 0, "acc": 1, "dat": 2, "ile": 0}


class Turkish(Grammar):
    """Turkish: verb last, case suffixes with vowel harmony, differential object marking."""

    language = "tr"
    clause_link = ((",", "PUNCT"),)

    def upper(self, letter: str) -> str:
        """Upper case, with the dot of i kept."""
        return "İ" if letter == "i" else letter.upper()

    def np(self, np: NP, case: str, role: str, *, bare: bool = False) -> Phrase:
        """A noun phrase in a case; bare leaves out the indefinite article."""
        if np.also is not None:
            first = NP(np.head, np.form, np.adjective, np.surname)
            head = self.np(first, case, role, bare=bare)
            return [*head, Token("ve", "CCONJ", role=role), *self.np(np.also, case, role, bare=bare)]
        if np.form == "name":
            return self.person(np, _NAME_COLUMN[case], role)
        if np.form == "org":
            return self.words(self.lexicon.form("org", np.head), "PROPN", role, "ORG")
        column = 3 if np.form == "plural" else _NAME_COLUMN[case]
        noun = self.words(self.lexicon.form("noun", np.head, column), role=role)
        if np.form in NUMERALS:
            return [Token(self.lexicon.form("number", np.form), "NUM", role=role), *noun]
        if np.form == "indef" and not bare:
            noun = [Token("bir", "DET", role=role), *noun]
        if np.adjective:
            noun = [Token(self.lexicon.form("adjective", np.adjective), "ADJ", role=role), *noun]
        return noun

    def verb(self, event: Event) -> Phrase:
        """The verb; a plural subject of persons leaves it in the singular."""
        past, negated, present, _ = self.lexicon.forms("verb", event.verb)
        form = present if event.present else negated if event.negative else past
        return self.words(form, "VERB")

    def object(self, event: Event) -> Phrase:
        """The object in its case; things that are not definite stay bare."""
        if event.object is None:
            return []
        case = self.lexicon.forms("verb", event.verb)[3]
        person = event.verb in world.PERSON_VERBS and event.object.head not in {*world.ANIMALS, "animal"}
        definite = person or event.object.form in {"def", "name"}
        tokens = self.np(
            event.object,
            case if definite else "nom",
            "object",
            bare=(event.negative or event.present) and not definite,
        )
        return [*tokens, Token("ile", "ADP", role="object")] if case == "ile" else tokens

    def rest(self, event: Event) -> Phrase:
        """Everything between place and verb."""
        tokens = self.np(event.recipient, "dat", "recipient") if event.recipient else []
        return tokens + self.object(event) + self.organisation(event) + self.goal(event)

    def subject(self, np: NP) -> Phrase:
        """A noun phrase as subject."""
        return self.np(np, "nom", "subject")

    def clause(self, event: Event) -> Phrase:
        """Words of a statement; a comma parts a subject from a name or person after it."""
        time, place = self.time(event), self.place(event)
        subject = self.np(event.subject, "nom", "subject")
        after = self.rest(event) + self.verb(event)
        if event.front == "time":
            before, after = time, place + after
        elif event.front == "place":
            before, after = place, time + after
        else:
            before, after = [], time + place + after
        if self._runs_together(event, after[0]):
            subject = [*subject, comma()]
        return before + subject + after

    def _runs_together(self, event: Event, following: Token) -> bool:
        """Whether a subject could be read as describing the word after it."""
        if following.entity == "B-PER" or event.subject.form == "name":
            return following.entity == "B-PER"
        if following.tag != "NOUN":
            return False
        part = {"object": event.object, "recipient": event.recipient}.get(following.role)
        return (part is not None and part.head in world.ROLES) or event.subject.head == "neighbour"

    def question(self, event: Event, slot: Slot) -> Phrase:
        """Words of a question; the question word stands before object and verb."""
        place, time, verb = self.place(event), self.time(event), self.verb(event)
        if slot == "who":
            return [*time, *place, Token("kim", "PRON"), *self.rest(event), *verb]
        subject = self.np(event.subject, "nom", "subject")
        if slot in {"what", "whom"}:
            case = self.lexicon.forms("verb", event.verb)[3]
            whom = {"acc": "kimi", "dat": "kime", "ile": "kiminle"}[case]
            asked = Token("ne" if slot == "what" else whom, "PRON")
            return [*subject, *time, *place, asked, *verb]
        if slot == "where":
            return [*subject, *time, Token("nerede", "PRON"), *self.rest(event), *verb]
        return [*subject, Token("ne", "PRON"), Token("zaman", "NOUN"), *place, *self.rest(event), *verb]
