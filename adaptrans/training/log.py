"""The training log: one JSON line per logged step, and TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from adaptrans import processes
from adaptrans.files import written_whole

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TrainingLog:
    """Appends to `log.jsonl` and to TensorBoard's event files.

    After a resume the lines behind the checkpoint are dropped, so that each step
    appears once. Of several processes that train together the first one writes.

    Args:
        folder: The run's folder.
        resumed_at: Step of the checkpoint that training goes on from.
    """

    def __init__(self, folder: Path, resumed_at: int) -> None:
        self._path = folder / "log.jsonl"
        self._events = folder / "tensorboard"
        self._resumed_at = resumed_at
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> TrainingLog:
        if not processes.is_main():
            return self
        from torch.utils.tensorboard import SummaryWriter

        kept = [line for line in _whole_lines(self._path) if json.loads(line)["step"] <= self._resumed_at]
        with written_whole(self._path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")
        self._writer = SummaryWriter(str(self._events), purge_step=self._resumed_at + 1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, step: int, **values: Any) -> None:
        """Log some values of a step; numbers also go to TensorBoard."""
        if not processes.is_main():
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            if self._writer is not None and type(value) in (int, float):
                self._writer.add_scalar(name, value, step)


def _whole_lines(path: Path) -> list[str]:
    """The lines of a log, without a last one that a kill cut off."""
    if not path.is_file():
        return []
    return [
        line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")
    ]
