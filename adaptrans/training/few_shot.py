"""Go on training a finished target run on a few examples of one language."""

from __future__ import annotations

from functools import partial
from typing import Any

from adaptrans.data.encoding import Encoder, encode
from adaptrans.errors import MissingDataError
from adaptrans.hub.package import sources_of
from adaptrans.modeling.artifact import load_artifact
from adaptrans.modeling.backbone import load_tokenizer, tokenizer_fingerprint
from adaptrans.modeling.efficiency.vocab_trimming import tokens_of
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.model import without_embeddings
from adaptrans.modeling.setup.validation import UNQUANTIZED, require_bitsandbytes
from adaptrans.runs.few_shot import BALANCED_KINDS, ShotSpec, replace_selection
from adaptrans.runs.store import Run
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.task_types.recipes import ANSWERING, rules
from adaptrans.training.frozen_prefix import above_trunk
from adaptrans.training.loop import Job, train
from adaptrans.training.multitask import TrainingTask
from adaptrans.training.train import accelerator_for, keep
from adaptrans.utils import distributed
from adaptrans.utils.devices import pick_device, pick_precision
from adaptrans.utils.environment import environment
from adaptrans.utils.io import digest


def run_shots(spec: ShotSpec) -> Run:
    """Train what the spec says, unless the store has it; go on where a killed run stopped.

    Returns:
        The finished run; its artifact answers in the spec's language.

    Raises:
        MissingDataError: If there are no examples to draw.
        ArtifactError: If the run it goes on from is damaged.
    """
    return spec.workspace.store.once(spec.run, spec.record, partial(_train, spec))


def _train(spec: ShotSpec, run: Run) -> None:
    own = spec.config.quantize
    # It goes on around the base that it was trained on, unless another one is asked for.
    base = read_manifest(spec.start.artifact).quantize if own == UNQUANTIZED else own
    require_bitsandbytes(base)
    device = pick_device(spec.workspace.device)
    config = replace_selection(spec.config).resolved(spec.base.whole_model)
    precision = pick_precision(config.precision, device)
    run.log_environment(environment(str(device), precision))
    kind, notes = TASK_TYPES[spec.task.kind], list[str]()
    every = spec.workspace.examples(spec.task, spec.split, spec.language, None, notes)
    places = spec.places(every, kind.gold)
    examples = [every[place] for place in places]
    if not examples:
        raise MissingDataError(
            f"{spec.task.name} {spec.split} has no examples in {spec.language}",
            remedy="check the data folder",
        )
    tokenizer = load_tokenizer(spec.workspace.backbone)
    assert tokenizer.pad_token_id is not None
    fingerprint = tokenizer_fingerprint(spec.workspace.backbone)
    encoder = Encoder(kind, spec.task, tokenizer, fingerprint, spec.max_length, training=True)
    key = digest([spec.inputs["train"], spec.split, places])
    with distributed.main_first():
        features = encode(encoder, examples, key, spec.workspace.store.cache)
    backbone, trims = spec.workspace.backbone, config.trims(spec.base.whole_model)
    tokens = tokens_of([features], backbone.vocabulary) if trims else None
    assembled = load_artifact(spec.start.artifact, backbone, tokens=tokens, quantize=base)
    if config.freeze_embeddings and spec.base.whole_model:
        assembled = without_embeddings(assembled)
    assembled.model.to(device)
    name = f"{spec.task.name} {spec.language} {spec.shots}-shot"
    source = TrainingTask(name, assembled, kind, features, [example.id for example in examples])
    cache, padding_id = spec.workspace.store.cache, tokenizer.pad_token_id
    place = train(
        Job(
            description=f"{name} ({spec.base.setup})",
            assembled=assembled,
            sources=above_trunk([source], config, cache, padding_id, device, precision),
            config=config,
            seed=spec.seed,
            folder=run.path,
            padding_id=tokenizer.pad_token_id,
            device=device,
            precision=precision,
            dev_score=None,
        ),
        accelerator_for(device),
    )
    keep(
        run,
        assembled,
        {"dev": None, "dev_step": None, "steps": place.step},
        _described(spec),
        {
            "seconds": place.seconds,
            "examples": len(examples),
            "example_ids": [example.id for example in examples],
            "source_languages": sorted({spec.language, *spec.start.result()["source_languages"]}),
            "notes": [*_notes(spec), *notes],
        },
    )


def _described(spec: ShotSpec) -> dict[str, Any]:
    """What the artifact of a run says about how it was made."""
    sources = sources_of(spec.task, spec.split, [spec.language], spec.inputs["train"])
    return {
        "task_version": spec.task.version,
        "kind": spec.task.kind,
        ANSWERING: {spec.task.name: rules(spec.task, spec.max_length)},
        "parent_keys": {"start": spec.start.key},
        "shots": spec.shots,
        "training_data": {
            "languages": [spec.language],
            "sources": [source.model_dump(mode="json") for source in sources],
            "note": spec.task.note,
        },
    }


def _notes(spec: ShotSpec) -> list[str]:
    """What the reader of a score has to know, notes of the run it goes on from included."""
    what = "per label" if spec.task.kind in BALANCED_KINDS else "sentences or questions"
    own = (
        f"{spec.task.name}: {spec.regime.label} rows go on training on {spec.shots} examples {what} of each "
        "target language, a model per language, examples drawn from its train or dev split by seed"
    )
    inherited: Any = spec.start.result()["notes"]
    return [*inherited, own]
