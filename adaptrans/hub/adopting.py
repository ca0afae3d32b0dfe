"""Adapters that were made elsewhere, taken into a store as runs. Torch-free until one is taken in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adaptrans import languages
from adaptrans.errors import ConfigError
from adaptrans.hashes import cached_sha256
from adaptrans.hub.store import Run, Store
from adaptrans.models import peft_files
from adaptrans.models.backbone import Backbone
from adaptrans.models.foreign import CONFIG, check_base, convert, is_untold, read_foreign
from adaptrans.models.methods import SUBTRACTS_NOTHING
from adaptrans.tasks.names import name_problem, plain_name

PHASE, LANGUAGE_PHASE = "adopted", "language"
AS_READ = "noreft"
"""What the library makes of a file that does not tell the method."""


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
    method: str | None = None,
) -> Run:
    """Take a folder of the `adapters` library, or a LoRA of PEFT, into a store, as a finished run.

    Args:
        folder: What the library's `save_adapter` wrote, or PEFT's `save_pretrained`.
        store: Where to.
        backbone: The base that it is to be used with.
        name: What setups call it; by default the name that it has, or what comes nearest to it.
        language: For a language adapter, its language; setups with `{lang}` then use it.
        above_language: Whether it was trained above a language adapter, and is used so.
        pickles: Also read `pytorch_adapter.bin`, as bare tensors.
        origin: Where it came from, if not from a folder of this machine.
        method: `direft` or `noreft` for an adapter of one of these, whose file does not tell which; by
            default `noreft`, as the library itself loads it.

    Returns:
        The run; the same folder again finds it.

    Raises:
        ArtefactError: If it does not fit the base, or is no adapter.
        ConfigError: If a method is given that the file tells itself.
        UnknownNameError: If there is no such language.
    """
    found = read_foreign(folder, pickles=pickles)
    note = check_base(found, backbone)
    if language is not None and (name or above_language):
        raise ConfigError(
            "a language adapter has the name of its language and stands lowest",
            remedy="leave --name and --above-language out",
        )
    untold = is_untold(found)
    if method is not None and (not untold or method not in (AS_READ, SUBTRACTS_NOTHING)):
        raise ConfigError(
            f"{found.folder} tells its method, or has another one than {AS_READ} and {SUBTRACTS_NOTHING}",
            remedy="leave --method out",
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
        **({"method": method or AS_READ} if untold else {}),
    }
    run = store.run(inputs["phase"], f"{called}.adopted", inputs)
    if run.is_done:
        return run
    said = {"name": found.name, "version": found.values.get("version"), "from": origin}
    extra = {"trained_by": run.key, "origin": said, **({"language": code} if code else {})}
    head = peft_files.left_out(found.values) if peft_files.is_peft(found.values) else None
    notes = [f"{called} was trained elsewhere, on what is not known here"]
    notes += [text for text in (note, head) if text]
    if untold and method is None:
        notes.append(
            f"{found.name} is a {AS_READ} or a {SUBTRACTS_NOTHING}, its file does not tell which; taken as "
            f"{AS_READ}, as the library loads it: say --method {SUBTRACTS_NOTHING} if it is the other"
        )
    with store.working_on(run, {**inputs, "backbone_name": backbone.name}):
        if not run.is_done:
            made = convert(
                found,
                backbone,
                run.artefact,
                name=called,
                above_language=above_language,
                extra=extra,
                method=inputs.get("method"),
            )
            run.finish({"source_languages": [], "notes": notes, "method": str(made)})
    return run
