"""What this installation has, what it lacks, and how to get it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from adaptrans.errors import AdaptransError
from adaptrans.utils.environment import OTHER_PACKAGES, PACKAGES, package_versions
from adaptrans.utils.progress import size

Level = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at; at the level `missing` something will not work."""

    subject: str
    level: Level
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Advisory:
    """A published weakness of a package that this version stands on.

    Args:
        fixed: First version without it.
        needs: Another package without which it has no effect.
        what: What can happen, and what is done here about it.
    """

    name: str
    package: str
    fixed: str
    needs: str
    what: str
    remedy: str


ADVISORIES = (
    Advisory(
        name="CVE-2026-4372",
        package="transformers",
        fixed="5.3.0",
        needs="kernels",
        what=(
            "a model's configuration can name a repository of attention code, which is fetched and run;"
            " adaptrans refuses such backbones and artifacts and computes with sdpa, other programs may not"
        ),
        remedy="pip uninstall kernels; nothing here needs it",
    ),
)
"""Source: GitHub's advisories for the packages in `PACKAGES` whose usable versions lack the fix."""


def examine(
    store: Path, data: Path | None, backbone: str | None, tasks: Sequence[Path] = ()
) -> list[Finding]:
    """Look at packages, devices, hub, caches, data and backbone."""
    looks: dict[str, Callable[[], list[Finding]]] = {
        "packages": _packages,
        "advisories": _advisories,
        "devices": _devices,
        "hub": _hub,
        "store": lambda: _folder_sizes(store),
        "data": lambda: _data(data, tasks),
        "backbone": lambda: _backbone(backbone),
    }
    return [finding for subject, look in looks.items() for finding in _seen(subject, look)]


def _seen(subject: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """What a look found; one that fails is a finding too, and the others go on."""
    try:
        return look()
    except ImportError as error:
        found, remedy = (
            f"cannot be looked at: {' '.join(str(error).split())}",
            "install what is missing above",
        )
    except AdaptransError as error:
        found, remedy = error.message, error.remedy or ""
    except OSError as error:
        found, remedy = f"cannot be looked at: {error}", "check the path and its permissions"
    return [Finding(subject, "missing", found, remedy)]


def _packages() -> list[Finding]:
    return [
        Finding(name, "ok", version)
        if version
        else Finding(name, "missing", "not installed", f"pip install {name}")
        for name, version in package_versions(PACKAGES + OTHER_PACKAGES).items()
    ]


def _advisories() -> list[Finding]:
    """What each weakness means for this installation; nothing where its package is missing or mended."""
    findings = []
    for advisory in ADVISORIES:
        own, other = package_versions([advisory.package, advisory.needs]).values()
        if own is None:
            continue
        from packaging.version import Version  # transformers needs it, so it is there

        if Version(own) >= Version(advisory.fixed):
            continue
        found = f"{advisory.package} {own} (mended in {advisory.fixed}): {advisory.what}"
        if other is None:
            found = f"without effect, {advisory.needs} is not installed; else: {found}"
            findings.append(Finding(advisory.name, "ok", found))
        else:
            found = f"{advisory.needs} {other} is installed; {found}"
            findings.append(Finding(advisory.name, "note", found, advisory.remedy))
    return findings


def _devices() -> list[Finding]:
    import torch

    from adaptrans.utils.devices import has_fast_bf16

    cpu = torch.device("cpu")
    precision = "bf16 in hardware" if has_fast_bf16(cpu) else "no bf16 in hardware"
    findings = [
        Finding("cpu", "ok", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {precision}")
    ]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        findings.append(Finding(f"cuda:{index}", "ok", f"{name}, {size(free)} of {size(total)} free"))
    if not torch.cuda.is_available():
        findings.append(Finding("cuda", "note", "torch sees no CUDA device", "runs take the CPU"))
    return findings


def _hub() -> list[Finding]:
    from huggingface_hub import constants, get_token

    findings = []
    if constants.HF_HUB_OFFLINE:
        findings.append(Finding("hub", "note", "offline by HF_HUB_OFFLINE or --offline"))
    else:
        reached, why = _reach(constants.ENDPOINT)
        remedy = "" if reached else "work with --data and local backbones, or check proxy and HF_ENDPOINT"
        findings.append(Finding("hub", "ok" if reached else "note", why, remedy))
    token = "found" if get_token() else "none (only private repositories need one)"
    findings.append(Finding("hub token", "ok", token))
    cache = Path(constants.HF_HUB_CACHE)
    findings.append(Finding("hub cache", "ok", f"{cache}, {_size(cache)}"))
    return findings


def _reach(endpoint: str) -> tuple[bool, str]:
    import requests

    try:
        requests.head(endpoint, timeout=5, allow_redirects=False)
    except requests.RequestException as error:
        return False, f"{endpoint} cannot be reached ({type(error).__name__})"
    return True, f"{endpoint} answers"


def _folder_sizes(store: Path) -> list[Finding]:
    from adaptrans.utils.io import cache_folder

    hashes = Finding(
        "file hashes", "ok", f"{cache_folder()}, {_size(cache_folder())}; may be deleted at any time"
    )
    if not store.is_dir():
        return [Finding("store", "note", f"{store} does not exist yet", "the first run makes it"), hashes]
    return [
        Finding("store", "ok", f"{store / 'runs'}, {_size(store / 'runs')}"),
        Finding("cache", "ok", f"{store / 'cache'}, {_size(store / 'cache')}; may be deleted at any time"),
        hashes,
    ]


def _size(folder: Path) -> str:
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return size(total)


def _data(data: Path | None, tasks: Sequence[Path]) -> list[Finding]:
    from adaptrans.runs.workspace import data_places
    from adaptrans.tasks import catalogue, loading

    data, folders = data_places(data, tasks)
    if data is None:
        return [Finding("data", "note", "no --data folder given", "data sets are then read from the hub")]
    if not data.is_dir():
        return [Finding("data", "missing", f"{data} does not exist", "give an existing folder with --data")]
    findings = []
    for name in catalogue.names(folders):
        task = catalogue.get(name, folders)
        there = {split: loading.available_languages(task, split, data) for split in task.splits}
        text = ", ".join(f"{split} {len(codes)}" for split, codes in there.items() if codes)
        lacking = [split for split, codes in there.items() if not codes]
        level: Level = "note" if lacking else "ok"
        remedy = f"adaptrans tasks check {name} says what to fetch" if lacking else ""
        findings.append(Finding(f"data: {name}", level, f"languages: {text or 'none'}", remedy))
    return findings


def _backbone(backbone: str | None) -> list[Finding]:
    from adaptrans.modeling.backbone import identify
    from adaptrans.modeling.config_keys import named_attention
    from adaptrans.utils.io import read_json

    if backbone is None:
        return [Finding("backbone", "note", "none given", "add --backbone FOLDER, a hub id or mini")]
    found = identify(backbone)
    shape = f"{found.depth} layers of {found.width}, vocabulary {found.vocabulary:,}"
    findings = [Finding("backbone", "ok", f"{found.name}: {shape}, fingerprint {found.fingerprint[:12]}")]
    for key, value in named_attention(read_json(found.path / "config.json")):
        if value not in (None, "sdpa"):
            says = f"config.json says {key} {value!r}, which has no effect: sdpa is used"
            findings.append(Finding("attention", "note", says))
    return findings
