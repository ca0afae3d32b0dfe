"""What a sentence of the sample suite says, before any language says it. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Form = Literal["def", "indef", "mass", "name", "two", "three", "four", "five", "plural", "org"]
Front = Literal["", "time", "place"]
Slot = Literal["who", "what", "whom", "where", "when"]

#: Forms that take plural agreement.
PLURAL_FORMS = frozenset({"two", "three", "four", "five", "plural"})
#: The forms that are numerals, in order.
NUMERALS: tuple[Form, ...] = ("two", "three", "four", "five")


@dataclass(frozen=True, slots=True)
class Token:
    """One word as the tagging files hold it.

    Attributes:
        text: The written form.
        tag: Universal part of speech.
        entity: Entity tag in BIO form.
        role: Constituent it belongs to (subject, object, place, time), for answers.
        glued: Written without a space before it.
    """

    text: str
    tag: str
    entity: str = "O"
    role: str = ""
    glued: bool = False


@dataclass(frozen=True, slots=True)
class NP:
    """A noun phrase: a concept of the lexicon and how it is presented.

    Attributes:
        head: Concept of a noun, a given name or an organisation.
        form: Definiteness, numeral or kind of name.
        adjective: Concept of one adjective, if any.
        surname: Concept of a surname after a given name, if any.
        also: A second phrase joined with "and".
    """

    head: str
    form: Form = "def"
    adjective: str | None = None
    surname: str | None = None
    also: NP | None = None

    @property
    def plural(self) -> bool:
        """Whether a verb agrees with it in the plural."""
        return self.form in PLURAL_FORMS or self.also is not None


@dataclass(frozen=True, slots=True)
class Event:
    """One clause: who did what to whom, where and when.

    Attributes:
        verb: Concept of the verb.
        subject: The doer.
        object: What it is done to.
        recipient: To whom it is given, shown or sent.
        place: A place or city where it happens.
        goal: A place or city that is reached.
        source: A city that is left.
        organisation: For whom somebody works.
        time: Concept of a time expression.
        present: Present tense instead of past.
        negative: Negated clause.
        front: Which adverbial opens the sentence.
    """

    verb: str
    subject: NP
    object: NP | None = None
    recipient: NP | None = None
    place: str | None = None
    goal: str | None = None
    source: str | None = None
    organisation: str | None = None
    time: str | None = None
    present: bool = False
    negative: bool = False
    front: Front = ""

    @property
    def sound(self) -> bool:
        """Whether nobody does something to themselves.

        Example:
            >>> Event("meet", NP("anna", "name"), NP("anna", "name")).sound
            False
        """
        subject = self.subject
        parts = (subject, subject.also, self.object, self.recipient)
        heads = [part.head for part in parts if part is not None]
        return len(set(heads)) == len(heads)
