"""A trained run as a folder for other tools: plain `transformers`, or plain `adapters`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrans import samples
from adaptrans.errors import ArtefactError, ConfigError, UnknownNameError
from adaptrans.files import read_json, write_json, written_whole
from adaptrans.hub.store import DEFAULT_STORE, Store
from adaptrans.languages import unknown
from adaptrans.models import methods
from adaptrans.models.backbone import BUNDLED, Backbone, identify
from adaptrans.models.foreign import CONFIG
from adaptrans.models.manifest import Manifest, check_backbone, read_manifest, subtracts_nothing
from adaptrans.models.methods import FULL, SUBTRACTS_NOTHING
from adaptrans.models.nodes import has_language
from adaptrans.progress import Meter, progress
from adaptrans.runs.addressed import artefact_folder
from adaptrans.runs.evaluations import default_layer
from adaptrans.runs.language import language_runs
from adaptrans.runs.workspace import Workspace
from adaptrans.tasks import catalogue

if TYPE_CHECKING:
    from adaptrans.models.adapting import Assembled
    from adaptrans.models.plain import PlainHead

TRANSFORMERS, ADAPTERS, AUTO = "transformers", "adapters", "auto"
FORMATS = (TRANSFORMERS, ADAPTERS, AUTO)
MARK = "README.md"
STEPS = 3
"""What an export does: load, look for a plain form, write."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        folder: Where.
        format: `transformers` or `adapters`.
        lines: The lines of Python that load it.
        reason: With `auto`, why it is no plain transformers model; empty if it is.
        head: The head that it answers with, as the artefact describes it; None for an adapter alone.
    """

    folder: Path
    format: str
    lines: tuple[str, ...]
    reason: str = ""
    head: Mapping[str, Any] | None = None


def export(
    run: str | Path,
    *,
    out: str | Path,
    format: str = AUTO,
    store: str | Path = DEFAULT_STORE,
    backbone: str | Path | None = None,
    head: str | None = None,
    languages: Sequence[str] = (),
    with_backbone: bool = False,
) -> Exported:
    """Write a trained run so that `transformers` or `adapters` loads it without this package.

    Args:
        run: Key of a run in the store, or folder of a run or an artefact.
        out: Folder to write; one that holds an earlier export is replaced.
        format: `transformers` for one plain model, its adapters merged into the backbone; `adapters` for
            every adapter, fusion and head in that library's own format; `auto` for the first where it is
            possible.
        store: Folder of the runs.
        backbone: The encoder it was trained on; by default the one that it names.
        head: For `transformers`, the head of a run of several tasks.
        languages: For a setup with `{lang}`, languages whose adapters go along; for `transformers` the one
            that is merged.
        with_backbone: For `adapters`, also write the encoder.

    Returns:
        What was written, with the lines that load it.

    Raises:
        SetupError: If the setup is no plain transformers model and `transformers` was asked for.
        ArtefactError: If the run trained nothing, is damaged, or `out` holds something else.
    """
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    places, folder = Store(Path(store)), Path(out)
    manifest = read_manifest(artefact_folder(str(run), places))
    base = identify(backbone or manifest.backbone["name"], controls=places.cache / "controls")
    check_backbone(manifest.backbone, base, str(manifest.folder))
    if folder.exists() and not (folder / MARK).is_file() and (folder.is_file() or any(folder.iterdir())):
        raise ArtefactError(f"{folder} exists and is no export", remedy="choose another folder")
    wanted = _languages(manifest, languages, Workspace(base, None, places))
    with written_whole(folder) as temporary, progress(f"exporting {manifest.target}", STEPS) as meter:
        temporary.mkdir(parents=True)
        if manifest.head is None:
            made = _adapter_alone(manifest, base, temporary, format)
        else:
            made = _setup(manifest, base, temporary, format, head, wanted, with_backbone, meter)
        text = _readme(manifest, base, made)
        (temporary / MARK).write_text(text, encoding="utf-8")
    return replace(made, folder=folder)


def _languages(manifest: Manifest, languages: Sequence[str], where: Workspace) -> dict[str, Path]:
    """Artefacts of the language adapters that go along, by language."""
    if not languages:
        return {}
    if not has_language(manifest.setup):
        raise ConfigError(
            f"{manifest.setup} has no language adapter",
            remedy="leave the languages out, or export another run",
        )
    known = language_runs(where)
    for code in languages:
        if code not in known:
            raise unknown("language adapter", code, known, remedy="train it with adaptrans language")
    return {code: known[code].artefact for code in languages}


def _adapter_alone(manifest: Manifest, base: Backbone, folder: Path, format: str) -> Exported:
    """An adapter without a head, such as one of a language."""
    from adaptrans.models.folders import adapter_lines, said_of

    reason = "an adapter without a head answers nothing"
    if format == TRANSFORMERS:
        raise ConfigError(f"{manifest.folder}: {reason}", remedy="export it with --format adapters")
    own = folder / str(manifest.adapter)
    shutil.copytree(manifest.adapter_folder, own, copy_function=shutil.copyfile)
    method = SUBTRACTS_NOTHING if subtracts_nothing(manifest.adapter_folder) else None
    write_json(own / CONFIG, {**read_json(own / CONFIG), **said_of(base, method)})
    return Exported(folder, ADAPTERS, tuple(adapter_lines(base, manifest)), reason)


def _setup(
    manifest: Manifest,
    base: Backbone,
    folder: Path,
    format: str,
    head: str | None,
    languages: Mapping[str, Path],
    with_backbone: bool,
    meter: Meter,
) -> Exported:
    """A setup with a head."""
    from adaptrans.models.artefact import load_artefact
    from adaptrans.models.folders import save_folder

    meter.to(0, "loading")
    # Merging and writing are of weights as they are; what is exported holds no trace of a base in few bits.
    assembled = load_artefact(manifest.folder, base, quantise="none")
    meter.to(1, "looking for a plain form")
    reason = "" if format == ADAPTERS else _no_plain_model(assembled, head, languages)
    meter.to(2, "merging and writing")
    if format == TRANSFORMERS or (format == AUTO and not reason):
        return _plain(assembled, manifest, base, folder, head, languages)
    adapters = {code: read_manifest(path).adapter_folder for code, path in languages.items()}
    lines = save_folder(assembled, folder, adapters, with_backbone=with_backbone)
    return Exported(folder, ADAPTERS, tuple(lines), reason, manifest.head)


def _no_plain_model(assembled: Assembled, head: str | None, languages: Mapping[str, Path]) -> str:
    """Why `auto` does not take `transformers`."""
    from adaptrans.models.plain import obstacle

    if len(assembled.heads) > 1 and head is None:
        return "it has several heads, and none was chosen"
    if has_language(assembled.setup) and len(languages) != 1:
        return "its language adapter changes with the language, and not one was chosen"
    return obstacle(assembled) or ""


def _plain(
    assembled: Assembled,
    manifest: Manifest,
    base: Backbone,
    folder: Path,
    head: str | None,
    languages: Mapping[str, Path],
) -> Exported:
    from adaptrans.models import recipes
    from adaptrans.models.adapting import with_head
    from adaptrans.models.language_adapters import use_language
    from adaptrans.models.plain import save_plain
    from adaptrans.models.tokenizer_files import save_tokenizer

    if len(assembled.heads) > 1 or head is not None:
        named = {spec.name: name for name, spec in assembled.heads.items()}
        if head is None:
            raise ConfigError(
                f"{assembled.setup} has the heads {', '.join(named)}", remedy="choose one with --head"
            )
        if head not in named:
            raise UnknownNameError("head", head, named)
        assembled = with_head(assembled, named[head])
    if has_language(assembled.setup):
        if len(languages) != 1:
            raise ConfigError(
                f"{assembled.setup}: a plain model has one language adapter",
                remedy="name it with --languages",
            )
        assembled = use_language(assembled, *languages.values())
    own = next(item for item in _heads(manifest) if item["module"] == assembled.head_name)
    rules = answering(manifest, own)
    more = {recipes.KEY: {"task": own["name"], **recipes.settings(rules)}} if rules else None
    form = save_plain(assembled, folder, more)
    save_tokenizer(base, folder)
    return Exported(folder, TRANSFORMERS, tuple(_plain_lines(form, base)), head=own)


def _heads(manifest: Manifest) -> list[Mapping[str, Any]]:
    """The heads of a run, as its artefact describes them."""
    return [] if manifest.head is None else [manifest.head, *manifest.more_heads]


def answering(manifest: Manifest, head: Mapping[str, Any]) -> dict[str, Any] | None:
    """The rules by which a head's numbers become answers, see `adaptrans.models.recipes.rules`.

    Args:
        manifest: The run.
        head: One of its heads.

    Returns:
        What the artefact recorded; of an older one what the task of that name and version says today, and
        None where there is none.
    """
    from adaptrans.models import recipes

    recorded = manifest.values.get(recipes.ANSWERING)
    if isinstance(recorded, dict) and isinstance(recorded.get(head["name"]), dict):
        return dict(recorded[head["name"]])
    with suppress(UnknownNameError):
        task = catalogue.get(head["name"], [samples.TASKS])
        if task.version == manifest.values.get("task_version") and head is manifest.head:
            return recipes.rules(task, task.max_length)
    return None


def _plain_lines(form: PlainHead, base: Backbone) -> list[str]:
    from adaptrans.models.folders import tokenizer_line

    return [
        f"from transformers import {form.auto}, AutoTokenizer",
        "",
        'folder = "."  # where this file lies',
        tokenizer_line("folder", base),
        f"model = {form.auto}.from_pretrained(folder).eval()",
    ]


def _readme(manifest: Manifest, base: Backbone, made: Exported) -> str:
    """What a reader without this package needs."""
    head = made.head or {}
    name = base.name if base.revision is not None or base.name in BUNDLED else "an encoder of its own"
    if base.revision is not None:
        name = f"[{name}](https://huggingface.co/{name}), revision {base.revision}"
    rows = {
        "trained on": manifest.target,
        "setup": f"`{manifest.setup}`",
        "method": f"`{manifest.method}`",
        "backbone": f"{name}: {base.depth} layers, width {base.width}, fingerprint {base.fingerprint[:12]}",
        "head": head.get("type", "none"),
        "labels, in the order of the logits": ", ".join(head.get("labels", ())) or "none",
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    code = "\n".join(made.lines)
    return (
        f"# {manifest.target}\n\nWritten by adaptrans, for {made.format} alone.\n\n"
        f"| | |\n|---|---|\n{table}\n\n## Load it\n\n{WEIGHTS_NOTE}\n\n```python\n{code}\n```\n"
        f"{_answers(manifest, base, made)}"
    )


WEIGHTS_NOTE = "The weights are float32. Loaded with fewer bits they give other answers."


def _answers(manifest: Manifest, base: Backbone, made: Exported) -> str:
    """How it answers, with code that a reader can run below the lines that load it."""
    from adaptrans.models import recipes

    found = ""
    if made.head is not None:
        rules = answering(manifest, made.head)
        found = NOT_RECORDED if rules is None else recipes.text(rules, plain=made.format == TRANSFORMERS)
    # A method that puts tokens of its own into the sequence has states that are no tokens of the text.
    lengthens = manifest.method != FULL and methods.parse(manifest.method).lengthens
    if (made.head or {}).get("type") == "passage_ranking" or lengthens:
        return found
    return found + recipes.vector_text(default_layer(base.depth))


NOT_RECORDED = """
## Answer with it

What of the task says how these numbers become answers (where texts are cut, which piece of a word bears its
tag, how long an answer may be) is not recorded with this run, which an older version made: see its task file.
"""
