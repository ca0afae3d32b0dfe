"""Chinese (Mandarin, simplified characters). Torch-free."""

from __future__ import annotations

from dataclasses import replace

from sample_suite import world
from sample_suite.grammar.base import Grammar, Phrase
from sample_suite.model import NP, NUMERALS, Event, Slot, Token


class Chinese(Grammar):
    """Chinese: classifiers, adverbials before the verb, aspect and negation particles."""

    language = "zh"
    spaced = False
    stop, question_mark = "。", "？"
    clause_link = (("，", "PUNCT"),)

    def np(self, np: NP, role: str, *, negative: bool = False) -> Phrase:
        """A noun phrase; definite persons and negated indefinites stand bare."""
        if np.also is not None:
            first = NP(np.head, np.form, np.adjective, np.surname)
            head = self.np(first, role, negative=negative)
            return [*head, Token("和", "CCONJ", role=role), *self.np(np.also, role, negative=negative)]
        if np.form == "name":
            return self.person(np, 0, role)
        if np.form == "org":
            return self.words(self.lexicon.form("org", np.head), "PROPN", role, "ORG")
        singular, classifier, plural = self.lexicon.forms("noun", np.head)
        noun = [Token(plural if np.form == "plural" else singular, "NOUN", role=role)]
        if np.adjective:
            noun = self.words(self.lexicon.form("adjective", np.adjective), "ADJ", role) + noun
        counter = Token(classifier, "NOUN", role=role)
        if np.form in NUMERALS:
            return [Token(self.lexicon.form("number", np.form), "NUM", role=role), counter, *noun]
        if np.form == "indef" and not negative:
            return [Token("一", "NUM", role=role), counter, *noun]
        if np.form == "def" and (np.adjective or np.head not in world.ROLES):
            return [Token("那", "DET", role=role), counter, *noun]
        return noun

    def person(self, np: NP, column: int = 0, role: str = "") -> Phrase:
        """A name; a dot parts given name and surname."""
        given, *surname = super().person(np, column, role)
        if not surname:
            return [given]
        return [given, Token("·", "PUNCT", "I-PER", role), *surname]

    def predicate(self, event: Event, *, asked: str = "") -> Phrase:
        """Verb, particle, recipient and object; a question word may stand for the object."""
        verb, particle, preposition, last = self.lexicon.forms("verb", event.verb)
        aspect = [] if event.present or event.negative or not particle else [Token(particle, "AUX")]
        target: Phrase = []
        if event.object:
            target = (
                [Token(asked, "PRON")]
                if asked
                else self.np(event.object, "object", negative=event.negative or event.present)
            )
        words = [Token(verb, "VERB"), *aspect]
        if event.recipient:
            recipient = self.np(event.recipient, "recipient")
            if preposition:
                return [Token(preposition, "ADP"), *recipient, *words, *target]
            return words + recipient + target
        if preposition and event.object:
            return [Token(preposition, "ADP"), *target, *words, Token(last, "NOUN")]
        source = self.city(event.source, 3, "source") if event.source else []
        return self.organisation(event) + source + words + target + self.goal(replace(event, source=None))

    def subject(self, np: NP) -> Phrase:
        """A noun phrase as subject."""
        return self.np(np, "subject")

    def clause(self, event: Event) -> Phrase:
        """Words of a statement: subject, time, negation, place, verb."""
        time, place = self.time(event), self.place(event)
        subject = self.np(event.subject, "subject")
        negation = [Token("没有", "ADV")] if event.negative else []
        predicate = self.predicate(event)
        # A lone verb needs either a place before it or a particle after it.
        plain = event.verb in world.PLAIN_VERBS
        if plain and not (place or event.negative or event.present):
            predicate.append(Token("了", "AUX"))
        if event.front == "place" and place and not event.negative and not plain:
            return [*place, Token("，", "PUNCT", role="place"), *subject, *time, *predicate]
        before = time + subject if event.front == "time" else subject + time
        return before + negation + place + predicate

    def question(self, event: Event, slot: Slot) -> Phrase:
        """Words of a question; the question word stands where its answer would."""
        time, place = self.time(event), self.place(event)
        if slot == "where":
            place = [Token("在", "ADP"), Token("哪里", "PRON")]
        if slot == "when":
            time = [Token("什么", "PRON"), Token("时候", "NOUN")]
        if slot == "who":
            return [*time, Token("谁", "PRON"), *place, *self.predicate(event)]
        asked = {"what": "什么", "whom": "谁"}.get(slot, "")
        return self.np(event.subject, "subject") + time + place + self.predicate(event, asked=asked)
