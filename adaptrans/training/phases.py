"""The intermediate and target phases: data, model, loop, artefact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from adaptrans.data.encodings import Encoder, encode
from adaptrans.devices import pick_device, pick_precision
from adaptrans.environment import environment
from adaptrans.errors import MissingDataError, TrainingError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.predict import Predictor
from adaptrans.files import digest
from adaptrans.hub.store import Run
from adaptrans.models.adapting import Assembled, HeadSpec, assemble, with_head, without_embeddings
from adaptrans.models.artefact import save_artefact
from adaptrans.models.backbone import load_tokenizer, tokenizer_fingerprint
from adaptrans.progress import progress
from adaptrans.runs.specs import TrainSpec
from adaptrans.tasks.kinds import KINDS, Kind
from adaptrans.training.loop import Job, train
from adaptrans.training.streams import Source

if TYPE_CHECKING:
    from accelerate import Accelerator
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast


def run_training(spec: TrainSpec) -> Run:
    """Train what the spec says, unless the store has it; go on where a killed run stopped.

    Returns:
        The finished run, whose `artefact` holds what was trained and nothing else.

    Raises:
        MissingDataError: If there is no training data.
        TrainingError: If training cannot go on.
        ArtefactError: If another process is at work on the same run.
    """
    run = spec.run
    if run.is_done:
        run.sweep()
        return run
    with spec.workspace.store.working_on(run, spec.record):
        if not run.is_done:
            _train(spec, run)
    return run


def _train(spec: TrainSpec, run: Run) -> None:
    device = pick_device(spec.workspace.device)
    precision = pick_precision(spec.config.precision, device)
    run.log_environment(environment(str(device), precision))
    parts = [_Data(part) for part in spec.parts]
    splits = [data.split("train", spec.config.limit_train, training=True) for data in parts]
    head, *more_heads = (data.head(examples) for data, (examples, _) in zip(parts, splits, strict=True))
    assembled = assemble(
        spec.workspace.backbone,
        spec.setup,
        target=spec.task.name,
        head=head,
        more_heads=more_heads,
        method=spec.method,
        parents={name: parent.artefact for name, parent in spec.parents.items()},
        seed=spec.seed,
    )
    if spec.config.freeze_embeddings:
        assembled = without_embeddings(assembled)
    accelerator = accelerator_for(device)
    assembled.model.to(device)
    sources = tuple(
        Source(
            data.spec.reference,
            with_head(assembled, name),
            data.kind,
            features,
            [example.id for example in examples],
        )
        for name, data, (examples, features) in zip(assembled.heads, parts, splits, strict=True)
    )
    job = Job(
        description=f"{spec.phase} {spec.reference} ({spec.setup})",
        assembled=assembled,
        sources=sources,
        config=spec.config.resolved(spec.whole_model),
        seed=spec.seed,
        folder=run.path,
        padding_id=parts[0].padding_id,
        device=device,
        precision=precision,
        dev_score=_mean_dev_score(sources, [data.dev_score(device, precision) for data in parts]),
    )
    place = train(job, accelerator)
    scores = {"dev": place.best_score, "dev_step": place.best_step, "steps": place.step}
    save_artefact(
        assembled,
        run.artefact,
        {
            "task_version": spec.task.version,
            "kind": spec.task.kind,
            "trained_by": run.key,
            "parent_keys": {name: parent.key for name, parent in spec.parents.items()},
            "training_data": {"languages": _train_languages(spec), "note": spec.task.note},
            **({"mix": [part.reference for part in spec.parts]} if spec.others else {}),
            "scores": scores,
        },
    )
    trained = sum(dict(assembled.model.named_parameters())[name].numel() for name in assembled.trained)
    run.finish(
        {
            **scores,
            "seconds": place.seconds,
            "trained_parameters": trained,
            "examples": sum(len(examples) for examples, _ in splits),
            "source_languages": source_languages(spec),
            "notes": training_notes(spec, [note for data in parts for note in data.notes]),
        }
    )
    run.sweep()


def source_languages(spec: TrainSpec) -> list[str]:
    """Languages that had labels in this run or in one it builds on."""
    inherited = [code for parent in spec.parents.values() for code in parent.result()["source_languages"]]
    return sorted({*_train_languages(spec), *inherited})


def _train_languages(spec: TrainSpec) -> list[str]:
    """Languages of the training data of all its tasks."""
    return list(dict.fromkeys(code for part in spec.parts for code in part.train_languages))


def training_notes(spec: TrainSpec, read: Sequence[str]) -> list[str]:
    """What the reader of a score made with this run has to know, notes of its parents included."""
    notes = dict.fromkeys(note for parent in spec.parents.values() for note in parent.result()["notes"])
    for part in spec.parts:
        for split in ("train", "dev") if part.has_dev else ("train",):
            own = part.task.split(split).note
            if own:
                notes[f"{part.task.name} {split}: {own}"] = None
        if spec.config.limit_train is not None:
            notes[f"{part.task.name}: trained on {spec.config.limit_train} examples only"] = None
    lacking = [part.task.name for part in spec.parts if not part.has_dev]
    if len(lacking) == len(spec.parts):
        notes[f"{spec.reference}: no dev set, so the weights of the last step"] = None
    elif lacking:
        notes[f"{spec.reference}: no dev set of {', '.join(lacking)}, so selected on the others"] = None
    notes.update(dict.fromkeys(read))
    return list(notes)


def _mean_dev_score(
    sources: Sequence[Source], scores: Sequence[Callable[[Assembled], float] | None]
) -> Callable[[Assembled], float] | None:
    """The mean of the tasks' dev scores, None where no task has a dev set."""
    pairs = [(source, score) for source, score in zip(sources, scores, strict=True) if score is not None]
    if not pairs:
        return None
    return lambda _: sum(score(source.assembled) for source, score in pairs) / len(pairs)


