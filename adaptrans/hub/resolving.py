"""Which run an address in a setup names. Torch-free until weights are checked."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from adaptrans.errors import ArtefactError
from adaptrans.files import digest, remove
from adaptrans.hub import packing
from adaptrans.hub.address import FOLDER, scheme_of
from adaptrans.hub.adopting import adopt
from adaptrans.hub.foreign import pull_foreign
from adaptrans.hub.hubs import NoPackage
from adaptrans.hub.package import NAME, read_package
from adaptrans.hub.pulling import Tell, install, pull, quiet, run_of
from adaptrans.hub.refusals import Refused
from adaptrans.hub.sharing import push
from adaptrans.hub.store import Run, Store
from adaptrans.hub.verifying import verify_folder
from adaptrans.models.backbone import Backbone
from adaptrans.models.foreign import is_foreign
from adaptrans.models.manifest import NAME as ARTEFACT


def resolve(address: str, store: Store, backbone: Backbone, tell: Tell = quiet) -> Run:
    """The run that an address in a setup names, pulled if the store has not got it.

    Args:
        address: An artefact in a hub; or a folder: a run, its artefact, or a downloaded package.
        store: The store.
        backbone: The base that it has to fit.
        tell: Told what is pulled.

    Raises:
        ArtefactError: If there is none, or it is refused.
    """
    if scheme_of(address) == FOLDER:
        folder = Path(address.removeprefix("file://")).expanduser()
        for place in (folder, folder.parent):
            if (place / "done.json").is_file() and (place / "artefact" / ARTEFACT).is_file():
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
    label, _, key = folder.name.rpartition("-")
    run = Run(folder.parent.name, label, key, folder)
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
            raise ArtefactError(
                f"{folder} needs '{parent.reference}', which {store.root} has not got",
                remedy="pull it from its hub by name, which brings all that it needs",
            )
    if not run.is_done:
        staging = store.cache / "pulls" / digest(str(folder), 32)
        remove(staging)
        shutil.copytree(folder, staging)
        install(staging, run, package, store, package.name)
    return run
