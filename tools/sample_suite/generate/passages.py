"""Short passages with questions about who, what, where and when. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from sample_suite.generate.draw import Draw
from sample_suite.model import Event, Slot

#: Which constituent answers a question.
ROLE_OF = {"who": "subject", "what": "object", "whom": "object", "where": "place", "when": "time"}


@dataclass(frozen=True)
class Question:
    """A question about one of the sentences of a passage."""

    index: int
    slot: Slot


@dataclass(frozen=True)
class Passage:
    """Sentences about different people, and questions with one answer each."""

    events: tuple[Event, ...]
    questions: tuple[Question, ...]


def slots(event: Event) -> list[Slot]:
    """What can be asked about a sentence."""
    found: list[Slot] = ["who"]
    if event.object and not event.recipient and event.verb not in {"feed"}:
        if event.object.form == "name" or event.verb in {"meet", "help", "visit", "thank", "call", "invite"}:
            found.append("whom")
        elif event.verb != "see":
            found.append("what")
    if event.place:
        found.append("where")
    if event.time:
        found.append("when")
    return found


def passage(draw: Draw) -> Passage | None:
    """A passage of three to five sentences with two questions, or None where a question is not clear."""
    events: list[Event] = []
    wanted = draw.random.randint(3, 5)
    for _ in range(40):
        if len(events) == wanted:
            break
        event = draw.one_of(draw.deed, draw.deed, draw.encounter, draw.gift, draw.activity, draw.care)
        if events and draw.chance(0.35) and events[-1].verb == event.verb:
            continue
        event = draw.timed(event, 0.85)
        if all(_differ(event, other) for other in events):
            events.append(draw.fronted(event) if event.front != "place" else event)
    if len(events) < wanted:
        return None
    events = [_plain_place(event) for event in events]
    options = [Question(index, slot) for index, event in enumerate(events) for slot in slots(event)]
    # Each kind of question is as likely, however many sentences allow it.
    kinds = sorted({question.slot for question in options})
    chosen: list[Question] = []
    while len(chosen) < 2:
        kind = draw.random.choice(kinds)
        question = draw.random.choice([option for option in options if option.slot == kind])
        if question not in chosen:
            chosen.append(question)
    return Passage(tuple(events), tuple(chosen))


def _plain_place(event: Event) -> Event:
    """The event with its place after the verb, so that a comma never belongs to an answer."""
    return Event(
        event.verb, event.subject, event.object, event.recipient, event.place, time=event.time,
        front="time" if event.front == "time" else "",
    )  # fmt: skip


def _differ(event: Event, other: Event) -> bool:
    """Whether two sentences are about different people and different deeds."""
    people = {event.subject.head, event.object.head if event.object else ""}
    if other.subject.head in people or event.subject.head == (other.object.head if other.object else ""):
        return False
    return event.verb != other.verb or (
        event.object is not None and other.object is not None and event.object.head != other.object.head
    )
