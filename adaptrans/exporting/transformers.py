"""A trained run as a folder for other tools: plain `transformers`, or plain `adapters`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptrans import samples
from adaptrans.errors import ArtifactError, ConfigError, SetupError, UnknownNameError
from adaptrans.exporting.adapters import PLACE, adapter_lines, said_of, save_folder, tokenizer_line
from adaptrans.languages import unknown
from adaptrans.modeling import adapter_methods, adapters, encoder_files
from adaptrans.modeling.adapter_methods import FULL, SUBTRACTS_NOTHING
from adaptrans.modeling.backbone import PROVIDED, Backbone, identify
from adaptrans.modeling.encoder import PlainHead
from adaptrans.modeling.encoder_files import save_tokenizer
from adaptrans.modeling.import_adapter import CONFIG
from adaptrans.modeling.manifest import Manifest, check_backbone, read_manifest, subtracts_nothing
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.safetensors_io import write_tensors
from adaptrans.runs.evaluation import retrieval_layer
from adaptrans.runs.language_adapter import language_runs
from adaptrans.runs.store import DEFAULT_STORE, Store
from adaptrans.runs.workspace import Workspace, artifact_folder
from adaptrans.task_types import recipes
from adaptrans.tasks import catalogue
from adaptrans.utils.io import atomic_write, read_json, write_json
from adaptrans.utils.progress import Meter, progress

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
        head: The head that it answers with, as the artifact describes it; None for an adapter alone.
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
        run: Key of a run in the store, or folder of a run or an artifact.
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
        ArtifactError: If the run trained nothing, is damaged, or `out` holds something else.
    """
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    places, folder = Store(Path(store)), Path(out)
    manifest = read_manifest(artifact_folder(str(run), places))
    base = identify(backbone or manifest.backbone["name"], controls=places.cache / "controls")
    check_backbone(manifest.backbone, base, str(manifest.folder))
    if folder.exists() and not (folder / MARK).is_file() and (folder.is_file() or any(folder.iterdir())):
        raise ArtifactError(f"{folder} exists and is no export", remedy="choose another folder")
    wanted = _languages(manifest, languages, Workspace(base, None, places))
    with atomic_write(folder) as temporary, progress(f"exporting {manifest.target}", STEPS) as meter:
        temporary.mkdir(parents=True)
        if manifest.head is None:
            made = _adapter_alone(manifest, base, temporary, format)
        else:
            made = _setup(manifest, base, temporary, format, head, wanted, with_backbone, meter)
        text = _readme(manifest, base, made)
        (temporary / MARK).write_text(text, encoding="utf-8")
    return replace(made, folder=folder)


def _languages(manifest: Manifest, languages: Sequence[str], where: Workspace) -> dict[str, Path]:
    """Artifacts of the language adapters that go along, by language."""
    if not languages:
        return {}
    if not manifest.setup.has_language:
        raise ConfigError(
            f"{manifest.setup} has no language adapter",
            remedy="leave the languages out, or export another run",
        )
    known = language_runs(where)
    for code in languages:
        if code not in known:
            raise unknown("language adapter", code, known, remedy="train it with adaptrans language")
    return {code: known[code].artifact for code in languages}


def _adapter_alone(manifest: Manifest, base: Backbone, folder: Path, format: str) -> Exported:
    """An adapter without a head, such as one of a language."""
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
    meter.to(0, "loading")
    # Merging and writing are of weights as they are; what is exported holds no trace of a base in few bits.
    assembled = SetupModel.load(manifest.folder, base, quantize="none")
    meter.to(1, "looking for a plain form")
    reason = "" if format == ADAPTERS else _no_plain_model(assembled, head, languages)
    meter.to(2, "merging and writing")
    if format == TRANSFORMERS or (format == AUTO and not reason):
        return _plain(assembled, manifest, base, folder, head, languages)
    beside = {code: read_manifest(path).adapter_folder for code, path in languages.items()}
    lines = save_folder(assembled, folder, beside, with_backbone=with_backbone)
    return Exported(folder, ADAPTERS, tuple(lines), reason, manifest.head)


