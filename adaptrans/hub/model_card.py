"""The card of an artifact: README.md with the metadata that the Hugging Face Hub reads. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Sequence

from adaptrans import languages
from adaptrans.errors import UnknownNameError
from adaptrans.hub.package import Package, PackageRow
from adaptrans.modeling.adapter_methods import SUBTRACTS_NOTHING, untold_lines
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.tasks.names import TaskRef

LIBRARY = "adaptrans"
SUMMARY = "adaptrans"
"""Key of the card's metadata under which the row of a list stands."""

LANGUAGE = "language"
"""Kind of a package that holds a language adapter."""


def pipeline(kind: str) -> str | None:
    """What the hub calls the task of a package; None where its type is that of a package that is not here."""
    if kind == LANGUAGE:
        return "fill-mask"
    return TASK_TYPES[kind].pipeline if kind in TASK_TYPES else None


def is_hub_id(name: str) -> bool:
    """Whether a base's name is a repository of the hub, as `organization/name`."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def card(package: Package) -> str:
    """The text of README.md; the same package gives the same text."""
    from huggingface_hub import EvalResult, ModelCardData

    listed = [
        EvalResult(
            task_type=pipeline(package.kind) or "text-classification",
            dataset_type=score.hub or TaskRef.parse(score.task).name,
            dataset_name=score.task,
            dataset_config=score.language,
            dataset_split=score.split,
            metric_type=score.score,
            metric_value=round(score.value, 4),
            metric_name=score.score,
            metric_args={"n": score.n, "low": score.low, "high": score.high, "setup": score.setup},
        )
        for score in package.scores
    ]
    data = ModelCardData(
        base_model=package.base.id if is_hub_id(package.base.id) else None,
        datasets=sorted({item.hub for item in package.training_data if item.hub}) or None,
        eval_results=listed or None,
        language=sorted({_iso(code) for code in package.languages}) or None,
        library_name=LIBRARY,
        license=package.license,
        metrics=sorted({score.score.partition(".")[0] for score in package.scores}) or None,
        model_name=package.name if listed else None,
        pipeline_tag=pipeline(package.kind),
        tags=[LIBRARY, "adapter-transformers", package.base.architecture],
    )
    # A key of our own, so that a list of repositories is a list of artifacts.
    setattr(
        data, SUMMARY, PackageRow.of(package, 0).model_dump(mode="json", exclude={"version", "tags", "size"})
    )
    return f"---\n{data.to_yaml()}\n---\n\n{_body(package)}"


def _iso(code: str) -> str:
    try:
        return languages.get(code).code
    except UnknownNameError:
        return code


def _body(package: Package) -> str:
    base = package.base
    whole = package.method == "full"
    what = "A whole model" if whole else "A language adapter" if package.kind == LANGUAGE else "An adapter"
    scores = [
        (
            item.task,
            item.split,
            item.language,
            item.score,
            f"{item.value:.1f}",
            "-" if item.low is None else f"{item.low:.1f} to {item.high:.1f}",
            str(item.n),
        )
        for item in package.scores
    ]
    parents = [
        (
            f"`{item.reference}`",
            f"{item.name}@v{item.version}" if item.name else "not shared",
            "needed to answer" if item.content else "trained further",
        )
        for item in package.parents
    ]
    parts = [
        f"# {package.name}",
        f"{what} for {base.id} ({base.depth} layers x {base.width}, {base.vocabulary} tokens), trained by"
        f" adaptrans as `{package.setup}` on {package.task}.",
        _table(
            ("", ""),
            [
                ("setup", f"`{package.setup}`"),
                ("method", f"`{package.method}`"),
                ("formulation", package.formulation),
                ("seed", str(package.seed)),
                ("labels", ", ".join(package.labels[:30]) or "none"),
                ("base", f"{base.id}, revision {base.revision or 'not known'}"),
                ("fingerprint of the base", f"`{base.fingerprint}`"),
                ("license", package.license),
                *((name, version or "not installed") for name, version in sorted(package.versions.items())),
            ],
        ),
        "## Training data",
        _table(
            ("data", "languages", "license", "from"),
            [
                (item.task, ", ".join(item.languages), item.license, item.homepage)
                for item in package.training_data
            ],
        ),
        "## Scores",
        _table(("task", "split", "language", "score", "value", "95 % interval", "n"), scores)
        if scores
        else "None were recorded.",
    ]
    notes = package.result.get("notes", [])
    if notes and isinstance(notes, list):
        parts += ["## Notes", "\n".join(f"- {_cell(str(note))}" for note in notes)]
    if package.parents:
        parts += ["## Built on", _table(("in the setup", "artifact in the same hub", ""), parents)]
    return "\n\n".join([*parts, "## Use", _use(package)]) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _use(package: Package) -> str:
    pull = "adaptrans hub pull ADDRESS --backbone BASE"
    evaluate = f"adaptrans evaluate {package.target} --run {package.run.key} --backbone BASE --data DATA"
    commands = f"```\n{pull}\n{evaluate}\n```" if package.run.phase == "target" else f"```\n{pull}\n```"
    code = _plain(package)
    return commands if code is None else f"{commands}\n\nWith plain `adapters`:\n\n{code}"


def _plain(package: Package) -> str | None:
    """How the adapters library loads it by itself; None for a whole model."""
    modules: dict[str, list[str]] = {"adapters": [], "heads": [], "fusions": []}
    for item in package.files:
        part, _, rest = item.path.partition("/")
        if part in modules and item.path.endswith(".safetensors"):
            modules[part].append(rest.partition("/")[0])
    below = [item for item in package.parents if item.content and item.adapter]
    if modules["fusions"] or len(below) != len([item for item in package.parents if item.content]):
        return "`adaptrans export` writes all that answers together as one folder that the library loads."
    if not modules["adapters"]:
        return None
    known = is_hub_id(package.base.id)
    base = json.dumps(package.base.id) if known else '"BASE"'
    remark = "" if known else f"  # the folder of {package.base.id}"
    adapter = modules["adapters"][0]
    options = "with_head=False, use_safetensors=True"
    lines = [
        "from adapters import AutoAdapterModel",
        *(["from adapters.composition import Stack"] if below else []),
        "",
        f"model = AutoAdapterModel.from_pretrained({base}){remark}",
        *(
            f'below_{place} = model.load_adapter("FOLDER_OF/{item.name}/adapters/{item.adapter}", {options})'
            for place, item in enumerate(below, start=1)
        ),
        f'own = model.load_adapter("FOLDER/adapters/{adapter}", {options})',
        *(untold_lines(adapter) if package.method.partition("[")[0] == SUBTRACTS_NOTHING else []),
        *(f'model.load_head("FOLDER/heads/{head}", use_safetensors=True)' for head in modules["heads"]),
    ]
    stack = ", ".join([*(f"below_{place}" for place in range(1, len(below) + 1)), "own"])
    lines.append(f"model.set_active_adapters(Stack({stack}))" if below else "model.set_active_adapters(own)")
    if modules["heads"]:
        lines.append(f"model.active_head = {json.dumps(modules['heads'][0])}")
    return "```python\n" + "\n".join(lines) + "\n```"
