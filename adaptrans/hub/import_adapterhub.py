"""Adapters of the `adapters` library from the Hugging Face Hub, taken into a store. Torch-free until checked.

Only the configuration and the weights of the adapter are fetched; a pickle only where that was asked for.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from adaptrans import languages
from adaptrans.errors import ArtifactError, ConfigError
from adaptrans.hub.base import HUGGING_FACE, parse_artifact
from adaptrans.hub.huggingface import HuggingFaceHub
from adaptrans.hub.package import LARGEST_TEXT, File
from adaptrans.hub.verification.checks import (
    LARGEST,
    MODULE_KEYS,
    Refusal,
    Refused,
    adapter_config_problem,
    code_problem,
)
from adaptrans.modeling.adapter_methods import SUBTRACTS_NOTHING
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.import_adapter import (
    CONFIG,
    PEFT_WEIGHTS,
    PICKLE,
    WEIGHTS,
    check_base,
    convert,
    is_peft,
    is_untold,
    peft_left_out,
    read_foreign,
)
from adaptrans.runs.store import Run, Store
from adaptrans.tasks.names import name_problem, plain_name
from adaptrans.utils.io import cached_sha256, digest, remove
from adaptrans.utils.safetensors_header import Damaged, not_finite, read_header

REMEDY = "name a repository with one adapter at its top"


def pull_foreign(
    address: str,
    store: Store,
    backbone: Backbone,
    *,
    pickles: bool = False,
    largest: int = LARGEST,
    **options: Any,
) -> Run:
    """Fetch an adapter that was made with the `adapters` library, and adopt it.

    Args:
        address: Its repository, `hf://AdapterHub/NAME`; a branch, tag or commit after `@`.
        store: Where to.
        backbone: The base that it is to be used with.
        pickles: Also take `pytorch_adapter.bin`, which is read as bare tensors.
        largest: Bytes that it may have.
        **options: `name`, `language` and `method`, as for `adopt`.

    Raises:
        Refused: If something is wrong with it.
        ArtifactError: If it is no adapter, or does not fit the base.
    """
    of = parse_artifact(address)
    if of.scheme != HUGGING_FACE:
        raise ConfigError(
            f"{of} is no repository of the Hugging Face Hub", remedy="adopt a folder: adaptrans adopt"
        )
    hub = HuggingFaceHub(of.place)
    entry = hub.state(of.name, of.revision)
    sizes = {item.path: item.size or 0 for item in hub.listing(entry)}
    wanted = _wanted(f"{of.place}/{entry.name}", sizes, pickles)
    found = [
        Refusal("size", path, f"claims {sizes[path]} bytes, the limit is {limit}")
        for path, limit in zip(wanted, (LARGEST_TEXT, largest), strict=True)
        if sizes[path] > limit
    ]
    if found:
        raise Refused(str(of), found)
    folder = store.cache / "pulls" / digest([of.place, of.name, entry.revision], 32)
    for path in wanted:
        hub.fetch(entry, File(path=path, size=sizes[path], sha256="0" * 64), folder)
    refusals = check_foreign(folder, wanted)
    if refusals:
        remove(folder)
        raise Refused(str(of), refusals)
    origin = f"{of.place}/{of.name}@{entry.revision}"
    run = adopt(folder, store, backbone, pickles=pickles, origin=origin, **options)
    remove(folder)
    return run


def _wanted(what: str, sizes: dict[str, int], pickles: bool) -> list[str]:
    """The two files of an adapter that are fetched."""
    if CONFIG not in sizes:
        raise ArtifactError(f"{what} has no {CONFIG}", remedy=REMEDY)
    for name in (WEIGHTS, PEFT_WEIGHTS):
        if name in sizes:
            return [CONFIG, name]
    if PICKLE not in sizes:
        raise ArtifactError(f"{what} has no {WEIGHTS}", remedy=REMEDY)
    if not pickles:
        raise ArtifactError(
            f"{what} has its weights only in {PICKLE}, a pickle",
            remedy="add --allow-bin, which reads nothing but tensors from it",
        )
    return [CONFIG, PICKLE]


def check_foreign(folder: Path, names: list[str]) -> list[Refusal]:
    """What can be refused before an adapter is loaded: classes that are none, damaged or infinite weights."""
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        return [Refusal("json", CONFIG, str(error)[:200])]
    if not isinstance(values, dict):
        return [Refusal("json", CONFIG, "is not a JSON object")]
    others = {key: value for key, value in values.items() if key not in MODULE_KEYS}
    # What PEFT says is taken key by key, and whatever has no place is refused.
    own = None if is_peft(values) else adapter_config_problem(values.get("config"))
    found = [Refusal("class", CONFIG, problem) for problem in (code_problem(others), own) if problem]
    for name in {WEIGHTS, PEFT_WEIGHTS} & {*names}:
        try:
            bad = not_finite(folder / name, read_header(folder / name))
            found += [Refusal("not finite", name, f"{bad} contains NaN or infinity")] if bad else []
        except Damaged as error:
            found.append(Refusal(error.reason, name, str(error)))
    return found


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
        ArtifactError: If it does not fit the base, or is no adapter.
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
    head = peft_left_out(found.values) if is_peft(found.values) else None
    notes = [f"{called} was trained elsewhere, on what is not known here"]
    notes += [text for text in (note, head) if text]
    if untold and method is None:
        notes.append(
            f"{found.name} is a {AS_READ} or a {SUBTRACTS_NOTHING}, its file does not tell which; taken as "
            f"{AS_READ}, as the library loads it: say --method {SUBTRACTS_NOTHING} if it is the other"
        )
    with store.working_on(run, {**inputs, "backbone_name": backbone.name}):
        if not run.is_done:
            own: dict[str, Any] = {
                "name": called,
                "above_language": above_language,
                "method": inputs.get("method"),
            }
            made = convert(found, backbone, run.artifact, extra=extra, **own)
            run.finish({"source_languages": [], "notes": notes, "method": str(made)})
    return run


TABLE = Path(__file__).with_name("language_adapters.tsv")
METHOD = "seq_bn_inv[reduction_factor=2]"
LICENSE = "apache-2.0"


@dataclass(frozen=True, slots=True)
class LanguageAdapter:
    """One public language adapter.

    Args:
        language: Code of the language.
        backbone: The encoder that it was made for, without its organization.
        id: Repository on the Hugging Face Hub.
    """

    language: str
    backbone: str
    id: str

    @property
    def name(self) -> str:
        """English name of the language."""
        return languages.get(self.language).name


@cache
def public_language_adapters() -> tuple[LanguageAdapter, ...]:
    """All that are known, by backbone and language.

    Example:
        >>> found = public_language_adapters()
        >>> [sum(row.backbone == name for row in found) for name in ("xlm-roberta-base", "xlm-roberta-large")]
        [29, 16]
        >>> found[0]  # doctest: +ELLIPSIS
        LanguageAdapter(language='ar', ..., id='AdapterHub/xlm-roberta-base-ar-wiki_pfeiffer')
    """
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(LanguageAdapter(**row) for row in csv.DictReader(file, delimiter="\t"))


def public_for(backbone: str) -> tuple[LanguageAdapter, ...]:
    """Those made for a backbone, by its name with or without an organization, or folder.

    Example:
        >>> [row.language for row in public_for("FacebookAI/xlm-roberta-large")][:3]
        ['ar', 'cdo', 'en']
    """
    last = backbone.rstrip("/").rpartition("/")[2]
    return tuple(row for row in public_language_adapters() if row.backbone == last)