def accelerator_for(device: torch.device) -> Accelerator:
    """What distributes a run over devices; here one process."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=device.type == "cpu")
    # The loop divides by the terms of the step itself; the environment must not divide once more.
    accelerator.gradient_accumulation_steps = 1
    if accelerator.num_processes > 1:
        raise TrainingError(
            f"{accelerator.num_processes} processes were started", remedy="start one process per run"
        )
    return accelerator


class _Data:
    """Examples and encodings of a training spec."""

    def __init__(self, spec: TrainSpec) -> None:
        self.spec = spec
        self.kind: Kind = KINDS[spec.task.kind]
        self.tokenizer: PreTrainedTokenizerFast = load_tokenizer(spec.workspace.backbone)
        assert self.tokenizer.pad_token_id is not None
        self.padding_id: int = self.tokenizer.pad_token_id
        self.notes: list[str] = []

    def split(self, split: str, limit: int | None, *, training: bool) -> tuple[list[Any], Dataset]:
        """Examples of all training languages of a split, and their encoding."""
        spec = self.spec
        keys = spec.data_keys(split)
        examples = [
            example
            for language in keys
            for example in spec.workspace.examples(spec.task, split, language, limit, self.notes)
        ]
        if not examples:
            raise MissingDataError(
                f"{spec.task.name} {split} has no examples in {', '.join(keys)}",
                remedy="check the data folder",
            )
        encoder = Encoder(
            self.kind,
            spec.task,
            self.tokenizer,
            tokenizer_fingerprint(spec.workspace.backbone),
            spec.max_length,
            training=training,
        )
        with progress(f"encoding {spec.task.name} {split}", len(examples)) as meter:
            cache = spec.workspace.store.cache
            return examples, encode(encoder, examples, digest([keys, split, limit]), cache, tick=meter.to)

    def head(self, examples: Sequence[Any]) -> HeadSpec:
        """The fresh head of the task; choices are counted in the training data."""
        answers = self.kind.answers
        if answers is None:
            raise TrainingError(f"{self.spec.task.name} has no training", remedy="evaluate it directly")
        labels = self.spec.task.labels
        if self.kind.name == "multiple_choice":
            labels = tuple(str(i) for i in range(max(len(example.choices) for example in examples)))
        if self.kind.name == "passage_ranking":
            labels = tuple(str(i) for i in range(self.spec.workspace.backbone.width))
        return HeadSpec(self.spec.task.name, answers.head, labels)

    def dev_score(self, device: torch.device, precision: str) -> Callable[[Assembled], float] | None:
        """The primary score on the dev set of the training languages, None where there is no dev set."""
        if not self.spec.has_dev:
            return None
        examples, features = self.split("dev", self.spec.config.limit_dev, training=False)
        rule = SCORES[self.spec.task.scores[0]]
        golds = [self.kind.gold(example) for example in examples]

        def score(assembled: Assembled) -> float:
            labels = assembled.head.labels if assembled.head is not None else ()
            predictor = Predictor(
                assembled,
                self.kind,
                labels,
                self.padding_id,
                self.spec.config.tokens_per_batch,
                device,
                precision,
            )
            predictions = list(predictor.predictions(examples, features))
            value = rule.compute(golds, predictions)[rule.primary]
            return value if rule.higher_is_better else -value

        return score
