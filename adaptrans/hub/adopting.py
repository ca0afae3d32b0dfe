"""Adapters that were made elsewhere, taken into a store as runs. Torch-free until one is taken in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adaptrans import languages
from adaptrans.errors import ConfigError
from adaptrans.hashes import cached_sha256
from adaptrans.hub.store import Run, Store
from adaptrans.models.backbone import Backbone
from adaptrans.models.foreign import CONFIG, check_base, convert, read_foreign
from adaptrans.tasks.names import name_problem, plain_name

PHASE, LANGUAGE_PHASE = "adopted", "language"


def adopt(
    folder: Path,
    store: Store,
    backbone: Backbone,
    *,
    name: str | None = None,
    language: str | None = None,
    above_language: bool = False,
    pickles: bool = False,
    origin: str | None = None,
) -> Run:
    """Take a folder of the `adapters` library into a store, as a finished run.

    Args:
        folder: What the library's `save_adapter` wrote.
        store: Where to.
        backbone: The base that it is to be used with.
        name: What setups call it; by default the name that it has, or what comes nearest to it.
        language: For a language adapter, its language; setups with `{lang}` then use it.
        above_language: Whether it was trained above a language adapter, and is used so.
        pickles: Also read `pytorch_adapter.bin`, as bare tensors.
        origin: Where it came from, if not from a folder of this machine.

    Returns:
        The run; the same folder again finds it.

    Raises:
        ArtefactError: If it does not fit the base, or is no adapter.
        UnknownNameError: If there is no such language.
    """
    found = read_foreign(folder, pickles=pickles)
    note = check_base(found, backbone)
    if language is not None and (name or above_language):
        raise ConfigError(
            "a language adapter has the name of its language and stands lowest",
            remedy="leave --name and --above-language out",
        )
    code = languages.get(language).code if language is not None else None
    problem = name_problem(name) if name is not None else None
    if problem:
        raise ConfigError(f"the name {name!r} {problem}", remedy=f"call it {plain_name(name or '')!r}")
    called = code or name or plain_name(found.name)
    inputs: dict[str, Any] = {
        "phase": PHASE if code is None else LANGUAGE_PHASE,
        "task": called,
        "language": code,
        "above_language": above_language,
        "files": cached_sha256([folder / CONFIG, found.weights]),
        "backbone": backbone.fingerprint,
    }
    run = store.run(inputs["phase"], f"{called}.adopted", inputs)
    if run.is_done:
        return run
    said = {"name": found.name, "version": found.values.get("version"), "from": origin}
    extra = {"trained_by": run.key, "origin": said, **({"language": code} if code else {})}
    notes = [f"{called} was trained elsewhere, on what is not known here", *([note] if note else [])]
    with store.working_on(run, {**inputs, "backbone_name": backbone.name}):
        if not run.is_done:
            method = convert(
                found, backbone, run.artefact, name=called, above_language=above_language, extra=extra
            )
            run.finish({"source_languages": [], "notes": notes, "method": str(method)})
    return run
