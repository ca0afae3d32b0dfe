"""Translations in two text files: sentences, vectors on disk, neighbors, pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from adaptrans.errors import ConfigError
from adaptrans.evaluation.bitext_mining.corpus import Corpus, Shelf, corpus
from adaptrans.evaluation.bitext_mining.margin import Candidates, mine
from adaptrans.evaluation.dense_retrieval import search_kind
from adaptrans.evaluation.sentence_vectors import SentenceEncoder
from adaptrans.modeling.adapter_methods import DEFAULT_METHOD
from adaptrans.modeling.backbone import check_length, load_tokenizer, tokenizer_fingerprint
from adaptrans.modeling.efficiency.vocab_trimming import NOTHING
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.nodes import Setup
from adaptrans.runs.base import asked_prefixes
from adaptrans.runs.evaluation import retrieval_layer
from adaptrans.runs.store import Run
from adaptrans.runs.workspace import Workspace
from adaptrans.utils.devices import pick_device, pick_precision
from adaptrans.utils.formats import BITEXT_SEARCH
from adaptrans.utils.io import atomic_write, digest, write_json
from adaptrans.utils.progress import progress

COLUMNS = ("score", "source line", "target line", "source", "target")


@dataclass(frozen=True)
class Model:
    """What makes the vectors.

    Attributes:
        name: What it is called in the report.
        key: What tells its vectors from those of another.
        load: Makes it.
    """

    name: str
    key: Any
    load: Callable[[], SetupModel] = field(repr=False)


@dataclass(frozen=True)
class Options:
    """How two files are mined.

    Attributes:
        layer: hidden_states[layer], 0 = embeddings; by default the backbone's, or 14 of 24, in proportion.
        pooling: `mean` or `cls`.
        max_length: Pieces per sentence.
        tokens_per_batch: Padded tokens per forward pass.
        precision: `auto`, `fp32` or `bf16`.
        search: `exact` or `IVF`; by default by size.
        threshold: Least margin of a pair that is written.
        top: Number of pairs that are written at most.
        text_prefix: What is put before every sentence; `backbone`: what it was trained with.
    """

    layer: int | None = None
    pooling: str = "mean"
    max_length: int = 128
    tokens_per_batch: int = 8192
    precision: str = "auto"
    search: str | None = None
    threshold: float | None = None
    top: int | None = None
    text_prefix: str = ""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("pooling", self.pooling, ("mean", "cls")),
            ("search", self.search or "exact", ("exact", "IVF")),
        ):
            if value not in known:
                raise ConfigError(f'{name} "{value}" is not known', remedy=f"choose {' or '.join(known)}")


@dataclass(frozen=True)
class Mined:
    """What was found.

    Attributes:
        out: The file of pairs; its columns are `COLUMNS`.
        written: Pairs in it.
        candidates: Pairs before threshold and top.
        sources: Different sentences of the first file, and how many lines were repeated or blank.
        targets: The same of the second file.
        search: `exact` or `IVF` (approximate).
        vectors: Model, layer, pooling and precision.
        work: Folder of the vectors, which may be deleted.
    """

    out: str
    written: int
    candidates: int
    sources: dict[str, int]
    targets: dict[str, int]
    search: str
    vectors: str
    work: str


def setup_model(
    where: Workspace, setup: Setup, runs: Mapping[str, Run], method: str = DEFAULT_METHOD, seed: int = 1
) -> Model:
    """Everything below `target` of a setup; the bare backbone for `full`.

    Args:
        where: The workspace.
        setup: The setup.
        runs: The trained parts that it refers to, as `plan_mining` finds them.
        method: Adapter method of parts that say none.
        seed: Seed of what no part holds.
    """
    below = setup.below_target()

    def load() -> SetupModel:
        return SetupModel.from_setup(
            where.backbone,
            setup,
            target=None,
            head=None,
            method=method if below else DEFAULT_METHOD,
            parents={name: run.artifact for name, run in runs.items()},
            seed=seed,
            tokens=NOTHING,
        )

    name = str(setup) if below else where.backbone.name
    keys = {part: run.key for part, run in sorted(runs.items())}
    return Model(name, [where.backbone.fingerprint, str(setup) if below else "", keys], load)


def artifact_model(where: Workspace, folder: Path) -> Model:
    """A trained artifact, all of it but its head.

    Raises:
        ArtifactError: If it is damaged or was trained on another backbone.
    """
    manifest = read_manifest(folder)

    def load() -> SetupModel:
        return SetupModel.load(folder, where.backbone, tokens=NOTHING)

    parents = {name: parent["content"] for name, parent in manifest.parents.items()}
    return Model(str(manifest.setup), [where.backbone.fingerprint, manifest.content(), parents], load)


def mine_files(
    source: Path, target: Path, out: Path, *, where: Workspace, model: Model, options: Options
) -> Mined:
    """Write the pairs of sentences of two files that translate each other, the best first.

    Vectors are kept in the store's cache: the same files with the same model are not encoded again,
    and a killed run goes on. A report of the same name with `.json` lies beside the pairs.

    Args:
        source: Text file, plain or .gz, one sentence per line.
        target: The other one.
        out: Where to.
        where: The workspace.
        model: What makes the vectors.
        options: How.

    Raises:
        DataError: If a file cannot be read.
        ConfigError: If the layer does not exist, or inputs may be longer than the encoder reads.
    """
    check_length(where.backbone, options.max_length, "mining")
    depth = where.backbone.depth
    layer = retrieval_layer(where.backbone) if options.layer is None else options.layer
    if not 0 <= layer <= depth:
        raise ConfigError(f"layer {layer} of a model with {depth} layers", remedy=f"choose 0 to {depth}")
    device = pick_device(where.device)
    precision = pick_precision(options.precision, device)
    work = where.store.cache / "mining"
    sides = [corpus(path, work) for path in (source, target)]
    tokenizer = tokenizer_fingerprint(where.backbone)
    before = asked_prefixes(options.text_prefix, None, where.backbone).text
    settings = [model.key, tokenizer, layer, options.pooling, options.max_length, precision]
    settings += [before] if before else []
    said = f", {before!r} text prefix" if before else ""
    vectors = _vectors(
        where,
        model,
        sides,
        work,
        digest(settings),
        layer,
        replace(options, text_prefix=before),
        device,
        precision,
    )
    # What an approximate search has found is kept as well.
    kind = options.search or search_kind(sides[0].sentences, sides[1].sentences)
    names = [side.folder.name for side in sides]
    kept = work / f"search-{digest([BITEXT_SEARCH, *names, *settings], length=24)}"
    with progress("searching", sides[0].sentences + sides[1].sentences) as meter:
        found = mine(*vectors, search=kind, tick=meter.to, work=kept)
    written = _write(out, found, sides, options)
    mined = Mined(
        str(out),
        written,
        len(found),
        _size(sides[0]),
        _size(sides[1]),
        search=found.search,
        vectors=f"{model.name}, hidden_states[{layer}], {options.pooling} pooling, {precision}{said}",
        work=str(work),
    )
    write_json(out.with_name(f"{out.name}.json"), {"columns": COLUMNS, **asdict(mined)})
    return mined


def _size(side: Corpus) -> dict[str, int]:
    return {"sentences": side.sentences, "repeated": side.repeated, "blank": side.blank}


def _vectors(
    where: Workspace,
    model: Model,
    sides: list[Corpus],
    work: Path,
    key: str,
    layer: int,
    options: Options,
    device: Any,
    precision: str,
) -> list[np.ndarray]:
    """Vectors of both sides; the model is loaded only if some are missing."""
    width = where.backbone.width
    shelves = [Shelf(work / f"{side.folder.name}-{key}", width) for side in sides]
    if all(shelf.done == side.sentences for shelf, side in zip(shelves, sides, strict=True)):
        return [
            np.memmap(shelf.folder / "vectors.f32", np.float32, "r", shape=(side.sentences, width))
            for shelf, side in zip(shelves, sides, strict=True)
        ]
    tokenizer = load_tokenizer(where.backbone)
    assert tokenizer.pad_token_id is not None
    assembled = model.load()
    assembled.to(device)
    encoder = SentenceEncoder(
        assembled, layer, options.pooling, tokenizer.pad_token_id, options.tokens_per_batch, device, precision
    )
    found = []
    for side, shelf in zip(sides, shelves, strict=True):
        with progress(f"encoding {side.source.name}", side.sentences, start=shelf.done) as meter:
            found.append(
                shelf.fill(side, encoder, tokenizer, options.max_length, meter.to, options.text_prefix)
            )
    return found


def _write(out: Path, found: Candidates, sides: list[Corpus], options: Options) -> int:
    """Write the pairs, and say how many."""
    number = len(found)
    if options.threshold is not None:
        number = int((found.scores >= options.threshold).sum())
    if options.top is not None:
        number = min(number, options.top)
    pairs = zip(
        found.scores[:number],
        sides[0].at(found.sources[:number]),
        sides[1].at(found.targets[:number]),
        strict=True,
    )
    with atomic_write(out) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for score, (line, text), (other_line, other) in pairs:
            cells = (text.replace("\t", " "), other.replace("\t", " "))
            file.write(f"{score:.6f}\t{line}\t{other_line}\t{cells[0]}\t{cells[1]}\n")
    return number
