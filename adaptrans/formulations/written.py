"""A formulation as it is written. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from adaptrans.errors import ConfigError
from adaptrans.formulations.prompts import ENGLISH

HEAD = "head"
"""The formulation that a task has of itself."""

OWN, SWITCHED = "own", "switched"
"""Languages of a prompt: that of the example; one that a hash of its id draws."""

UNTRAINED, CALIBRATED, FIRST_TOKEN, CHOICE = "untrained", "calibrated", "first_token", "choice"
"""What may follow a slash."""


@dataclass(frozen=True)
class Wording:
    """Languages of a template and of its label words.

    Example:
        >>> str(Wording("en", "own")), str(Wording("sw", "sw"))
        ('en:own', 'sw')
    """

    template: str
    words: str

    def __str__(self) -> str:
        return self.template if self.template == self.words else f"{self.template}:{self.words}"


@dataclass(frozen=True)
class Written:
    """A formulation as it is written: `cloze:en`, `cloze:en:own/untrained/calibrated`, `mine:en+own`.

    Args:
        name: A kind, or the name of a prompt file.
        wordings: The prompts that an example is put under; several answer together.
        options: What follows slashes, sorted.
    """

    name: str
    wordings: tuple[Wording, ...]
    options: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Written:
        """Read a formulation.

        Raises:
            ConfigError: If the text has another form.

        Example:
            >>> str(Written.parse("cloze")), str(Written.parse("cloze:en:own+own/untrained"))
            ('cloze:en', 'cloze:en:own+own/untrained')
        """
        head, *options = [part.strip() for part in text.strip().split("/")]
        name, _, spoken = head.partition(":")
        pairs = [part.strip().split(":") for part in spoken.split("+")] if spoken else [[ENGLISH]]
        if not name or not all(all(pair) and len(pair) < 3 for pair in pairs) or not all(options):
            raise ConfigError(
                f'"{text}" is no formulation', remedy="as head, cloze:en, cloze:en:own, cloze:own/untrained"
            )
        wordings = tuple(dict.fromkeys(Wording(pair[0].strip(), pair[-1].strip()) for pair in pairs))
        return cls(name, wordings, tuple(sorted(set(options))))

    def __str__(self) -> str:
        spoken = "+".join(map(str, self.wordings))
        return "/".join([f"{self.name}:{spoken}", *self.options])


def split_name(text: str) -> tuple[str, str]:
    """A target as it is written: the task, and its formulation, empty for none.

    Example:
        >>> split_name("xnli[cloze:en]"), split_name("xnli"), split_name("mnli[de,ru]")
        (('xnli', 'cloze:en'), ('xnli', ''), ('mnli[de,ru]', ''))
    """
    task, bracket, rest = text.partition("[")
    inside = rest.removesuffix("]")
    if not bracket or rest == inside or "," in inside:
        return text, ""
    return task.strip(), inside.strip()