def _no_plain_model(assembled: SetupModel, head: str | None, languages: Mapping[str, Path]) -> str:
    """Why `auto` does not take `transformers`."""
    if len(assembled.heads) > 1 and head is None:
        return "it has several heads, and none was chosen"
    if assembled.setup.has_language and len(languages) != 1:
        return "its language adapter changes with the language, and not one was chosen"
    return obstacle(assembled) or ""


def _plain(
    assembled: SetupModel,
    manifest: Manifest,
    base: Backbone,
    folder: Path,
    head: str | None,
    languages: Mapping[str, Path],
) -> Exported:
    setup = assembled.setup
    if len(assembled.heads) > 1 or head is not None:
        named = {spec.name: name for name, spec in assembled.heads.items()}
        if head is None:
            raise ConfigError(f"{setup} has the heads {', '.join(named)}", remedy="choose one with --head")
        if head not in named:
            raise UnknownNameError("head", head, named)
        assembled = assembled.with_head(named[head])
    if setup.has_language:
        if len(languages) != 1:
            message = f"{setup}: a plain model has one language adapter"
            raise ConfigError(message, remedy="name it with --languages")
        assembled.use_language(*languages.values())
    heads = [manifest.head, *manifest.more_heads] if manifest.head else []
    own = next(item for item in heads if item["module"] == assembled.head_name)
    rules = answering(manifest, own)
    more = {recipes.KEY: {"task": own["name"], **recipes.settings(rules)}} if rules else None
    form = save_plain(assembled, folder, more)
    save_tokenizer(base, folder)
    lines = (
        f"from transformers import {form.auto}, AutoTokenizer",
        "",
        PLACE,
        tokenizer_line("folder", base),
        f"model = {form.auto}.from_pretrained(folder).eval()",
    )
    return Exported(folder, TRANSFORMERS, lines, head=own)


def answering(manifest: Manifest, head: Mapping[str, Any]) -> dict[str, Any] | None:
    """The rules by which a head's numbers become answers, see `adaptrans.task_types.recipes.rules`.

    Args:
        manifest: The run.
        head: One of its heads.

    Returns:
        What the artifact recorded; of an older one what the task of that name and version says today, and
        None where there is none.
    """
    recorded = manifest.values.get(recipes.ANSWERING)
    if isinstance(recorded, dict) and isinstance(recorded.get(head["name"]), dict):
        return dict(recorded[head["name"]])
    with suppress(UnknownNameError):
        task = catalogue.get(head["name"], [samples.TASKS])
        if task.version == manifest.values.get("task_version") and head is manifest.head:
            return recipes.rules(task, task.max_length)
    return None


def _readme(manifest: Manifest, base: Backbone, made: Exported) -> str:
    """What a reader without this package needs."""
    head = made.head or {}
    name = base.name if base.revision is not None or base.name in PROVIDED else "an encoder of its own"
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
    found = ""
    if made.head is not None:
        rules = answering(manifest, made.head)
        found = NOT_RECORDED if rules is None else recipes.text(rules, plain=made.format == TRANSFORMERS)
    # A method that puts tokens of its own into the sequence has states that are no tokens of the text.
    lengthens = manifest.method != FULL and adapter_methods.parse(manifest.method).lengthens
    if (made.head or {}).get("type") == "passage_ranking" or lengthens:
        return found
    return found + recipes.vector_text(retrieval_layer(base))


NOT_RECORDED = """
## Answer with it

What of the task says how these numbers become answers (where texts are cut, which token of a word bears its
tag, how long an answer may be) is not recorded with this run, which an older version made: see its task file.
"""


WEIGHTS = "model.safetensors"


def obstacle(assembled: SetupModel) -> str | None:
    """Why a setup is no plain transformers model, or None if it can be one.

    Args:
        assembled: A model with a head.
    """
    if assembled.head is None or assembled.head.type not in assembled.backbone.spec.plain_heads:
        what = "no head" if assembled.head is None else f"a head for {assembled.head.type}"
        return f"transformers has no class for {what}"
    if assembled.fusions:
        return "a fusion weighs its adapters anew for every token"
    for name in (layer for layer in assembled.layers if isinstance(layer, str)):
        own = adapters.adapter_tensors(assembled.model, name)
        if any(".loras." not in key and "shared_parameters." not in key for key in own):
            return f"the adapter '{name}' has layers of its own"
        if any(".gate." in key for key in own):
            return f"the adapter '{name}' is gated by its input"
    if not all(_is_affine(assembled, layer) for _, layer in _adapted(assembled)):
        return "stacked adapters of different methods multiply each other's outputs"
    return None


