"""From an address in a setup to a checked run of the store. Torch-free until weights are checked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from adaptrans.errors import ArtifactError
from adaptrans.hub import packing
from adaptrans.hub.base import FOLDER, Entry, NoPackage, open_hub, parse_artifact, parse_place, scheme_of
from adaptrans.hub.import_adapterhub import adopt, pull_foreign
from adaptrans.hub.package import NAME, Package, PackageRow, read_package
from adaptrans.hub.pull import Tell, fetch_package, install, package_of, pull, quiet, run_of
from adaptrans.hub.push import push
from adaptrans.hub.verification.checks import LARGEST, before_fetch, own_base
from adaptrans.hub.verification.errors import Refusal, Refused
from adaptrans.hub.verification.weights import after_fetch
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.import_adapter import is_foreign
from adaptrans.modeling.manifest import NAME as ARTIFACT
from adaptrans.runs.store import Run, Store
from adaptrans.tasks.names import TaskRef
from adaptrans.utils.io import digest, remove


def verify(
    address: str, *, backbone: Backbone | None = None, largest: int = LARGEST, scratch: Path | None = None
) -> list[Refusal]:
    """Every reason why an artifact would be refused; none if it would not.

    Args:
        address: An artifact in a hub, or the folder of a pulled one.
        backbone: Also check that it fits this base.
        largest: Bytes that it may have.
        scratch: Where to download to; by default a temporary folder.
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
    with tempfile.TemporaryDirectory(dir=scratch) as temporary:
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
        store: The store.
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
        name = packing.default_name(run, packing.shareable(run))
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
    wanted: list[Callable[[PackageRow], bool]] = []
    if base is not None:
        wanted.append(
            lambda row: base in (row.base, row.base.rpartition("/")[2]) or row.fingerprint.startswith(base)
        )
    if task is not None:
        wanted.append(lambda row: task in (row.task, TaskRef.parse(row.task).name))
    if language is not None:
        wanted.append(lambda row: language in row.languages)
    if method is not None:
        wanted.append(lambda row: method in (row.method, row.method.partition("[")[0]))
    if score is not None:
        wanted.append(lambda row: max(row.scores.values(), default=-1.0) >= score)
    return [row for row in open_hub(scheme, address).rows() if all(rule(row) for rule in wanted)]


def show(address: str) -> tuple[Package, Entry]:
    """What an artifact says of itself; only its manifest is fetched."""
    of = parse_artifact(address)
    hub = open_hub(of.scheme, of.place)
    entry = hub.find(of.name, of.revision)
    return package_of(hub, entry, None), entry
