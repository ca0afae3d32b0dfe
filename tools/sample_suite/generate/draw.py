"""Random draws of events that make sense. Torch-free."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from sample_suite import world
from sample_suite.model import NP, NUMERALS, Event, Form

T = TypeVar("T")


@dataclass(frozen=True)
class Draw:
    """Draws from the world; without held-out concepts for training and development.

    Attributes:
        random: Source of chance, seeded by suite, task and split.
        held_out: Whether held-out concepts may occur.
    """

    random: random.Random
    held_out: bool

    @classmethod
    def seeded(cls, seed: int, task: str, split: str) -> Draw:
        """The draws of one split of one task."""
        return cls(random.Random(f"{seed}/{task}/{split}"), split == "test")

    def allowed(self, concepts: Sequence[str]) -> list[str]:
        """Concepts that this split may use."""
        return [concept for concept in concepts if self.held_out or concept not in world.HELD_OUT]

    def pick(self, concepts: Sequence[str], *, but: object = None) -> str:
        """One allowed concept other than a given one."""
        return self.random.choice([concept for concept in self.allowed(concepts) if concept != but])

    def chance(self, share: float) -> bool:
        """True in this share of the draws."""
        return self.random.random() < share

    def one_of(self, *options: Callable[[], T]) -> T:
        """The value of one of several ways to draw, all as likely."""
        return self.random.choice(options)()

    # phrases ---------------------------------------------------------------

    def name(self, *, but: NP | None = None, surname: bool = False) -> NP:
        """A person's name."""
        other = but.head if but else None
        head = self.pick(world.NAMES, but=other)
        return NP(head, "name", surname=self.pick(world.SURNAMES) if surname else None)

    def person(self, *, but: NP | None = None) -> NP:
        """A name or a role with the definite article."""
        if self.chance(0.5):
            return self.name(but=but)
        return NP(self.pick(world.ROLES, but=but.head if but else None), "def")

    def thing(self, verb: str, *, described: float = 0.4, counted: float = 0.0, but: str | None = None) -> NP:
        """A thing that fits the verb, as somebody would first speak of it."""
        head = self.pick(world.OBJECTS[verb], but=but)
        if head in world.MASS:
            return NP(head, "mass")
        form: Form = "def" if verb in world.DEFINITE_VERBS else "indef"
        countable = head not in {*world.ANIMALS, "fish", "house", "phone", "camera"} and form == "indef"
        if countable and self.chance(counted):
            return NP(head, self.random.choice(NUMERALS))
        return NP(head, form, self.adjective(head) if self.chance(described) else None)

    def adjective(self, head: str, *, but: str | None = None) -> str | None:
        """An adjective that fits the noun, if there is one."""
        fitting = [word for word in self.allowed(world.DESCRIBED.get(head, ())) if word != but]
        return self.random.choice(fitting) if fitting else None

    def place(self, verb: str, *, but: str | None = None) -> str:
        """A place where one does this."""
        return self.pick(world.USUAL_PLACES.get(verb, world.PLACES), but=but)

    def time(self, *, but: str | None = None) -> str:
        """A time in the past."""
        return self.pick(world.PAST_TIMES, but=but)

    # events ----------------------------------------------------------------

    def deed(self, *, counted: float = 0.0) -> Event:
        """Somebody does something with a thing."""
        verb = self.pick(tuple(world.OBJECTS))
        return Event(verb, self.person(), self.thing(verb, counted=counted), place=self.place(verb))

    def encounter(self, *, names: bool = False) -> Event:
        """Somebody does something to a person."""
        subject = self.name() if names else self.person()
        target = self.name(but=subject) if names else self.person(but=subject)
        verb = self.pick(world.PERSON_VERBS)
        return Event(verb, subject, target, place=self.place(verb))

    def care(self) -> Event:
        """Somebody sees or feeds an animal."""
        verb = self.pick(world.ANIMAL_VERBS)
        animal = self.pick(world.ANIMALS)
        form: Form = "def" if verb == "feed" else "indef"
        adjective = self.adjective(animal) if self.chance(0.4) else None
        return Event(verb, self.person(), NP(animal, form, adjective), place=self.place("feed"))

    def gift(self, *, names: bool = False) -> Event:
        """Somebody gives, shows or sends a thing to somebody."""
        subject = self.name() if names else self.person()
        recipient = self.name(but=subject) if names else self.person(but=subject)
        verb = self.pick(world.GIVING_VERBS)
        head = self.pick(world.GIFTS[verb])
        thing = NP(head, "indef", self.adjective(head) if self.chance(0.3) else None)
        return Event(verb, subject, thing, recipient, place=None if verb == "send" else self.place(verb))

    def activity(self) -> Event:
        """Somebody does something that needs no object."""
        verb = self.pick(world.PLAIN_VERBS)
        return Event(verb, self.person(), place=self.place(verb))

    def walk(self) -> Event:
        """Somebody goes to a place."""
        return Event("go", self.person(), goal=self.pick(world.PLACES))

    def journey(self, *, names: bool = False) -> Event:
        """Somebody travels from one city to another."""
        source = self.pick(world.CITIES)
        subject = self.name() if names else self.person()
        return Event("travel", subject, source=source, goal=self.pick(world.CITIES, but=source))

    def any_event(self) -> Event:
        """An event of any kind, without a time."""
        event = self.one_of(
            lambda: self.deed(counted=0.15), lambda: self.deed(counted=0.15), self.encounter, self.care,
            self.gift, self.activity, self.walk, self.journey,
        )  # fmt: skip
        return replace(event, place=None) if self.chance(0.3) else event

    def timed(self, event: Event, share: float = 1.0) -> Event:
        """The event with a time in this share of the draws."""
        return replace(event, time=self.time()) if self.chance(share) else event

    def fronted(self, event: Event) -> Event:
        """The event with its adverbials in an order of its own."""
        options = [""]
        if event.time:
            options += ["time"]
        if event.place and not event.negative and event.verb not in {"live", "born", "work_for"}:
            options += ["place"]
        front = self.random.choice(options)
        return replace(event, front=front)  # type: ignore[arg-type]

    def habit(self) -> Event:
        """What somebody or an animal does regularly, in the present."""
        if self.chance(0.2):
            subject = NP(self.pick(world.ANIMALS), "def")
            event = self.one_of(
                lambda: Event("sleep", subject, place=self.pick(world.USUAL_PLACES["animal"])),
                lambda: Event(
                    "drink", subject, NP("water", "mass"), place=self.pick(("garden", "village", "park"))
                ),
            )
        else:
            event = self.one_of(self._pastime, self.walk, self._meal, self._reading)
        daily = event.verb in {"sleep", "eat", "drink"}
        times = world.PRESENT_TIMES[: 2 if daily else 3]
        return replace(event, time=self.pick(times), present=True)

    def _pastime(self) -> Event:
        verb = self.pick(("work", "dance", "sing", "rest"))
        return Event(verb, self.person(), place=self.place(verb))

    def _meal(self) -> Event:
        verb = self.pick(("eat", "drink"))
        return Event(verb, self.person(), self.thing(verb, described=0), place=self.place(verb))

    def _reading(self) -> Event:
        thing = NP(self.pick(("book", "newspaper", "magazine")), "indef")
        return Event("read", self.person(), thing, place=self.place("read"))

    def group(self) -> NP:
        """Two people with names, or several of one role."""
        if self.chance(0.5):
            first = self.name()
            return replace(first, also=self.name(but=first))
        return NP(self.pick(world.ROLES), self.random.choice(NUMERALS))


def unique(
    make: Callable[[], T | None], key: Callable[[T], object], seen: set[object], number: int
) -> list[T]:
    """Draw until there are as many items as asked for whose keys are new.

    Args:
        make: Draws one item, or None for one that is no use.
        key: What makes two items the same.
        seen: Keys that are taken; the new ones are added.
        number: How many to draw.

    Raises:
        RuntimeError: If the world is too small for that many.
    """
    items: list[T] = []
    for _ in range(200 * number + 1000):
        if len(items) == number:
            return items
        item = make()
        if item is None or key(item) in seen:
            continue
        seen.add(key(item))
        items.append(item)
    raise RuntimeError(f"only {len(items)} of {number} different items could be drawn")
