"""Pull, list, show and verify artifacts of a hub; addresses in setups. Torch-free until weights are checked.

Everything is checked before anything is loaded, see `adaptrans.hub.verification.checks`; what is refused
never gets into the store.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from adaptrans.errors import ArtifactError
from adaptrans.hub.base import (
    FOLDER,
    Entry,
    Hub,
    NoPackage,
    open_hub,
    parse_artifact,
    parse_place,
    scheme_of,
)
from adaptrans.hub.import_adapterhub import adopt, pull_foreign
from adaptrans.hub.package import NAME, Package, PackageRow, Parent, parse_package, read_package
from adaptrans.hub.push import default_name, push, shareable
from adaptrans.hub.verification.checks import LARGEST, Refusal, Refused, before_fetch, own_base
from adaptrans.hub.verification.weights import after_fetch
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.import_adapter import is_foreign
from adaptrans.modeling.manifest import NAME as ARTIFACT
from adaptrans.modeling.manifest import read_manifest
from adaptrans.runs.store import Run, Store
from adaptrans.tasks.names import TaskRef
from adaptrans.utils.io import digest, give_usual_mode, remove, write_json

DEEPEST = 8
"""Artifacts that may be built upon each other."""

Tell = Callable[[str], None]


def quiet(text: str) -> None:
    """Tell nothing."""


@dataclass(frozen=True)
class Pulled:
    """A run that a pull put into a store, and those it was built on; `new` if the store had it not."""

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
    chain: tuple[str, ...] = ()


def pull(
    address: str,
    store: Store,
    *,
    backbone: Backbone | None = None,
    largest: int = LARGEST,
    tell: Tell = quiet,
) -> Pulled:
    """Fetch an artifact, and once each what it was built on, into a store, as finished runs.

    A pull that was interrupted goes on where it stopped.

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
    of = parse_artifact(address)
    hub = open_hub(of.scheme, of.place)
    return _pull(_Pulling(hub, store, backbone, largest, tell), of.name, of.revision, None)


def _pull(job: _Pulling, name: str, revision: str | None, pinned: Parent | None) -> Pulled:
    entry = job.hub.find(name, revision)
    package = package_of(job.hub, entry, pinned)
    with _alone(job, package) as staging:
        run = run_of(package, job.store)
        if run.is_done:
            if read_manifest(run.artifact).content() != package.content:
                raise ArtifactError(
                    f"the store has {run.name} with other weights, trained from the same inputs",
                    remedy="pull into another --store, or delete that run",
                )
            return Pulled(run, package, entry, new=False, parents=_parents(job, package))
        what = f"{job.hub.place}/{entry}"
        # What can be told from the manifest alone is told before anything is downloaded.
        listing = job.hub.listing(entry)
        refusals = before_fetch(package, listing, name=name, largest=job.largest)
        refusals = refusals or list(own_base(package, job.backbone))
        if refusals:
            raise Refused(what, refusals)
        parents = _parents(job, package)
        fetch_package(job.hub, entry, package, staging)
        refusals = after_fetch(staging, package, job.backbone)
        if refusals:
            # What is bad is fetched anew the next time.
            remove(staging)
            raise Refused(what, refusals)
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
        revision = f"v{parent.version}" if parent.version else None
        pulled = _pull(replace(job, chain=chain), parent.name, revision, parent)
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


def verify(address: str, *, backbone: Backbone | None = None, largest: int = LARGEST) -> list[Refusal]:
    """Every reason why an artifact in a hub, or in the folder of a pulled one, would be refused.

    Args:
        address: The artifact.
        backbone: Also check that it fits this base.
        largest: Bytes that it may have.
    """
    folder = Path(address).expanduser() if scheme_of(address) == FOLDER else None
    for place in (folder, folder / "artifact") if folder is not None else ():
        if (place / NAME).is_file():
            return verify_folder(place, backbone, largest)
    of = parse_artifact(address)
    hub = open_hub(of.scheme, of.place)
    entry = hub.find(of.name, of.revision)
    try:
        package = package_of(hub, entry, None)
    except Refused as error:
        return list(error.refusals)
    found = [
        *before_fetch(package, hub.listing(entry), name=of.name, largest=largest),
        *own_base(package, backbone),
    ]
    if found:
        return found
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary) / "package"
        try:
            fetch_package(hub, entry, package, target)
        except Refused as error:
            return list(error.refusals)
        return after_fetch(target, package, backbone)


