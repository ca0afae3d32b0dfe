"""From a finished run to a package. Torch-free."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adaptrans.errors import AdaptransError, ArtifactError
from adaptrans.hub import package as private
from adaptrans.hub import package as provenance
from adaptrans.hub.import_adapterhub import PHASE as ADOPTED
from adaptrans.hub.model_card import card
from adaptrans.hub.package import (
    CARD,
    NAME,
    Base,
    File,
    Package,
    Parent,
    RunId,
    Score,
    Source,
    key_of,
    read_package,
)
from adaptrans.hub.verification.checks import allowed
from adaptrans.modeling.backbone import PROVIDED, Backbone, identify
from adaptrans.modeling.config_keys import deciding
from adaptrans.modeling.manifest import NAME as ARTIFACT
from adaptrans.modeling.manifest import Manifest, check_backbone, read_manifest
from adaptrans.runs.store import Run, Store
from adaptrans.tasks import catalogue
from adaptrans.tasks.names import TaskRef
from adaptrans.utils.formats import PACKAGE
from adaptrans.utils.io import read_json, sha256, write_json

OUTSIDE_KEY = ("backbone_name", "provenance")
"""Of a run's configuration, what is no part of its key."""

PLAIN = (bool, int, float, str)
"""Types of the values of a base's configuration that a package tells; its fingerprint covers all."""


def shareable(run: Run) -> Manifest:
    """The checked artifact of a finished run.

    Raises:
        ArtifactError: If the run has none, or is not finished.
    """
    if not run.is_done:
        raise ArtifactError(f"run {run.name} is not finished", remedy="run its command again, which goes on")
    if not (run.artifact / ARTIFACT).is_file():
        raise ArtifactError(
            f"run {run.name} trained nothing", remedy="share the run in runs/target or runs/intermediate"
        )
    return read_manifest(run.artifact)


def parent_runs(run: Run, manifest: Manifest) -> dict[str, Run]:
    """The runs that an artifact was built on and that its store has, by reference."""
    found: dict[str, Run] = {}
    for reference, recorded in manifest.parents.items():
        folder = (run.artifact / recorded["path"]).resolve().parent
        if (folder / "done.json").is_file():
            found[reference] = Run.at(folder)
    return found


def run_id(run: Run) -> RunId:
    """A run as a package names it."""
    return RunId.model_validate({"phase": run.phase, "label": run.label, "key": run.key})


def default_name(run: Run, manifest: Manifest) -> str:
    """The name of a parent that was not shared under another one.

    Example: `nli-seq_bn-314076933742`.
    """
    text = f"{manifest.target}-{manifest.method.partition('[')[0]}-{run.key}"
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")


def pack(
    run: Run,
    store: Store,
    folder: Path,
    *,
    name: str,
    license: str,
    parents: Sequence[Parent],
    backbone: Backbone | None = None,
    tasks: Sequence[Path] = (),
) -> Package:
    """Write a run's artifact as a package.

    Args:
        run: A finished training.
        store: Where it is, with its evaluations.
        folder: An empty folder to write into.
        name: Name of the artifact.
        license: Its license.
        parents: What it was built on, as the hub has them.
        backbone: Its base; by default the one that it names.
        tasks: Folders of own task files, for the licenses of the training data.

    Raises:
        ArtifactError: If something in it must not be shared.
    """
    manifest = shareable(run)
    base = backbone or _base_of(manifest)
    check_backbone(manifest.backbone, base, run.name)
    config = run.config()
    inputs = _inputs(run, config)
    described = _described(manifest, base, parents)
    _copy(run, folder, described)
    former = read_package(run.artifact) if (run.artifact / NAME).is_file() else None
    training = former.training_data if former else _training_data(run, manifest, tasks)
    scores = _scores(run, store, tasks, former.scores if former else ())
    package = Package(
        format=PACKAGE,
        name=name,
        setup=str(manifest.setup),
        method=manifest.method,
        target=manifest.target,
        kind=described.get("kind", "language" if run.phase == "language" else "unknown"),
        formulation=described.get("formulation", "plain"),
        labels=tuple(map(str, (manifest.head or {}).get("labels", ()))),
        seed=manifest.seed,
        license=license,
        languages=_languages(training, scores, inputs),
        base=_base(base, inputs),
        versions=described.get("versions", {}),
        training_data=training,
        scores=scores,
        parents=tuple(parents),
        run=run_id(run),
        content=manifest.content(),
        inputs=inputs,
        noted={key: config[key] for key in OUTSIDE_KEY[1:] if key in config},
        result=run.result(),
        files=_files(folder),
    )
    (folder / CARD).write_text(card(package), encoding="utf-8")
    package = package.model_copy(update={"files": _files(folder)})
    (folder / NAME).write_text(package.text(), encoding="utf-8")
    _refuse_private(folder, store)
    return package


