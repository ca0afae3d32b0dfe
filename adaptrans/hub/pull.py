"""Pull artifacts into a store, as finished runs. Torch-free until weights are checked.

Everything is checked before anything is loaded, see `adaptrans.hub.verification.checks`; what is refused
never gets into the store.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adaptrans.errors import ArtifactError
from adaptrans.hub.base import Address, Entry, Hub, open_hub, parse_artifact
from adaptrans.hub.package import NAME, Package, Parent, parse_package
from adaptrans.hub.verification.checks import LARGEST, before_fetch, own_base
from adaptrans.hub.verification.errors import Refusal, Refused
from adaptrans.hub.verification.weights import after_fetch
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.manifest import read_manifest
from adaptrans.runs.store import Run, Store
from adaptrans.utils.io import give_usual_mode, remove, write_json

DEEPEST = 8
"""Artifacts that may be built upon each other."""

Tell = Callable[[str], None]


def quiet(text: str) -> None:
    """Tell nothing."""


@dataclass(frozen=True)
class Pulled:
    """A run that a pull put into a store, and those it was built on.

    Args:
        run: The run.
        package: What was pulled.
        entry: The version.
        new: Whether it was downloaded now; False if the store had it.
        parents: The same of what it was built on.
    """

    run: Run
    package: Package
    entry: Entry
    new: bool
    parents: tuple[Pulled, ...] = ()


@dataclass(frozen=True)
class _Pulling:
    """What all steps of a pull share."""

    hub: Hub
    store: Store
    backbone: Backbone | None = None
    largest: int = LARGEST
    tell: Tell = quiet
    chain: tuple[str, ...] = field(default=())


def pull(
    address: str | Address,
    store: Store,
    *,
    backbone: Backbone | None = None,
    largest: int = LARGEST,
    tell: Tell = quiet,
) -> Pulled:
    """Fetch an artifact, and once each what it was built on, into a store, as finished runs.

    Everything is checked before anything is loaded, see `adaptrans.hub.verification.checks`; what is refused
    never gets
    into the store. A pull that was interrupted goes on where it stopped.

    Args:
        address: The artifact.
        store: Where to.
        backbone: The base that it is to be used with; None to leave that to whoever loads it.
        largest: Bytes that an artifact may have.
        tell: Told what is waited for.

    Raises:
        Refused: If something is wrong with the artifact.
        ArtifactError: If there is none.
    """
    of = parse_artifact(address) if isinstance(address, str) else address
    hub = open_hub(of.scheme, of.place)
    return _pull(_Pulling(hub, store, backbone, largest, tell), of.name, of.revision, None)


def _pull(job: _Pulling, name: str, revision: str | None, pinned: Parent | None) -> Pulled:
    entry = job.hub.find(name, revision)
    package = package_of(job.hub, entry, pinned)
    with _alone(job, package) as staging:
        run = run_of(package, job.store)
        if run.is_done:
            _same(run, package)
            return Pulled(run, package, entry, new=False, parents=_parents(job, package))
        what = f"{job.hub.place}/{entry}"
        _refuse(what, before_fetch(package, job.hub.listing(entry), name=name, largest=job.largest))
        # What can be told from the manifest alone is told before anything is downloaded.
        _refuse(what, list(own_base(package, job.backbone)))
        parents = _parents(job, package)
        fetch_package(job.hub, entry, package, staging)
        _refuse(what, after_fetch(staging, package, job.backbone), staging)
        install(staging, run, package, job.store, what)
    return Pulled(run, package, entry, new=True, parents=parents)


def package_of(hub: Hub, entry: Entry, pinned: Parent | None) -> Package:
    """The manifest of a version, which is the one that its hub and whoever is built on it name."""
    text = hub.manifest(entry)
    hashed = hashlib.sha256(text).hexdigest()
    what = f"{hub.place}/{entry}"
    if entry.manifest not in (None, hashed):
        raise Refused(what, [Refusal("hash", NAME, "is not the manifest that was pushed")])
    if pinned is not None and pinned.manifest != hashed:
        raise Refused(what, [Refusal("parent", NAME, "is not the one that was built on")])
    try:
        return parse_package(text, NAME)
    except ArtifactError as error:
        raise Refused(what, [Refusal("manifest", NAME, error.message)]) from None


def _parents(job: _Pulling, package: Package) -> tuple[Pulled, ...]:
    """Pull what an artifact cannot answer without."""
    chain = (*job.chain, package.run.key)
    found = []
    for parent in package.parents:
        if parent.content is None:
            continue
        what = f"{job.hub.place}/{package.name}"
        if parent.name is None:
            raise Refused(what, [Refusal("parent", parent.reference, "was not shared with it")])
        if parent.run.key in chain or len(chain) > DEEPEST:
            raise Refused(what, [Refusal("parent", parent.reference, "is built on itself, or on too many")])
        below = _Pulling(job.hub, job.store, job.backbone, job.largest, job.tell, chain)
        revision = f"v{parent.version}" if parent.version else None
        pulled = _pull(below, parent.name, revision, parent)
        if pulled.package.content != parent.content or pulled.package.run != parent.run:
            raise Refused(what, [Refusal("parent", parent.reference, "has other weights than were built on")])
        found.append(pulled)
    return tuple(found)


@contextlib.contextmanager
def _alone(job: _Pulling, package: Package) -> Iterator[Path]:
    """A folder for the download of one package, for one process at a time."""
    from filelock import FileLock, Timeout

    folder = job.store.cache / "pulls" / package.digest()[:32]
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{folder}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        job.tell(f"waits for another process that pulls {package.name}")
        lock.acquire()
    try:
        yield folder
    finally:
        lock.release()


def run_of(package: Package, store: Store) -> Run:
    """The run that a package becomes in a store."""
    own = package.run
    return Run(own.phase, own.label, own.key, store.root / "runs" / own.folder)


def _same(run: Run, package: Package) -> None:
    """Refuse to take a run of the store for one with the same inputs and other weights."""
    if read_manifest(run.artifact).content() != package.content:
        raise ArtifactError(
            f"the store has {run.name} with other weights, trained from the same inputs",
            remedy="pull into another --store, or delete that run",
        )


def _refuse(what: str, refusals: Sequence[Refusal], staging: Path | None = None) -> None:
    if not refusals:
        return
    if staging is not None:
        # What is bad is fetched anew the next time.
        remove(staging)
    raise Refused(what, refusals)


def fetch_package(hub: Hub, entry: Entry, package: Package, folder: Path) -> None:
    """Download all files of a package; those that are there are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in package.files:
        hub.fetch(entry, file, folder)
    remove(folder / ".cache")
    (folder / NAME).write_bytes(hub.manifest(entry))


def install(staging: Path, run: Run, package: Package, store: Store, origin: str) -> None:
    """Make a checked package a finished run of the store; the mark that it is done comes last."""
    with store.working_on(run, {**package.inputs, **package.noted, "backbone_name": package.base.id}):
        if run.is_done:
            return
        for path in staging.rglob("*"):
            if path.is_file():
                give_usual_mode(path)
        remove(run.artifact)
        staging.replace(run.artifact)
        write_json(run.path / "pulled.json", {"from": origin, "manifest": package.digest()})
        run.finish(package.result)
