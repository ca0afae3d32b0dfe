"""The sample suite: small parallel data in nine languages, our own text. Torch-free.

Everything is made by `python -m sample_suite` from word lists and one
small grammar per language; the result is kept under `data/`, the task files
that read it under `tasks/`.
"""

from __future__ import annotations

from pathlib import Path

#: Folder of the data, to be given where a data folder is asked for.
DATA = Path(__file__).parent / "data"
#: Folder of the task files, to be given where folders of tasks are asked for.
TASKS = Path(__file__).parent / "tasks"

__all__ = ["DATA", "TASKS"]
