"""From a finished run to a package in a hub. Torch-free.

A push takes with a run the artifacts it was built on, unless the hub has them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adaptrans.errors import AdaptransError, ArtifactError, ConfigError
from adaptrans.hub.base import (
    Entry,
    Hub,
    PushOptions,
    PushResult,
    open_hub,
    parse_artifact,
    version_of,
)
from adaptrans.hub.import_adapterhub import PHASE as ADOPTED
from adaptrans.hub.model_card import card
from adaptrans.hub.package import (
    CARD,
    NAME,
    UNKNOWN,
    Base,
    File,
    Package,
    Parent,
    RunId,
    Score,
    Source,
    found_in,
    once,
    parse_package,
    read_package,
    recorded,
    sources_of,
    unpublished,
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
from adaptrans.utils.io import digest, read_json, sha256, write_json


@dataclass(frozen=True)
class Shared:
    """What a push did: the artifact, and the artifacts it was built on, which were pushed first."""

    pushed: PushResult
    package: Package
    parents: tuple[Shared, ...] = ()


def push(
    run: Run,
    store: Store,
    address: str,
    *,
    license: str = UNKNOWN,
    how: PushOptions | None = None,
    backbone: Backbone | None = None,
    tasks: Sequence[Path] = (),
) -> Shared:
    """Share a finished run.

    Args:
        run: A training run.
        store: Its store.
        address: Where to, with the artifact's name last.
        license: License of the artifact itself, as the Hugging Face Hub writes it (`apache-2.0`).
        how: How the hub treats it.
        backbone: Its base; by default the one that it names.
        tasks: Folders of own task files.

    Raises:
        ArtifactError: If the name is taken, or something in the run must not be shared.
    """
    to = parse_artifact(address)
    options = how or PushOptions()
    if to.revision is not None:
        if to.scheme != "hf" or version_of(to.revision):
            raise ConfigError(
                f"{to}: versions are numbered by the hub", remedy=f"push to {to.place}/{to.name}"
            )
        options = replace(options, branch=to.revision)
    shareable(run)
    own = {"license": license, "backbone": backbone, "tasks": tasks}
    return _push(open_hub(to.scheme, to.place), to.name, run, store, options, own)


def _push(hub: Hub, name: str, run: Run, store: Store, how: PushOptions, own: Mapping[str, Any]) -> Shared:
    manifest = shareable(run)
    runs = parent_runs(run, manifest)
    parents: list[Parent] = []
    before: list[Shared] = []
    for reference, known in sorted(manifest.parents.items()):
        content = known["content"]
        if reference not in runs:
            if content is not None:
                raise ArtifactError(
                    f"{run.name} needs '{reference}', which is not in {store.root}", remedy="put it back"
                )
            continue
        own_manifest = shareable(runs[reference])
        parent = Parent(
            reference=reference,
            run=run_id(runs[reference]),
            content=content,
            adapter=own_manifest.adapter,
        )
        if content is not None:
            entry, hashed = _found(hub, runs[reference]) or (None, "")
            if entry is None:
                options = PushOptions(private=how.private, message=how.message, tell=how.tell)
                default = default_name(runs[reference], own_manifest)
                shared = _push(hub, default, runs[reference], store, options, own)
                before.append(shared)
                entry, hashed = shared.pushed.entry, shared.package.digest()
            parent = parent.model_copy(
                update={"name": entry.name, "version": entry.version or None, "manifest": hashed}
            )
        parents.append(parent)
    store.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.cache) as temporary:
        folder = Path(temporary)
        package = pack(run, store, folder, name=name, parents=parents, **own)
        return Shared(hub.push(folder, package, how), package, tuple(before))


def _found(hub: Hub, run: Run) -> tuple[Entry, str] | None:
    """The newest version of a run's artifact that a hub has, with the hash of its manifest."""
    content = read_manifest(run.artifact).content()
    rows = [row for row in hub.rows() if row.key == run.key and row.content == content]
    if not rows:
        return None
    newest = max(rows, key=lambda row: row.version)
    entry = hub.find(newest.name, f"v{newest.version}" if newest.version else None)
    text = hub.manifest(entry)
    # A row only claims; the manifest decides.
    package = parse_package(text, str(entry))
    if package.run.key != run.key or package.content != content:
        return None
    return entry, hashlib.sha256(text).hexdigest()


OUTSIDE_KEY = ("backbone_name", "provenance")
"""Of a run's configuration, what is no part of its key."""

