"""The intermediate and target phases: data, model, loop, artifact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from adaptrans.data.encoding import Encoder, encode
from adaptrans.errors import MissingDataError, TrainingError
from adaptrans.evaluation.inference import Predictor
from adaptrans.evaluation.metrics import SCORES
from adaptrans.hub.package import sources_of
from adaptrans.modeling.artifact import save_artifact
from adaptrans.modeling.backbone import load_tokenizer, tokenizer_fingerprint
from adaptrans.modeling.efficiency.vocab_trimming import tokens_of
from adaptrans.modeling.heads import HeadSpec
from adaptrans.modeling.language_adapters import MaskedLMHead, assemble_language
from adaptrans.modeling.model import SetupModel, assemble, with_head, without_embeddings
from adaptrans.modeling.setup.validation import UNQUANTIZED, require_bitsandbytes
from adaptrans.runs.language_adapter import LanguageSpec
from adaptrans.runs.store import Run
from adaptrans.runs.train import TrainSpec, is_text, provenance, selecting
from adaptrans.runs.training_args import TrainingConfig
from adaptrans.task_types import masked_lm
from adaptrans.task_types.base import TASK_TYPES, Feature, TaskType
from adaptrans.task_types.masked_lm import KIND, vocabulary
from adaptrans.task_types.recipes import ANSWERING, rules
from adaptrans.task_types.tensors import collated
from adaptrans.tasks import loading
from adaptrans.tasks.readers.text import read_lines
from adaptrans.training.auto_batch import within_budget
from adaptrans.training.frozen_prefix import above_trunk
from adaptrans.training.loop import Job, train
from adaptrans.training.multitask import TrainingTask
from adaptrans.utils import distributed
from adaptrans.utils.devices import autocast, pick_device, pick_precision
from adaptrans.utils.environment import environment
from adaptrans.utils.io import digest
from adaptrans.utils.progress import progress, remark

if TYPE_CHECKING:
    from accelerate import Accelerator
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast


def run_training(spec: TrainSpec) -> Run:
    """Train what the spec says, unless the store has it; go on where a killed run stopped.

    Returns:
        The finished run, whose `artifact` holds what was trained and nothing else.

    Raises:
        MissingDataError: If there is no training data.
        TrainingError: If training cannot go on.
        ArtifactError: If another process is at work on the same run.
    """
    return spec.workspace.store.once(spec.run, spec.record, partial(_train, spec))


def _train(spec: TrainSpec, run: Run) -> None:
    require_bitsandbytes(spec.config.quantize)
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
        TrainingTask(
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
) -> tuple[SetupModel, dict[int, str]]:
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
        parents={name: parent.artifact for name, parent in spec.parents.items()},
        seed=spec.seed,
        tokens=tokens_of(datasets, backbone.vocabulary) if trims else None,
        quantize=config.quantize,
    )
    if spec.config.freeze_embeddings:
        assembled = without_embeddings(assembled)
    return assembled, dict(zip(owners, assembled.heads, strict=True))


def _described(spec: TrainSpec) -> dict[str, Any]:
    """What the artifact of a run says about how it was made."""
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
    run: Run, assembled: SetupModel, scores: dict[str, Any], described: dict[str, Any], facts: dict[str, Any]
) -> None:
    """Save what a run trained, and close it; of several processes the first one does.

    Args:
        run: The run.
        assembled: Its model, with the weights to keep.
        scores: What the artifact and the run say of the dev set and the steps.
        described: What the artifact says besides.
        facts: What the run says besides.
    """
    if not distributed.is_main():
        return
    save_artifact(assembled, run.artifact, {**described, "trained_by": run.key, "scores": scores})
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
    if spec.config.quantize != UNQUANTIZED:
        notes[f"{spec.reference}: trained around a base in {spec.config.quantize}"] = None
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
    sources: Sequence[TrainingTask], scores: Sequence[Callable[[SetupModel], float] | None]
) -> Callable[[SetupModel], float] | None:
    """The mean of the tasks' dev scores, None where no task has a dev set."""
    pairs = [(source, score) for source, score in zip(sources, scores, strict=True) if score is not None]
    if not pairs:
        return None
    return lambda _: sum(score(source.assembled) for source, score in pairs) / len(pairs)


def accelerator_for(device: torch.device) -> Accelerator:
    """What runs the backward pass, in each of the processes that train together."""
    from accelerate import Accelerator

    distributed.connect()
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
        self.kind: TaskType = TASK_TYPES[spec.task.kind]
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
            distributed.main_first(),
            progress(f"encoding {spec.task.name} {split}", len(examples)) as meter,
        ):
            cache = spec.workspace.store.cache
            key = digest([keys, split, limit, loading.rule(limit)])
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

    def dev_score(self, device: torch.device, precision: str) -> Callable[[SetupModel], float] | None:
        """The primary score on the dev set of the training languages, None where there is no dev set."""
        if not self.spec.has_dev:
            return None
        examples, features = self.split("dev", self.spec.config.limit_dev, training=False)
        rule = SCORES[self.spec.task.scores[0]]
        golds = [self.kind.gold(example) for example in examples]

        def score(assembled: SetupModel) -> float:
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


