"""Artefacts by key or by folder. Torch-free."""

from __future__ import annotations

from pathlib import Path

from adaptrans.errors import ArtefactError
from adaptrans.hub.store import Store
from adaptrans.models.manifest import NAME


def artefact_folder(text: str, store: Store) -> Path:
    """The folder of a trained artefact.

    Args:
        text: The artefact's folder, that of its run, or the key, or start of a key, of a finished run.
        store: Where keys are looked up.

    Raises:
        ArtefactError: If there is none.
    """
    folder = Path(text).expanduser()
    for found in (folder, folder / "artefact"):
        if (found / NAME).is_file():
            return found
    if folder.is_dir():
        raise ArtefactError(
            f"{text} holds no {NAME}", remedy="give the folder of a trained run, or of an artefact"
        )
    if "/" in text:
        raise ArtefactError(f"there is no folder {text}", remedy="give a folder, or the key of a run")
    run = store.find(text.rpartition("-")[2])
    if (run.artefact / NAME).is_file():
        return run.artefact
    trained = run.config().get("trained") if run.phase == "evaluate" else None
    raise ArtefactError(
        f"{run.name} is of the phase {run.phase} and trained nothing",
        remedy=f"name the run that it evaluates: {trained}"
        if trained
        else "name a run that trained something",
    )
