"""The run that trains a masked language model head for an encoder without one, before it runs. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from adaptrans.errors import ConfigError
from adaptrans.modeling.adapter_methods import DEFAULT_METHOD
from adaptrans.modeling.setup.parser import parse
from adaptrans.modeling.setup.validation import UNQUANTIZED
from adaptrans.runs.base import TRAINING, RunProfile, passes
from adaptrans.runs.train import TrainSpec
from adaptrans.runs.training_args import TrainingConfig, training_config
from adaptrans.runs.workspace import Workspace
from adaptrans.utils.formats import MLM_MASKS

PHASE: Final = "head"

METHOD = "head"
"""What is trained, beside `full` and the adapter methods."""

DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 3e-3,
    "epochs": 1,
    "tokens_per_batch": 2048,
    "limit_dev": 8,
}
"""Options that differ from those of other runs; the rate was measured by us on e5-small.

Every hidden token has a logit for each entry of the vocabulary, so that few are computed at once.
"""


@dataclass(frozen=True)
class MaskedLMHeadSpec(TrainSpec):
    """One masked language model head on the frozen encoder; the task is a text."""

    PREPARE: ClassVar[str] = "adaptrans.training.masked_lm_head:head"

    def __post_init__(self) -> None:
        if not self.task.type.plain_text:
            raise ConfigError(
                f"{self.task.name} is no text, which a masked language model head is trained on",
                remedy="name a text task, such as mlm",
            )
        if self.config.quantize != UNQUANTIZED:
            raise ConfigError(
                f"quantize {self.config.quantize}: a head is trained on the encoder as it is",
                remedy="leave quantize out",
            )
        super().__post_init__()

    @property
    def about(self) -> str:
        """The head."""
        return f"the masked language model head of {self.workspace.backbone.name}"

    @property
    def effective_method(self) -> str:
        """The head alone is trained."""
        return METHOD

    @property
    def has_dev(self) -> bool:
        """No split of the task: blocks of the text itself are held out, `limit_dev` of each language."""
        return False

    @property
    def own_inputs(self) -> dict[str, Any]:
        """The text, its masks and the options."""
        return {**super().own_inputs, "setup": METHOD, "masks": MLM_MASKS}

    @property
    def label(self) -> str:
        """Readable part of the folder's name."""
        return f"{self.task.name}.{METHOD}.s{self.seed}"

    def describe(self) -> str:
        """What it computes, in words."""
        return f"{PHASE}: train a masked language model head on {self.task.name}"

    def profile(self, known: Mapping[str, float]) -> RunProfile:
        """What its cost depends on; how many lines a text has is known once it was read."""
        examples = self._examples(known)
        inputs = None if examples is None else passes(self.config.model_dump(), examples)
        return RunProfile.of(self, TRAINING, self.reference, METHOD, self.max_length, inputs)


def head_spec(
    where: Workspace,
    task: str,
    languages: Sequence[str] = (),
    seed: int = 1,
    options: Mapping[str, Any] | None = None,
) -> MaskedLMHeadSpec:
    """The run of a head.

    Args:
        where: Where it works; its backbone gets the head.
        task: A text task.
        languages: Languages of the text; empty for all that there are.
        seed: Seed of weights, masks and batches.
        options: Fields of `TrainingConfig` that win over `DEFAULTS`.
    """
    config: TrainingConfig = training_config(DEFAULTS, options or {})
    return MaskedLMHeadSpec(
        where,
        PHASE,
        parse("adapter"),
        where.task(task),
        # What a forecast of memory counts: an adapter under such a head, which takes more than that alone.
        DEFAULT_METHOD,
        config.model_copy(update={"select": "source_dev"}),
        seed,
        languages=tuple(languages),
    )