DEV_SHARE, DEV_BLOCKS = 20, 200
"""One block in so many is held out for the dev loss, and at most so many blocks."""


def train_language(spec: LanguageSpec) -> Run:
    """Train what the spec says, unless the store has it; go on where a killed run stopped.

    Returns:
        The finished run; its artifact holds the adapter and no head.

    Raises:
        MissingDataError: If there is no text, or too little.
        DataError: If a line of it cannot be read.
        ArtifactError: If the backbone has no masked language model head.
    """
    return spec.workspace.store.once(spec.run, spec.record, partial(_train_language, spec))


def _train_language(spec: LanguageSpec, run: Run) -> None:
    quantize = spec.config.quantize
    require_bitsandbytes(quantize)
    device = pick_device(spec.workspace.device)
    precision = pick_precision(spec.config.precision, device)
    run.log_environment(environment(str(device), precision))
    tokenizer = load_tokenizer(spec.workspace.backbone)
    training, dev = split(blocks(spec, tokenizer))
    head = MaskedLMHead(spec.workspace.backbone).to(device)
    assembled = assemble_language(spec.workspace.backbone, spec.language, spec.method, spec.seed, quantize)
    assembled.model.to(device)
    assert tokenizer.pad_token_id is not None
    about = vocabulary(tokenizer)
    scored = partial(dev_score, head, _batches(dev, about), tokenizer.pad_token_id, device, precision)
    place = train(
        Job(
            description=f"language {spec.language}",
            assembled=assembled,
            sources=(
                TrainingTask(
                    spec.language,
                    assembled,
                    KIND,
                    _as_dataset(training, about),
                    [f"block {number}" for number in range(len(training))],
                    forward=head,
                ),
            ),
            config=spec.config.resolved(whole_model=False),
            seed=spec.seed,
            folder=run.path,
            padding_id=tokenizer.pad_token_id,
            device=device,
            precision=precision,
            dev_score=scored,
        ),
        accelerator_for(device),
    )
    keep(
        run,
        assembled,
        {"dev": place.best_score, "dev_step": place.best_step, "steps": place.step},
        {"language": spec.language},
        {"seconds": place.seconds, "examples": len(training), "source_languages": [], "notes": []},
    )


def blocks(spec: LanguageSpec, tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """The text as blocks of equal length; see `adaptrans.task_types.masked_lm.blocks`."""
    lines = (tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] for text in _texts(spec))
    found = (ids for _, ids in masked_lm.blocks(lines, tokenizer, spec.max_length))
    return list(islice(found, spec.config.limit_train))


def _texts(spec: LanguageSpec) -> Iterator[str]:
    for path in spec.files:
        with progress(f"reading {path.name}", path.stat().st_size) as meter:
            read = 0
            for _, line in read_lines(path):
                read += len(line.encode()) + 1
                if line.strip():
                    yield line.strip()
                meter.to(min(read, path.stat().st_size))


def split(found: list[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Blocks to train on, and blocks spread over the text that are held out.

    Raises:
        MissingDataError: If there are fewer than two.

    Example:
        >>> training, dev = split([[number] for number in range(40)])
        >>> len(training), dev
        (38, [[0], [20]])
    """
    if len(found) < 2:
        raise MissingDataError("the text is too short for a language adapter", remedy="give more of it")
    step = max(DEV_SHARE if len(found) >= DEV_SHARE else 2, len(found) // DEV_BLOCKS)
    return [item for i, item in enumerate(found) if i % step], found[::step]


def dev_score(
    head: MaskedLMHead,
    batches: Sequence[Sequence[Feature]],
    padding_id: int,
    device: torch.device,
    precision: str,
    assembled: SetupModel,
) -> float:
    """Minus the mean loss on held-out blocks, with the same masks every time."""
    total, terms = 0.0, 0
    assembled.model.eval()
    with torch.inference_mode():
        for features in batches:
            batch = collated(KIND, features, padding_id, device)
            with autocast(device, precision):
                value, number = masked_lm.loss(head(assembled, batch), batch)
            total, terms = total + value.item(), terms + number
    return -total / max(terms, 1)


def _batches(found: list[list[int]], about: Mapping[str, int], size: int = 16) -> list[list[Feature]]:
    features = _features(found, about)
    return [features[start : start + size] for start in range(0, len(features), size)]


def _features(found: list[list[int]], about: Mapping[str, int]) -> list[Feature]:
    return [
        {"example": number, "length": len(ids), "input_ids": ids, **about} for number, ids in enumerate(found)
    ]


def _as_dataset(found: list[list[int]], about: Mapping[str, int]) -> Any:
    from datasets import Dataset

    return Dataset.from_list(_features(found, about))
