"""Adapters of the `adapters` library from the Hugging Face Hub, taken into a store. Torch-free until checked.

Only the configuration and the weights of the adapter are fetched; a pickle only where that was asked for.
"""

from __future__ import annotations

import json
from pathlib import Path

from adaptrans.errors import ArtefactError, ConfigError
from adaptrans.files import digest, remove
from adaptrans.hub.address import HUGGING_FACE, Address, parse_artefact
from adaptrans.hub.adopting import adopt
from adaptrans.hub.configurations import MODULE_KEYS, adapter_config_problem, code_problem
from adaptrans.hub.huggingface import HuggingFaceHub
from adaptrans.hub.package import LARGEST_TEXT, File
from adaptrans.hub.refusals import Refusal, Refused
from adaptrans.hub.safety import LARGEST
from adaptrans.hub.store import Run, Store
from adaptrans.models import peft_files
from adaptrans.models.backbone import Backbone
from adaptrans.models.foreign import CONFIG, PICKLE, WEIGHTS

REMEDY = "name a repository with one adapter at its top"


def pull_foreign(
    address: str | Address,
    store: Store,
    backbone: Backbone,
    *,
    name: str | None = None,
    language: str | None = None,
    pickles: bool = False,
    largest: int = LARGEST,
    method: str | None = None,
) -> Run:
    """Fetch an adapter that was made with the `adapters` library.

    Args:
        address: Its repository, `hf://AdapterHub/NAME`; a branch, tag or commit after `@`.
        store: Where to.
        backbone: The base that it is to be used with.
        name: What setups call it; by default the name that it has.
        language: For a language adapter, its language.
        pickles: Also take `pytorch_adapter.bin`, which is read as bare tensors.
        largest: Bytes that it may have.
        method: As for `adaptrans.hub.adopting.adopt`.

    Returns:
        A finished run of the store, as `adaptrans adopt` makes one.

    Raises:
        Refused: If something is wrong with it.
        ArtefactError: If it is no adapter, or does not fit the base.
    """
    of = parse_artefact(address) if isinstance(address, str) else address
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
    run = adopt(
        folder,
        store,
        backbone,
        name=name,
        language=language,
        pickles=pickles,
        origin=origin,
        method=method,
    )
    remove(folder)
    return run


def _wanted(what: str, sizes: dict[str, int], pickles: bool) -> list[str]:
    """The two files of an adapter that are fetched."""
    if CONFIG not in sizes:
        raise ArtefactError(f"{what} has no {CONFIG}", remedy=REMEDY)
    for name in (WEIGHTS, peft_files.WEIGHTS):
        if name in sizes:
            return [CONFIG, name]
    if PICKLE not in sizes:
        raise ArtefactError(
            f"{what} has no {WEIGHTS}", remedy="name a repository with one adapter at its top"
        )
    if not pickles:
        raise ArtefactError(
            f"{what} has its weights only in {PICKLE}, a pickle",
            remedy="add --allow-bin, which reads nothing but tensors from it",
        )
    return [CONFIG, PICKLE]


def check_foreign(folder: Path, names: list[str]) -> list[Refusal]:
    """What can be refused before an adapter is loaded: classes that are none, damaged or infinite weights."""
    from adaptrans.hub.weights import Damaged, not_finite, read_header

    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        return [Refusal("json", CONFIG, str(error)[:200])]
    if not isinstance(values, dict):
        return [Refusal("json", CONFIG, "is not a JSON object")]
    others = {key: value for key, value in values.items() if key not in MODULE_KEYS}
    # What PEFT says is taken key by key, and whatever has no place is refused.
    own = None if peft_files.is_peft(values) else adapter_config_problem(values.get("config"))
    found = [Refusal("class", CONFIG, problem) for problem in (code_problem(others), own) if problem]
    for name in {WEIGHTS, peft_files.WEIGHTS} & {*names}:
        try:
            bad = not_finite(folder / name, read_header(folder / name))
            found += [Refusal("not finite", name, f"{bad} holds an infinite number or none")] if bad else []
        except Damaged as error:
            found.append(Refusal(error.reason, name, str(error)))
    return found
