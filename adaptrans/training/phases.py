"""The intermediate and target phases: data, model, loop, artefact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from adaptrans import processes
from adaptrans.data.encodings import Encoder, encode
from adaptrans.devices import pick_device, pick_precision
from adaptrans.environment import environment
from adaptrans.errors import MissingDataError, TrainingError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.predict import Predictor
from adaptrans.files import digest
from adaptrans.hub.provenance import sources_of
from adaptrans.hub.store import Run
from adaptrans.models.adapting import Assembled, HeadSpec, assemble, with_head, without_embeddings
from adaptrans.models.artefact import save_artefact
from adaptrans.models.backbone import load_tokenizer, tokenizer_fingerprint
from adaptrans.models.bits import FLOAT, require_bitsandbytes
from adaptrans.models.recipes import ANSWERING, rules
from adaptrans.models.trimming import tokens_of
from adaptrans.progress import progress, remark
from adaptrans.runs.config import TrainingConfig
from adaptrans.runs.mixes import is_text, provenance, selecting
from adaptrans.runs.specs import TrainSpec
from adaptrans.tasks import subset
from adaptrans.tasks.kinds import KINDS, Kind
from adaptrans.training.budget import within_budget
from adaptrans.training.loop import Job, train
from adaptrans.training.streams import Source
from adaptrans.training.trunk import above_trunk

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
    return spec.workspace.store.once(spec.run, spec.record, partial(_train, spec))


def _train(spec: TrainSpec, run: Run) -> None:
    require_bitsandbytes(spec.config.quantise)
    device = pick_device(spec.workspace.device)
    # Tasks that share a head number its labels alike.
    parts = [
        _Data(part, spec.parts[place].task.labels) for part, place in zip(spec.parts, spec.heads, strict=True)
    ]
    splits = [data.split("train", spec.config.limit_train, training=True) for data in parts]
    config, precision, chosen = within_budget(
        spec, [features for _, features in splits], pick_precision(spec.config.precision, device)
    )
    if chosen is not None:
        remark(chosen)
    run.log_environment(environment(str(device), precision))
    assembled, names = _assembled(spec, parts, splits, config)
    accelerator = accelerator_for(device)
    assembled.model.to(device)
    sources = tuple(
        Source(
            data.spec.reference,
            with_head(assembled, names[place]),
            data.kind,
            features,
            [example.id for example in examples],
            groups=_languages(examples, features) if is_text(data.spec.task) else None,
        )
        for place, data, (examples, features) in zip(spec.heads, parts, splits, strict=True)
    )
    cache, padding_id = spec.workspace.store.cache, parts[0].padding_id
    sources = above_trunk(sources, config, cache, padding_id, device, precision)
    dev_scores = [
        data.dev_score(device, precision) if chosen else None
        for data, chosen in zip(parts, selecting(spec.parts), strict=True)
    ]
    job = Job(
        description=f"{spec.phase} {spec.reference} ({spec.setup})",
        assembled=assembled,
        sources=sources,
        config=config.resolved(spec.whole_model),
        seed=spec.seed,
        folder=run.path,
        padding_id=parts[0].padding_id,
        device=device,
        precision=precision,
        dev_score=_mean_dev_score(sources, dev_scores),
    )
    place = train(job, accelerator)
    keep(
        run,
        assembled,
        {"dev": place.best_score, "dev_step": place.best_step, "steps": place.step},
        _described(spec),
        {
            "seconds": place.seconds,
            "examples": sum(len(examples) for examples, _ in splits),
            "source_languages": source_languages(spec),
            "notes": training_notes(
                spec,
                [note for data in parts for note in data.notes],
                [len(examples) for examples, _ in splits],
            ),
        },
    )


def _assembled(
    spec: TrainSpec,
    parts: Sequence[_Data],
    splits: Sequence[tuple[list[Any], Dataset]],
    config: TrainingConfig,
) -> tuple[Assembled, dict[int, str]]:
    """The model of a run, and the name of each head by the place of the first part that it answers."""
    owners = sorted(set(spec.heads))
    head, *more_heads = (parts[place].head(splits[place][0]) for place in owners)
    backbone, datasets = spec.workspace.backbone, [features for _, features in splits]
    trims = config.trims(spec.whole_model)
    assembled = assemble(
        backbone,
        spec.setup,
        target=spec.task.name,
        head=head,
        more_heads=more_heads,
        method=spec.method,
        parents={name: parent.artefact for name, parent in spec.parents.items()},
        seed=spec.seed,
        tokens=tokens_of(datasets, backbone.vocabulary) if trims else None,
        quantise=config.quantise,
    )
    if spec.config.freeze_embeddings:
        assembled = without_embeddings(assembled)
    return assembled, dict(zip(owners, assembled.heads, strict=True))


def _described(spec: TrainSpec) -> dict[str, Any]:
    """What the artefact of a run says about how it was made."""
    sources = [
        source.model_dump(mode="json")
        for part in spec.parts
        for source in sources_of(part.task, "train", part.train_languages, part.data_keys("train"))
    ]
    return {
        "task_version": spec.task.version,
        "kind": spec.task.kind,
        ANSWERING: {part.task.name: rules(part.task, part.max_length) for part in spec.parts},
        "parent_keys": {name: parent.key for name, parent in spec.parents.items()},
        "training_data": {
            "languages": _train_languages(spec),
            "provenance": provenance(spec.parts),
            "sources": sources,
            "note": spec.task.note,
        },
        **({"mix": [part.reference for part in spec.parts]} if spec.others else {}),
    }


def keep(
    run: Run, assembled: Assembled, scores: dict[str, Any], described: dict[str, Any], facts: dict[str, Any]
) -> None:
    """Save what a run trained, and close it; of several processes the first one does.

    Args:
        run: The run.
        assembled: Its model, with the weights to keep.
        scores: What the artefact and the run say of the dev set and the steps.
        described: What the artefact says besides.
        facts: What the run says besides.
    """
    if not processes.is_main():
        return
    save_artefact(assembled, run.artefact, {**described, "trained_by": run.key, "scores": scores})
    parameters = dict(assembled.model.named_parameters())
    trained = sum(parameters[name].numel() for name in assembled.trained)
    run.finish({**scores, "trained_parameters": trained, **facts})
    run.sweep()


def source_languages(spec: TrainSpec) -> list[str]:
    """Languages that had labels in this run or in one it builds on."""
    inherited = [code for parent in spec.parents.values() for code in parent.result()["source_languages"]]
    return sorted({*_train_languages(spec), *inherited})


def _train_languages(spec: TrainSpec) -> list[str]:
    """Languages of the training data of all its tasks."""
    return list(dict.fromkeys(code for part in spec.parts for code in part.train_languages))


def training_notes(spec: TrainSpec, read: Sequence[str], sizes: Sequence[int]) -> list[str]:
    """What the reader of a score made with this run has to know, notes of its parents included.

    Args:
        spec: The run.
        read: What was noted when its data were read.
        sizes: Examples that each of its tasks was trained on.
    """
    notes = dict.fromkeys(note for parent in spec.parents.values() for note in parent.result()["notes"])
    for part, size in zip(spec.parts, sizes, strict=True):
        for split in ("train", "dev") if part.has_dev else ("train",):
            own = part.task.split(split).note
            if own:
                notes[f"{part.task.name} {split}: {own}"] = None
        if spec.config.limit_train is not None:
            notes[f"{part.task.name}: trained on {size:,} examples only"] = None
        if part.has_dev and not set(part.train_languages) <= set(part.dev_languages):
            notes[f"{part.reference}: selected on the dev set of {', '.join(part.dev_languages)} alone"] = (
                None
            )
    if spec.config.quantise != FLOAT:
        notes[f"{spec.reference}: trained around a base in {spec.config.quantise}"] = None
    lacking = [part.task.name for part in spec.parts if not part.has_dev]
    if len(lacking) == len(spec.parts):
        notes[f"{spec.reference}: no dev set, so the weights of the last step"] = None
    elif lacking:
        notes[f"{spec.reference}: no dev set of {', '.join(lacking)}, so selected on the others"] = None
    notes.update(dict.fromkeys(read))
    return list(notes)


def _languages(examples: Sequence[Any], features: Dataset) -> list[int]:
    """Number of the language of each input."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(examples[place].language, len(numbers)) for place in features["example"][:]]


