"""Every reason why an artefact would be refused. Torch-free until weights are checked."""

from __future__ import annotations

import tempfile
from pathlib import Path

from adaptrans.errors import ArtefactError
from adaptrans.hub.address import FOLDER, parse_artefact, scheme_of
from adaptrans.hub.hubs import open_hub
from adaptrans.hub.package import NAME, read_package
from adaptrans.hub.pulling import fetch_package, package_of
from adaptrans.hub.refusals import Refusal, Refused
from adaptrans.hub.safety import LARGEST, after_fetch, before_fetch, own_base
from adaptrans.models.backbone import Backbone


def verify(
    address: str, *, backbone: Backbone | None = None, largest: int = LARGEST, scratch: Path | None = None
) -> list[Refusal]:
    """Every reason why an artefact would be refused; none if it would not.

    Args:
        address: An artefact in a hub, or the folder of a pulled one.
        backbone: Also check that it fits this base.
        largest: Bytes that it may have.
        scratch: Where to download to; by default a temporary folder.
    """
    folder = Path(address).expanduser() if scheme_of(address) == FOLDER else None
    for place in (folder, folder / "artefact") if folder is not None else ():
        if (place / NAME).is_file():
            return verify_folder(place, backbone, largest)
    of = parse_artefact(address)
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
    except ArtefactError as error:
        return [Refusal("manifest", NAME, error.message)]
    early = before_fetch(package, [], largest=largest)
    # A folder is its own listing, which `after_fetch` judges.
    early = [
        refusal for refusal in early if refusal.reason != "missing" or "in the hub" not in refusal.message
    ]
    return early or after_fetch(folder, package, backbone)