def merged_encoder(assembled: SetupModel) -> dict[str, Tensor]:
    """All tensors of the encoder with the active adapters merged in, by their names in the model, float32.

    Raises:
        SetupError: If an adapter has layers of its own.
    """
    reason = obstacle(assembled)
    if reason:
        raise _refusal(assembled, reason)
    found = adapters.encoder_tensors(assembled.model)
    for name, layer in _adapted(assembled):
        weight, bias = _affine(assembled, layer)
        for part, value in (("weight", weight), ("bias", bias)):
            found[f"{name}.{part}"] = value.to(torch.float32)
    return found


def save_plain(assembled: SetupModel, folder: Path, more: Mapping[str, Any] | None = None) -> PlainHead:
    """Write the encoder, with its adapters merged in, and the head as transformers reads them.

    Args:
        assembled: A model with a head.
        folder: Where to; it must exist.
        more: Further keys of its configuration, at which transformers does not look.

    Returns:
        What transformers calls the model.

    Raises:
        SetupError: If the setup is no plain model; says why.
    """
    encoder = merged_encoder(assembled)
    head, name = assembled.head, assembled.head_name
    assert head is not None
    assert name is not None
    form = assembled.backbone.spec.plain_heads[head.type]
    own = adapters.head_tensors(assembled.model, name)
    renamed = {
        f"{there}.{part}": own[key]
        for place, there in form.names.items()
        for part in ("weight", "bias")
        if (key := f"heads.{name}.{place}.{part}") in own
    }
    if len(renamed) != len(own):
        raise _refusal(assembled, f"its head for {head.type} has {len(own)} tensors, not {len(renamed)}")
    write_tensors(folder / WEIGHTS, {**encoder, **renamed})
    labels: dict[str, Any] = {}
    if head.labels:
        labels["id2label"] = dict(enumerate(head.labels))
        labels["label2id"] = {label: number for number, label in enumerate(head.labels)}
    own_keys = {**form.config, **labels, **(more or {})}
    encoder_files.encoder_config(assembled.model, form.architecture, **own_keys).save_pretrained(str(folder))
    return form


def _adapted(assembled: SetupModel) -> Iterator[tuple[str, nn.Module]]:
    """The linear layers in which an active adapter acts, by name."""
    active = {layer for layer in assembled.layers if isinstance(layer, str)}
    for name, module in assembled.model.named_modules():
        if active & set(getattr(module, "loras", ())):
            yield name, module


def _affine(assembled: SetupModel, layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight, shape (outputs, inputs), and bias, shape (outputs,), of a layer with its adapters, float64.

    The layer answers to nothing and to the identity, so that whatever method and stack is merged by the
    library's own forward pass. Its own merge leaves the bias of `ia3` and `dora` unscaled.
    """
    inputs = torch.eye(layer.in_features, dtype=torch.float64, device=layer.weight.device)
    answers = adapters.layer_outputs(
        assembled.model, layer, torch.cat([torch.zeros_like(inputs[:1]), inputs])
    )
    return (answers[1:] - answers[0]).T.contiguous(), answers[0]


def _is_affine(assembled: SetupModel, layer: nn.Module) -> bool:
    """Whether a layer with its adapters is a linear layer still: f(x + y) + f(0) = f(x) + f(y)."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 1, layer.in_features, dtype=torch.float64, generator=generator)
    inputs = torch.cat([x + y, torch.zeros_like(x), x, y]).to(layer.weight.device)
    both, nothing, one, other = adapters.layer_outputs(assembled.model, layer, inputs)
    return torch.allclose(both + nothing, one + other, rtol=1e-9, atol=1e-9)


def _refusal(assembled: SetupModel, reason: str) -> SetupError:
    return SetupError(
        f"{assembled.setup} with {assembled.method} is no plain transformers model: {reason}",
        remedy="export it for the adapters library: --format adapters",
    )
