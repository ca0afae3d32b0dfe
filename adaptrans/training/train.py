"""Training of every phase: data, model, loop, artifact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, product
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from adaptrans.data.encoding import Encoder, encode
from adaptrans.errors import ConfigError, MissingDataError, TrainingError
from adaptrans.evaluation.inference import Predictor, lender
from adaptrans.evaluation.metrics import SCORES
from adaptrans.hub.package import sources_of
from adaptrans.modeling.backbone import load_tokenizer, tokenizer_fingerprint
from adaptrans.modeling.efficiency.memory_case import Case, bytes_of
from adaptrans.modeling.efficiency.memory_estimation import forecast, most_items
from adaptrans.modeling.efficiency.vocab_trimming import tokens_of
from adaptrans.modeling.heads import HEADS, HeadSpec, MaskedLMHead
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.validation import UNQUANTIZED, require_bitsandbytes
from adaptrans.runs.base import TrainingSpec, imported
from adaptrans.runs.language_adapter import LanguageSpec
from adaptrans.runs.store import Run
from adaptrans.runs.train import ShotSpec, TrainSpec, provenance, replace_selection, selecting
from adaptrans.runs.training_args import TrainingConfig
from adaptrans.task_types import masked_lm
from adaptrans.task_types.base import Feature, TaskType
from adaptrans.task_types.masked_lm import MaskedLM, vocabulary
from adaptrans.task_types.recipes import ANSWERING, rules
from adaptrans.tasks import loading
from adaptrans.tasks.readers.files import read_lines
from adaptrans.tasks.schema import Task
from adaptrans.training.frozen_prefix import with_frozen_prefix
from adaptrans.training.loop import TrainingJob, fit
from adaptrans.training.multitask import TrainingTask
from adaptrans.utils import distributed
from adaptrans.utils.devices import autocast, pick_device, pick_precision
from adaptrans.utils.environment import environment
from adaptrans.utils.io import digest
from adaptrans.utils.progress import progress, remark

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast


T = TypeVar("T")

Prepared = tuple[TrainingJob, dict[str, Any], dict[str, Any]]
"""What a run trains, what its artifact says about how it was made, and what the run says besides scores and
time."""


def train(spec: TrainingSpec, run: Run) -> None:
    """Train what a spec says; go on where a killed process stopped. The one path of every phase.

    What differs between phases (data, model, dev score) comes from what `spec.PREPARE` names.

    Args:
        spec: What is trained; `spec.execute()` comes here.
        run: Its run, which this process holds.

    Raises:
        MissingDataError: If there is no training data.
        TrainingError: If training cannot go on.
        ArtifactError: If what it builds on is damaged.
    """
    from accelerate import Accelerator

    require_bitsandbytes(spec.quantize)
    device = pick_device(spec.workspace.device)
    distributed.connect()
    accelerator = Accelerator(cpu=device.type == "cpu")
    # The loop divides by the terms of the step itself; the environment must not divide once more.
    accelerator.gradient_accumulation_steps = 1
    prepare: Callable[[TrainingSpec, torch.device, str], Prepared] = imported(spec.PREPARE)
    job, about, facts = prepare(spec, device, pick_precision(spec.config.precision, device))
    run.log_environment(environment(str(device), job.precision))
    state = fit(replace(job, config=job.config.resolved(spec.whole_model)), accelerator)
    # Of several processes the first one saves.
    if not distributed.is_main():
        return
    facts = {**facts, **(job.measured() if job.measured else {})}
    scores = {"dev": state.best_score, "dev_step": state.best_step, "steps": state.step}
    job.assembled.save(run.artifact, {**about, "trained_by": run.key, "scores": scores})
    trained = sum(value.numel() for value in job.assembled.trained_parameters().values())
    run.finish({**scores, "trained_parameters": trained, "seconds": state.seconds, **facts})
    run.sweep()


def padding_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """Id of the padding token, which every backbone has."""
    assert tokenizer.pad_token_id is not None
    return int(tokenizer.pad_token_id)


def tasks(spec: TrainSpec, device: torch.device, precision: str) -> Prepared:
    """An intermediate or target run made ready: one task, or several that share the model."""
    # Tasks that share a head number its labels alike.
    parts = [
        TaskData(part, spec.parts[place].task.labels)
        for part, place in zip(spec.parts, spec.heads, strict=True)
    ]
    splits = [data.split("train", spec.config.limit_train, training=True) for data in parts]
    config, precision, chosen = within_budget(spec, [features for _, features in splits], precision)
    if chosen is not None:
        remark(chosen)
    assembled, names = _assembled(spec, parts, splits, config)
    assembled.to(device)
    sources = tuple(
        TrainingTask(
            data.spec.reference,
            assembled.with_head(names[place]),
            data.kind,
            features,
            [example.id for example in examples],
            groups=language_numbers(examples, features) if data.kind.plain_text else None,
        )
        for place, data, (examples, features) in zip(spec.heads, parts, splits, strict=True)
    )
    padding = padding_id(parts[0].tokenizer)
    sources = with_frozen_prefix(sources, config, spec.workspace.store.cache, padding, device, precision)
    dev_scores = [
        data.dev_score(device, precision) if chosen else None
        for data, chosen in zip(parts, selecting(spec.parts), strict=True)
    ]
    job = TrainingJob(
        f"{spec.phase} {spec.reference} ({spec.setup})",
        assembled,
        sources,
        config,
        spec.seed,
        spec.run.path,
        padding,
        device,
        precision,
        _mean_dev_score(sources, dev_scores),
    )
    sizes = [len(examples) for examples, _ in splits]
    facts = {
        "examples": sum(sizes),
        "source_languages": source_languages(spec),
        "notes": training_notes(spec, [note for data in parts for note in data.notes], sizes),
    }
    about = described(spec, provenance=provenance(spec.parts))
    return job, about | ({"mix": [part.reference for part in spec.parts]} if spec.others else {}), facts


def few_shot(spec: ShotSpec, device: torch.device, precision: str) -> Prepared:
    """A finished target run, ready to go on training on a few examples of one language."""
    config = replace_selection(spec.config)
    kind, tokenizer, notes = spec.task.type, load_tokenizer(spec.workspace.backbone), list[str]()
    every = spec.workspace.examples(spec.task, spec.split, spec.language, None, notes)
    places = spec.places(every, kind.reference)
    examples = [every[place] for place in places]
    if not examples:
        raise MissingDataError(
            f"{spec.task.name} {spec.split} has no examples in {spec.language}",
            remedy="check the data folder",
        )
    key = digest([spec.data_keys("train"), spec.split, places])
    features = _encoded(spec, spec.task, tokenizer, examples, spec.split, key, training=True)
    backbone, trims = spec.workspace.backbone, config.trims(spec.whole_model)
    tokens = tokens_of([features], backbone.vocabulary) if trims else None
    assembled = SetupModel.load(spec.start.artifact, backbone, tokens=tokens, quantize=spec.quantize)
    if config.freeze_embeddings and spec.whole_model:
        assembled.freeze_embeddings()
    assembled.to(device)
    name = f"{spec.task.name} {spec.language} {spec.shots}-shot"
    ids = [example.id for example in examples]
    source = TrainingTask(name, assembled, kind, features, ids)
    padding = padding_id(tokenizer)
    job = TrainingJob(
        f"{name} ({spec.base.setup})",
        assembled,
        with_frozen_prefix([source], config, spec.workspace.store.cache, padding, device, precision),
        config,
        spec.seed,
        spec.run.path,
        padding,
        device,
        precision,
    )
    facts = {
        "examples": len(examples),
        "example_ids": ids,
        "source_languages": source_languages(spec),
        "notes": [*_shots_notes(spec), *notes],
    }
    return job, {**described(spec), "shots": spec.shots}, facts


def language_adapter(spec: LanguageSpec, device: torch.device, precision: str) -> Prepared:
    """A language adapter, ready for masked language modeling; it has no head of its own.

    Raises:
        MissingDataError: If there is no text, or too little.
        DataError: If a line of it cannot be read.
        ArtifactError: If the backbone has no masked language model head.
    """
    from datasets import Dataset

    backbone = spec.workspace.backbone
    tokenizer = load_tokenizer(backbone)
    training, dev = (_features(part, vocabulary(tokenizer)) for part in split(blocks(spec, tokenizer)))
    head = MaskedLMHead(backbone).to(device)
    assembled = SetupModel.for_language(backbone, spec.language, spec.method, spec.seed, spec.quantize)
    assembled.to(device)
    names = [f"block {number}" for number in range(len(training))]
    features = Dataset.from_list(training)
    source = TrainingTask(spec.language, assembled, MaskedLM(), features, names, forward=head)
    job = TrainingJob(
        f"language {spec.language}",
        assembled,
        (source,),
        spec.config,
        spec.seed,
        spec.run.path,
        padding_id(tokenizer),
        device,
        precision,
        partial(dev_score, head, dev, padding_id(tokenizer), device, precision),
    )
    facts = {"examples": len(training), "source_languages": [], "notes": []}
    return job, {"language": spec.language}, facts


def _assembled(
    spec: TrainSpec,
    parts: Sequence[TaskData],
    splits: Sequence[tuple[list[Any], Dataset]],
    config: TrainingConfig,
) -> tuple[SetupModel, dict[int, str]]:
    """The model of a run, and the name of each head by the place of the first part that it answers."""
    owners = sorted(set(spec.heads))
    head, *more_heads = (parts[place].head(splits[place][0]) for place in owners)
    backbone, datasets = spec.workspace.backbone, [features for _, features in splits]
    artifacts = [parent.artifact for parent in spec.parents.values()]
    form = spec.task.formulation
    lent = None if form is None else lender(form, artifacts)
    if lent is not None:
        head = replace(head, labels=lent[1])
    trims = config.trims(spec.whole_model)
    assembled = SetupModel.from_setup(
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
        assembled.freeze_embeddings()
    if lent is not None:
        assembled.begin_head(lent[0])
    return assembled, dict(zip(owners, assembled.heads, strict=True))


def described(spec: TrainSpec | ShotSpec, **training_data: Any) -> dict[str, Any]:
    """What the artifact of a run says about how it was made."""
    sources = [
        source.model_dump(mode="json")
        for part in spec.parts
        for source in sources_of(part.task, part.split, part.train_languages, part.data_keys("train"))
    ]
    return {
        "task_version": spec.task.version,
        "kind": spec.task.kind,
        **({} if spec.task.formulation is None else {"formulation": str(spec.task.formulation)}),
        ANSWERING: {part.task.name: rules(part.task, part.max_length, part.prefixes) for part in spec.parts},
        "parent_keys": {name: parent.key for name, parent in spec.parents.items()},
        "training_data": {
            "languages": _train_languages(spec),
            **training_data,
            "sources": sources,
            "note": spec.task.note,
        },
    }


def _shots_notes(spec: ShotSpec) -> list[str]:
    """What the reader of a score has to know, notes of the run it goes on from included."""
    what = "per label" if spec.task.type.one_label else "sentences or questions"
    own = (
        f"{spec.task.name}: {spec.transfer.label} rows go on training on {spec.shots} examples {what} of "
        "each target language, a model per language, examples drawn from its train or dev split by seed"
    )
    inherited: Any = spec.start.result()["notes"]
    return [*inherited, own]


def source_languages(spec: TrainSpec | ShotSpec) -> list[str]:
    """Languages that had labels in this run or in one it builds on."""
    inherited = [code for parent in spec.parents.values() for code in parent.result()["source_languages"]]
    return sorted({*_train_languages(spec), *inherited})


def _train_languages(spec: TrainSpec | ShotSpec) -> list[str]:
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
            alone = ", ".join(part.dev_languages)
            notes[f"{part.reference}: selected on the dev set of {alone} alone"] = None
    for part in spec.parts:
        if part.prefixes:
            notes[f"{part.task.name}: text prefix {part.prefixes}"] = None
    if spec.config.quantize != UNQUANTIZED:
        notes[f"{spec.reference}: trained around a base in {spec.config.quantize}"] = None
    lacking = [part.task.name for part in spec.parts if not part.has_dev]
    if len(lacking) == len(spec.parts):
        notes[f"{spec.reference}: no dev set, so the weights of the last step"] = None
    elif lacking:
        notes[f"{spec.reference}: no dev set of {', '.join(lacking)}, so selected on the others"] = None
    notes.update(dict.fromkeys(read))
    return list(notes)


def language_numbers(examples: Sequence[Any], features: Dataset) -> list[int]:
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


def _encoded(
    spec: TrainSpec | ShotSpec,
    task: Task,
    tokenizer: PreTrainedTokenizerFast,
    examples: list[Any],
    split: str,
    key: str,
    *,
    training: bool,
) -> Dataset:
    """The encoding of examples of a split, with what stands before texts; the key says which they are."""
    before = spec.prefixes
    if before:
        examples, key = [example.prefixed(before) for example in examples], digest([key, before.key])
    about = tokenizer_fingerprint(spec.workspace.backbone)
    encoder = Encoder(task.type, task, tokenizer, about, spec.max_length, training=training)
    # Of several processes the first one encodes, and the others find it.
    with distributed.main_process_first(), progress(f"encoding {task.name} {split}", len(examples)) as meter:
        return encode(encoder, examples, key, spec.workspace.store.cache, tick=meter.to)


class TaskData:
    """Examples and encodings of a training spec of one task.

    Args:
        labels: Its labels in the order of the head.
    """

    def __init__(self, spec: TrainSpec, labels: tuple[str, ...]) -> None:
        self.spec = spec
        self.task = spec.task.model_copy(update={"labels": labels})
        self.kind: TaskType = spec.task.type
        self.tokenizer: PreTrainedTokenizerFast = load_tokenizer(spec.workspace.backbone)
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
        key = digest([keys, split, limit, loading.rule(limit)])
        return examples, _encoded(spec, self.task, self.tokenizer, examples, split, key, training=training)

    def head(self, examples: Sequence[Any]) -> HeadSpec:
        """The fresh head of the task; choices are counted in the training data."""
        if self.kind.head is None:
            raise TrainingError(f"{self.spec.task.name} has no training", remedy="evaluate it directly")
        labels = self.kind.head_labels(self.task, examples, self.spec.workspace.backbone.width)
        return HeadSpec(self.spec.task.name, self.kind.head, labels)

    def dev_score(self, device: torch.device, precision: str) -> Callable[[SetupModel], float] | None:
        """The primary score on the dev set of the training languages, None where there is no dev set."""
        if not self.spec.has_dev:
            return None
        examples, features = self.split("dev", self.spec.config.limit_dev, training=False)
        rule = SCORES[self.spec.task.scores[0]]
        golds = [self.kind.reference(example) for example in examples]

        def score(assembled: SetupModel) -> float:
            labels = assembled.head.labels if assembled.head is not None else ()
            predictor = Predictor(
                assembled,
                self.kind,
                labels,
                padding_id(self.tokenizer),
                self.spec.config.tokens_per_batch,
                device,
                precision,
            )
            predictions = list(predictor.predictions(examples, features))
            value = rule.compute(golds, predictions)[rule.primary]
            return value if rule.higher_is_better else -value

        return score


DEV_SHARE, DEV_BLOCKS, DEV_BATCH = 20, 200, 16
"""One block in so many is held out for the dev loss, at most so many blocks, scored so many at a time."""


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


def split(found: Sequence[T], most: int = DEV_BLOCKS) -> tuple[list[T], list[T]]:
    """Blocks to train on, and blocks spread over the text that are held out, about `most` at most.

    Raises:
        MissingDataError: If there are fewer than two.

    Example:
        >>> training, dev = split([[number] for number in range(40)])
        >>> len(training), dev
        (38, [[0], [20]])
    """
    if len(found) < 2:
        raise MissingDataError("the text is too short to train on", remedy="give more of it")
    step = max(DEV_SHARE if len(found) >= DEV_SHARE else 2, len(found) // most)
    return [item for i, item in enumerate(found) if i % step], list(found[::step])


def dev_score(
    head: MaskedLMHead,
    held_out: Sequence[Feature],
    padding_id: int,
    device: torch.device,
    precision: str,
    assembled: SetupModel,
) -> float:
    """Minus the mean loss on held-out blocks, with the same masks every time."""
    total, terms = 0.0, 0
    assembled.eval()
    with torch.inference_mode():
        for start in range(0, len(held_out), DEV_BATCH):
            batch = MaskedLM().batch(held_out[start : start + DEV_BATCH], padding_id, device)
            with autocast(device, precision):
                value, number = MaskedLM().loss(head(assembled, batch), batch)
            total, terms = total + value.item(), terms + number
    return -total / max(terms, 1)


def _features(found: Sequence[list[int]], about: Mapping[str, int]) -> list[Feature]:
    return [
        {"example": number, "length": len(ids), "input_ids": ids, **about} for number, ids in enumerate(found)
    ]


ENOUGH = 512
"""Padded tokens at once from which on smaller parts are preferred to computing activations again: below, a
step takes longer than the third that it costs to compute them again."""


def within_budget(
    spec: TrainSpec, datasets: Sequence[Dataset], precision: str
) -> tuple[TrainingConfig, str, str | None]:
    """The options of a run, and its precision, such that its forecast stays below the budget.

    Options that were given are kept. In this order: a trimmed vocabulary (where that changes no result),
    fewer tokens at once, activations computed again, bf16.

    Args:
        spec: The run.
        datasets: The encoded training data of its tasks.
        precision: What the run's precision stands for on its device.

    Returns:
        The options, the precision, and what was chosen in words; None without a budget.

    Raises:
        ConfigError: If the budget is too small for a single input.
    """
    config = spec.config
    if config.memory_budget is None:
        return config, precision, None
    budget = bytes_of(config.memory_budget)
    if spec.whole_model and config.trim_vocabulary is None and not config.weight_decay:
        config = config.model_copy(update={"trim_vocabulary": True})
    trims = config.trims(spec.whole_model)
    rows = len(tokens_of(datasets, spec.workspace.backbone.vocabulary)) if trims else None
    longest = [max(features["length"]) for features in datasets]
    cases = {
        _as_it_is(replace(part, config=config), length, rows, precision): length
        for part, length in zip(spec.parts, longest, strict=True)
    }
    asked = config.gradient_checkpointing
    precisions = [precision, "bf16"] if config.precision == "auto" and precision == "fp32" else [precision]
    ways = list(product(precisions, [False, True] if asked == "auto" else [asked is True]))
    found: list[tuple[int, bool, str, bool]] = []
    with progress("forecast of memory", len(ways)) as meter:
        for name, recomputed in ways:
            items = {replace(case, precision=name, checkpointing=recomputed): cases[case] for case in cases}
            most = {case: most_items(case, budget) for case in items}
            tokens = min(most[case] * length for case, length in items.items())
            whole = all(most[case] >= case.items for case in items)
            found.append((tokens, whole, name, recomputed))
            meter.advance()
            if tokens >= ENOUGH or whole:
                break
        else:
            # None fits well: the way that fits most.
            found.append(max(found, key=lambda way: way[0]))
    tokens, whole, name, recomputed = found[-1]
    if not tokens:
        smallest = [replace(case, items=1, checkpointing=asked is not False) for case in cases]
        least = max(forecast(case).peak for case in smallest)
        raise ConfigError(
            f"{spec.reference} ({spec.setup}) takes {least / 1e9:.2f} GB for one input of "
            f"{max(cases.values())} pieces, and memory_budget is {config.memory_budget}",
            remedy="give more, or a smaller max_length, an adapter setup or a smaller backbone",
        )
    tokens = config.tokens_per_batch if whole else max(16, tokens)
    changes = {"tokens_per_batch": tokens, "gradient_checkpointing": recomputed or asked}
    again = ", activations computed again" if recomputed else ""
    told = f"memory_budget {config.memory_budget}: {tokens} padded tokens at once in {name}{again}"
    return config.model_copy(update=changes), name, told


def _as_it_is(part: TrainSpec, length: int, rows: int | None, precision: str) -> Case:
    """The case of a run with the data at hand: their length and pieces, as many inputs as come at once."""
    case, config = part.memory_case(), part.config
    head = HEADS[case.head]
    return replace(
        case,
        precision=precision,
        items=min(config.batch_size, -(-config.tokens_per_batch // length)),
        # The length of an input with choices is that of all of them.
        length=length // case.labels if head.picks_rows else length,
        vocabulary=None if head.fills_masks else rows,
    )