PLAIN = (bool, int, float, str)
"""Types of the values of a base's configuration that a package tells."""


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
    for reference, known in manifest.parents.items():
        folder = (run.artifact / known["path"]).resolve().parent
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
    inputs = {key: value for key, value in config.items() if key not in OUTSIDE_KEY}
    if digest(inputs) != run.key:
        raise ArtifactError(
            f"the configuration of {run.name} does not make its key",
            remedy="train it again with this version",
        )
    described = _described(manifest, base, parents)
    write_json(folder / ARTIFACT, described)
    for path in _weights(run.artifact):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run.artifact / path, folder / path)
    encoder = folder / "backbone" / "config.json"
    if encoder.is_file():  # which says where it was loaded from
        write_json(
            encoder, {key: value for key, value in read_json(encoder).items() if key != "_name_or_path"}
        )
    former = read_package(run.artifact) if (run.artifact / NAME).is_file() else None
    training = former.training_data if former else _training_data(run, manifest, tasks)
    scores = _scores(run, store, tasks, former.scores if former else ())
    languages = {code for source in training for code in source.languages}
    languages |= {score.language for score in scores} | {*filter(None, [inputs.get("language")])}
    decides = deciding(read_json(base.path / "config.json"))
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
        languages=tuple(sorted(languages)),
        base=Base(
            id=base_id(base),
            revision=base.revision,
            architecture=base.architecture,
            depth=base.depth,
            width=base.width,
            vocabulary=base.vocabulary,
            fingerprint=base.fingerprint,
            tokenizer=inputs.get("tokenizer"),
            # What changes its output, as far as it is plain; the fingerprint covers all.
            config={key: value for key, value in decides.items() if _is_plain(value)},
        ),
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


def _base_of(manifest: Manifest) -> Backbone:
    try:
        return identify(manifest.backbone["name"])
    except AdaptransError as error:
        raise ArtifactError(
            f"the base of {manifest.folder} is not at hand: {error.message}", remedy="give it with --backbone"
        ) from None


def _is_plain(value: Any) -> bool:
    """Whether a value of a configuration is one, or a list of texts, such as DeBERTa's kinds of attention."""
    texts = isinstance(value, list) and all(type(item) is str for item in value)
    return value is None or type(value) in PLAIN or texts


def base_id(backbone: Backbone) -> str:
    """The name of a base that means something elsewhere: that of a hub, or a folder's own."""
    if backbone.revision is not None or backbone.name in PROVIDED:
        return backbone.name
    return Path(backbone.name).name or backbone.path.name


def _described(manifest: Manifest, base: Backbone, parents: Sequence[Parent]) -> dict[str, Any]:
    """`artifact.json` with nothing of this machine in it."""
    places = {parent.reference: f"../../../{parent.run.folder}/artifact" for parent in parents}
    return {
        **manifest.values,
        "backbone": {**manifest.backbone, "name": base_id(base), "revision": base.revision},
        "parents": {
            reference: {**known, "path": places[reference]}
            for reference, known in manifest.parents.items()
            if reference in places
        },
    }


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


def _training_data(run: Run, manifest: Manifest, folders: Sequence[Path]) -> tuple[Source, ...]:
    """Of the run and of all that it was built on, each once."""
    below = parent_runs(run, manifest).values()
    found = [source for one in below for source in _training_data(one, shareable(one), folders)]
    return once([*_own_data(run, manifest, folders), *found])


def _own_data(run: Run, manifest: Manifest, folders: Sequence[Path]) -> list[Source]:
    known = recorded(manifest.values)
    if known is not None:
        return known
    inputs = run.config()
    if run.phase == ADOPTED:
        return [unpublished(manifest.target, "trained elsewhere")]
    if run.phase == "language":
        code = inputs["language"]
        data = {f"file {place}": hashed for place, hashed in enumerate(inputs.get("text", ()), start=1)}
        return [unpublished(f"text-{code}", f"plain text in {code}", [code], data=data)]
    found: list[Source] = []
    for part in (inputs, *inputs.get("mix", ())):
        name = TaskRef.parse(str(part["task"])).name
        read = dict(part.get("train", {}))
        try:
            found += sources_of(catalogue.get(name, folders), "train", list(read), read)
        except AdaptransError:
            # A task that only an experiment's file knew: what is not known is said so.
            written = inputs.get("provenance", {}).get(name, {})
            found.append(unpublished(name, name, read, data=read, written=written))
    return found


def _scores(run: Run, store: Store, folders: Sequence[Path], known: Sequence[Score]) -> tuple[Score, ...]:
    """Scores of all evaluations of a run in its store, and those it came with; of several the largest."""
    found = {(item.task, item.score, item.split, item.language, item.setup): item for item in known}
    for evaluation in store.runs("evaluate"):
        inputs = evaluation.config()
        alone = inputs.get("trained") is None and list(inputs.get("parents", {}).values()) == [run.key]
        if inputs.get("trained") != run.key and not alone:
            continue
        task, split = inputs["task"], inputs["split"]
        setup = inputs["setup"] + (f" @ {inputs['policy']}" if "policy" in inputs else "")
        hub = None
        with contextlib.suppress(AdaptransError):
            hub = catalogue.get(TaskRef.parse(task).name, folders).sources.hub.repo
        for path in (evaluation.path / "scores").glob("*.json"):
            result = read_json(path)
            own, bounds = {"split": split, "language": result["language"], "n": result["n"]}, ("low", "high")
            for place, (name, value) in enumerate(result["values"].items()):
                # Only the primary score has an interval.
                own |= {bound: result[bound] if place == 0 else None for bound in bounds}
                at = (task, name, split, result["language"], setup)
                if at not in found or found[at].n <= result["n"]:
                    found[at] = Score(task=task, score=name, value=value, setup=setup, hub=hub, **own)
    return tuple(found[place] for place in sorted(found))


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
        said = found_in(plain, places)
        if said:
            raise ArtifactError(
                f"{path.relative_to(folder)} would give away {said}",
                remedy="take it out of the run, or train again with names instead of paths",
            )