def _mean_dev_score(
    sources: Sequence[Source], scores: Sequence[Callable[[Assembled], float] | None]
) -> Callable[[Assembled], float] | None:
    """The mean of the tasks' dev scores, None where no task has a dev set."""
    pairs = [(source, score) for source, score in zip(sources, scores, strict=True) if score is not None]
    if not pairs:
        return None
    return lambda _: sum(score(source.assembled) for source, score in pairs) / len(pairs)


def accelerator_for(device: torch.device) -> Accelerator:
    """What runs the backward pass, in each of the processes that train together."""
    from accelerate import Accelerator

    processes.connect()
    accelerator = Accelerator(cpu=device.type == "cpu")
    # The loop divides by the terms of the step itself; the environment must not divide once more.
    accelerator.gradient_accumulation_steps = 1
    return accelerator


class _Data:
    """Examples and encodings of a training spec.

    Args:
        spec: The run, of one task.
        labels: Its labels in the order of the head.
    """

    def __init__(self, spec: TrainSpec, labels: tuple[str, ...]) -> None:
        self.spec = spec
        self.task = spec.task.model_copy(update={"labels": labels})
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
                remedy="give more data, of which it is a part"
                if spec.task.split(split).holdout
                else "check the data folder",
            )
        encoder = Encoder(
            self.kind,
            self.task,
            self.tokenizer,
            tokenizer_fingerprint(spec.workspace.backbone),
            spec.max_length,
            training=training,
        )
        # Of several processes the first one encodes, and the others find it.
        with (
            processes.main_first(),
            progress(f"encoding {spec.task.name} {split}", len(examples)) as meter,
        ):
            cache = spec.workspace.store.cache
            key = digest([keys, split, limit, subset.rule(limit)])
            return examples, encode(encoder, examples, key, cache, tick=meter.to)

    def head(self, examples: Sequence[Any]) -> HeadSpec:
        """The fresh head of the task; choices are counted in the training data."""
        answers = self.kind.answers
        if answers is None:
            raise TrainingError(f"{self.spec.task.name} has no training", remedy="evaluate it directly")
        labels = self.task.labels
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
