"""Push, list and show artifacts. Torch-free.

A push takes with a run the artifacts it was built on, unless the hub has them.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adaptrans.errors import ArtifactError, ConfigError
from adaptrans.hub import packing
from adaptrans.hub.base import (
    Address,
    Entry,
    Hub,
    PushOptions,
    PushResult,
    open_hub,
    parse_artifact,
    version_of,
)
from adaptrans.hub.package import Package, Parent, parse_package
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.manifest import read_manifest
from adaptrans.runs.store import Run, Store

DEFAULT_LICENSE = "unknown"


@dataclass(frozen=True)
class Shared:
    """What a push did: the artifact, and the artifacts it was built on, which were pushed first."""

    pushed: PushResult
    package: Package
    parents: tuple[Shared, ...] = ()


def push(
    run: Run,
    store: Store,
    address: str | Address,
    *,
    license: str = DEFAULT_LICENSE,
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
    to = parse_artifact(address) if isinstance(address, str) else address
    options = how or PushOptions()
    if to.revision is not None:
        if to.scheme != "hf" or version_of(to.revision):
            raise ConfigError(
                f"{to}: versions are numbered by the hub", remedy=f"push to {to.place}/{to.name}"
            )
        options = PushOptions(**{**vars(options), "branch": to.revision})
    packing.shareable(run)
    return _push(open_hub(to.scheme, to.place), to.name, run, store, license, options, backbone, tasks)


def _push(
    hub: Hub,
    name: str,
    run: Run,
    store: Store,
    license: str,
    how: PushOptions,
    backbone: Backbone | None,
    tasks: Sequence[Path],
) -> Shared:
    manifest = packing.shareable(run)
    runs = packing.parent_runs(run, manifest)
    parents: list[Parent] = []
    before: list[Shared] = []
    for reference, recorded in sorted(manifest.parents.items()):
        content = recorded["content"]
        if reference not in runs:
            if content is not None:
                raise ArtifactError(
                    f"{run.name} needs '{reference}', which is not in {store.root}", remedy="put it back"
                )
            continue
        own_manifest = packing.shareable(runs[reference])
        parent = Parent(
            reference=reference,
            run=packing.run_id(runs[reference]),
            content=content,
            adapter=own_manifest.adapter,
        )
        if content is not None:
            entry, hashed = _found(hub, runs[reference]) or (None, "")
            if entry is None:
                own = packing.default_name(runs[reference], own_manifest)
                options = PushOptions(private=how.private, message=how.message, tell=how.tell)
                shared = _push(hub, own, runs[reference], store, license, options, backbone, tasks)
                before.append(shared)
                entry, hashed = shared.pushed.entry, shared.package.digest()
            parent = parent.model_copy(
                update={"name": entry.name, "version": entry.version or None, "manifest": hashed}
            )
        parents.append(parent)
    store.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.cache) as temporary:
        folder = Path(temporary)
        package = packing.pack(
            run, store, folder, name=name, license=license, parents=parents, backbone=backbone, tasks=tasks
        )
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