def verify_folder(folder: Path, backbone: Backbone | None, largest: int = LARGEST) -> list[Refusal]:
    """Every reason why a downloaded package would be refused."""
    try:
        package = read_package(folder)
    except ArtifactError as error:
        return [Refusal("manifest", NAME, error.message)]
    early = before_fetch(package, [], largest=largest)
    # A folder is its own listing, which `after_fetch` judges.
    early = [
        refusal for refusal in early if refusal.reason != "missing" or "in the hub" not in refusal.message
    ]
    return early or after_fetch(folder, package, backbone)


def resolve(address: str, store: Store, backbone: Backbone, tell: Tell = quiet) -> Run:
    """The run that an address in a setup names, pulled if the store has not got it.

    Args:
        address: An artifact in a hub; or a folder: a run, its artifact, or a downloaded package.
        store: Where to.
        backbone: The base that it has to fit.
        tell: Told what is pulled.

    Raises:
        ArtifactError: If there is none, or it is refused.
    """
    if scheme_of(address) == FOLDER:
        folder = Path(address.removeprefix("file://")).expanduser()
        for place in (folder, folder.parent):
            if (place / "done.json").is_file() and (place / "artifact" / ARTIFACT).is_file():
                return _adopted(place, store, backbone)
        if (folder / NAME).is_file():
            return _from_package(folder, store, backbone)
        if is_foreign(folder):
            return adopt(folder, store, backbone)
    try:
        pulled = pull(address, store, backbone=backbone, tell=tell)
    except NoPackage:
        run = pull_foreign(address, store, backbone)
        tell(f"took {address} as {run.name}")
        return run
    if pulled.new:
        tell(f"pulled {address} as {pulled.run.name}")
    return pulled.run


def _adopted(folder: Path, store: Store, backbone: Backbone) -> Run:
    """A run folder, of this store or brought from another one."""
    run = Run.at(folder)
    own = store.root / "runs" / run.phase / run.name
    if own.resolve() == folder.resolve():
        return run
    other = Store(folder.parents[2])
    with tempfile.TemporaryDirectory() as hub:
        name = default_name(run, shareable(run))
        push(run, other, f"{hub}/{name}", backbone=backbone)
        return pull(f"{hub}/{name}", store, backbone=backbone).run


def _from_package(folder: Path, store: Store, backbone: Backbone) -> Run:
    """A package that was downloaded by hand; what it was built on is in the store."""
    refusals = verify_folder(folder, backbone)
    if refusals:
        raise Refused(str(folder), refusals)
    package = read_package(folder)
    run = run_of(package, store)
    for parent in package.parents:
        if (
            parent.content is not None
            and not (store.root / "runs" / parent.run.folder / "done.json").is_file()
        ):
            raise ArtifactError(
                f"{folder} needs '{parent.reference}', which {store.root} has not got",
                remedy="pull it from its hub by name, which brings all that it needs",
            )
    if not run.is_done:
        staging = store.cache / "pulls" / digest(str(folder), 32)
        remove(staging)
        shutil.copytree(folder, staging)
        install(staging, run, package, store, package.name)
    return run


def rows(
    place: str,
    *,
    base: str | None = None,
    task: str | None = None,
    language: str | None = None,
    method: str | None = None,
    score: float | None = None,
) -> list[PackageRow]:
    """The versions that a hub has.

    Args:
        place: The hub.
        base: Only of this base: its id, the last part of it, or the start of its fingerprint.
        task: Only of this task.
        language: Only trained or scored in this language.
        method: Only of this method.
        score: Only with a mean score of at least this much.
    """
    scheme, address = parse_place(place)
    if scheme == FOLDER and not Path(address).is_dir():
        raise ArtifactError(f"there is no hub in {address}", remedy="push something there first")
    return [
        row
        for row in open_hub(scheme, address).rows()
        if base in (None, row.base, row.base.rpartition("/")[2]) or row.fingerprint.startswith(str(base))
        if task in (None, row.task, TaskRef.parse(row.task).name)
        if language is None or language in row.languages
        if method in (None, row.method, row.method.partition("[")[0])
        if score is None or max(row.scores.values(), default=-1.0) >= score
    ]


def show(address: str) -> tuple[Package, Entry]:
    """What an artifact says of itself; only its manifest is fetched."""
    of = parse_artifact(address)
    hub = open_hub(of.scheme, of.place)
    entry = hub.find(of.name, of.revision)
    return package_of(hub, entry, None), entry
