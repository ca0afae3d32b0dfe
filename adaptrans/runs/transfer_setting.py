"""What a score has seen of the target languages: nothing, a few examples, their dev sets. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NOT_ZERO_SHOT = "not zero-shot"


@dataclass(frozen=True, order=True)
class Regime:
    """What was seen of the target languages. Scores of different regimes stand in tables of their own.

    Args:
        target_dev: Whether weights were selected on their dev sets.
        shots: Examples per label on which training went on; 0 for none.

    Example:
        >>> Regime().label, Regime(shots=5).label, Regime(target_dev=True, shots=1).label
        ('', '+5-shot', '+target-dev +1-shot')
        >>> Regime(shots=5).words
        'not zero-shot: went on training on 5 examples per label of each target language'
    """

    target_dev: bool = False
    shots: int = 0

    @property
    def zero_shot(self) -> bool:
        """Whether nothing with labels was seen."""
        return not self.target_dev and not self.shots

    @property
    def label(self) -> str:
        """What follows the name of a setup; empty for zero-shot."""
        parts = ["+target-dev"] if self.target_dev else []
        return " ".join([*parts, *([f"+{self.shots}-shot"] if self.shots else [])])

    @property
    def words(self) -> str:
        """What tables say; empty for zero-shot."""
        parts = ["weights selected on the target languages' dev sets"] if self.target_dev else []
        if self.shots:
            parts.append(f"went on training on {self.shots} examples per label of each target language")
        return f"{NOT_ZERO_SHOT}: {', '.join(parts)}" if parts else ""

    def row(self, setup: str) -> str:
        """The name of a setup's row.

        Example:
            >>> Regime(shots=5).row("mnli > target"), Regime().row("full")
            ('mnli > target +5-shot', 'full')
        """
        return f"{setup} {self.label}" if self.label else setup


ZERO_SHOT = Regime()
"""Nothing with labels was seen."""


def regime_of(inputs: Mapping[str, Any]) -> Regime:
    """The regime of a training run, from the inputs that make its key.

    Example:
        >>> regime_of({"config": {"select": "target_dev"}}).target_dev, regime_of({"config": {}}).zero_shot
        (True, True)
    """
    config = inputs.get("config", {})
    return Regime(
        target_dev=config.get("select") == "target_dev" or bool(inputs.get("start_target_dev")),
        shots=int(inputs.get("shots", 0)),
    )
