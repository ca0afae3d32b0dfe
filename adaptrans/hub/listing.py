"""List what a hub has, and show one artefact. Torch-free, and quick to import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from adaptrans.errors import ArtefactError
from adaptrans.hub.address import FOLDER, parse_artefact, parse_place
from adaptrans.hub.hubs import Entry, open_hub
from adaptrans.hub.package import Package, Row


def rows(
    place: str,
    *,
    base: str | None = None,
    task: str | None = None,
    language: str | None = None,
    method: str | None = None,
    score: float | None = None,
) -> list[Row]:
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
        raise ArtefactError(f"there is no hub in {address}", remedy="push something there first")
    wanted: list[Callable[[Row], bool]] = []
    if base is not None:
        wanted.append(
            lambda row: base in (row.base, row.base.rpartition("/")[2]) or row.fingerprint.startswith(base)
        )
    if task is not None:
        wanted.append(lambda row: task in (row.task, row.task.partition("@")[0]))
    if language is not None:
        wanted.append(lambda row: language in row.languages)
    if method is not None:
        wanted.append(lambda row: method in (row.method, row.method.partition("[")[0]))
    if score is not None:
        wanted.append(lambda row: max(row.scores.values(), default=-1.0) >= score)
    return [row for row in open_hub(scheme, address).rows() if all(rule(row) for rule in wanted)]


def show(address: str) -> tuple[Package, Entry]:
    """What an artefact says of itself; only its manifest is fetched."""
    from adaptrans.hub.pulling import package_of

    of = parse_artefact(address)
    hub = open_hub(of.scheme, of.place)
    entry = hub.find(of.name, of.revision)
    return package_of(hub, entry, None), entry