def _inputs(run: Run, config: Mapping[str, Any]) -> dict[str, Any]:
    """What makes the key of a run, of its configuration."""
    inputs = {key: value for key, value in config.items() if key not in OUTSIDE_KEY}
    if key_of(inputs) != run.key:
        raise ArtifactError(
            f"the configuration of {run.name} does not make its key",
            remedy="train it again with this version",
        )
    return inputs


def _copy(run: Run, folder: Path, described: dict[str, Any]) -> None:
    """Put the weights of a run and their description into a folder."""
    write_json(folder / ARTIFACT, described)
    for path in _weights(run.artifact):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run.artifact / path, folder / path)
    _clean_encoder(folder / "backbone" / "config.json")


def _base_of(manifest: Manifest) -> Backbone:
    try:
        return identify(manifest.backbone["name"])
    except AdaptransError as error:
        raise ArtifactError(
            f"the base of {manifest.folder} is not at hand: {error.message}", remedy="give it with --backbone"
        ) from None


def base_id(backbone: Backbone) -> str:
    """The name of a base that means something elsewhere: that of a hub, or a folder's own."""
    if backbone.revision is not None or backbone.name in PROVIDED:
        return backbone.name
    return Path(backbone.name).name or backbone.path.name


def essentials(backbone: Backbone) -> dict[str, Any]:
    """What of a base's configuration changes its output, without what is no plain value."""
    config = deciding(read_json(backbone.path / "config.json"))
    return {key: value for key, value in config.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    """Whether a value of a configuration is one, or a list of texts, such as DeBERTa's kinds of attention."""
    texts = isinstance(value, list) and all(type(item) is str for item in value)
    return value is None or type(value) in PLAIN or texts


def _base(backbone: Backbone, inputs: Mapping[str, Any]) -> Base:
    return Base(
        id=base_id(backbone),
        revision=backbone.revision,
        architecture=backbone.architecture,
        depth=backbone.depth,
        width=backbone.width,
        vocabulary=backbone.vocabulary,
        fingerprint=backbone.fingerprint,
        tokenizer=inputs.get("tokenizer"),
        config=essentials(backbone),
    )


def _described(manifest: Manifest, base: Backbone, parents: Sequence[Parent]) -> dict[str, Any]:
    """`artifact.json` with nothing of this machine in it."""
    places = {parent.reference: parent_path(parent) for parent in parents}
    return {
        **manifest.values,
        "backbone": {**manifest.backbone, "name": base_id(base), "revision": base.revision},
        "parents": {
            reference: {**recorded, "path": places[reference]}
            for reference, recorded in manifest.parents.items()
            if reference in places
        },
    }


def parent_path(parent: Parent) -> str:
    """Where a parent's artifact is, from the artifact built on it, in every store."""
    return f"../../../{parent.run.folder}/artifact"


def _weights(artifact: Path) -> list[str]:
    found = []
    for path in sorted(artifact.rglob("*")):
        relative = path.relative_to(artifact).as_posix()
        if (path.is_dir() and not path.is_symlink()) or relative in (ARTIFACT, NAME, CARD):
            continue
        if path.is_symlink() or not allowed(relative):
            raise ArtifactError(
                f"{artifact} holds {relative}, which is no part of an artifact", remedy="take it out"
            )
        found.append(relative)
    return found


def _clean_encoder(path: Path) -> None:
    """Take the place where an encoder was loaded from out of its configuration."""
    if path.is_file():
        write_json(path, {key: value for key, value in read_json(path).items() if key != "_name_or_path"})


def _training_data(run: Run, manifest: Manifest, folders: Sequence[Path]) -> tuple[Source, ...]:
    """Of the run and of all that it was built on, each once."""
    found: dict[str, Source] = {}
    for source in _own_data(run, manifest, folders):
        found.setdefault(source.task, source)
    for parent in parent_runs(run, manifest).values():
        for source in _training_data(parent, shareable(parent), folders):
            found.setdefault(source.task, source)
    return tuple(found.values())


def _own_data(run: Run, manifest: Manifest, folders: Sequence[Path]) -> list[Source]:
    known = provenance.recorded(manifest.values)
    if known is not None:
        return known
    inputs = run.config()
    if run.phase == ADOPTED:
        return [provenance.elsewhere(manifest.target)]
    if run.phase == "language":
        return [provenance.text_source(inputs["language"], inputs.get("text", ()))]
    found: list[Source] = []
    for part in (inputs, *inputs.get("mix", ())):
        name = TaskRef.parse(str(part["task"])).name
        read = dict(part.get("train", {}))
        written = inputs.get("provenance", {}).get(name, {})
        try:
            task = catalogue.get(name, folders)
            found += provenance.sources_of(task, "train", list(read), read)
        except AdaptransError:
            # A task that only an experiment's file knew: what is not known is said so.
            found.append(
                Source(
                    task=name,
                    title=name,
                    license=provenance.UNKNOWN,
                    homepage="",
                    languages=tuple(read),
                    data=read,
                    written={code: tuple(item) for code, item in written.items()},
                )
            )
    return found


def _scores(run: Run, store: Store, folders: Sequence[Path], known: Sequence[Score]) -> tuple[Score, ...]:
    """Scores of all evaluations of a run in its store, and those it came with; of several the largest."""
    found = {(item.task, item.score, item.split, item.language, item.setup): item for item in known}
    for evaluation in store.runs("evaluate"):
        inputs = evaluation.config()
        alone = inputs.get("trained") is None and list(inputs.get("parents", {}).values()) == [run.key]
        if inputs.get("trained") != run.key and not alone:
            continue
        for path in sorted((evaluation.path / "scores").glob("*.json")):
            for score in _language_scores(inputs, read_json(path), folders):
                place = (score.task, score.score, score.split, score.language, score.setup)
                if place not in found or found[place].n <= score.n:
                    found[place] = score
    return tuple(found[place] for place in sorted(found))


def _language_scores(
    inputs: Mapping[str, Any], result: Mapping[str, Any], folders: Sequence[Path]
) -> list[Score]:
    policy = f" @ {inputs['policy']}" if "policy" in inputs else ""
    return [
        Score(
            task=inputs["task"],
            score=name,
            split=inputs["split"],
            language=result["language"],
            value=value,
            n=result["n"],
            low=result["low"] if place == 0 else None,
            high=result["high"] if place == 0 else None,
            setup=f"{inputs['setup']}{policy}",
            hub=_hub_id(inputs["task"], folders),
        )
        for place, (name, value) in enumerate(result["values"].items())
    ]


def _hub_id(task: str, folders: Sequence[Path]) -> str | None:
    try:
        return catalogue.get(TaskRef.parse(task).name, folders).sources.hub.repo
    except AdaptransError:
        return None


def _languages(
    training: Sequence[Source], scores: Sequence[Score], inputs: Mapping[str, Any]
) -> tuple[str, ...]:
    own = {inputs["language"]} if inputs.get("language") else set()
    trained = {code for source in training for code in source.languages}
    return tuple(sorted(own | trained | {score.language for score in scores}))


def _files(folder: Path) -> tuple[File, ...]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / NAME)
    return tuple(
        File(path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=sha256(path))
        for path in paths
    )


def _refuse_private(folder: Path, store: Store) -> None:
    places = [Path.home(), Path.cwd(), store.root.resolve()]
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".json", ".md") or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        plain = text if path.suffix == ".md" else json.dumps(json.loads(text), ensure_ascii=False)
        said = private.found_in(plain, places)
        if said:
            raise ArtifactError(
                f"{path.relative_to(folder)} would give away {said}",
                remedy="take it out of the run, or train again with names instead of paths",
            )
