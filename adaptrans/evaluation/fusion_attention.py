"""What the fusions of an evaluated setup attended to, per language: saved with the run. Torch-free.

A share is the mean over all real tokens of the softmax weight that one adapter gets in one layer. With N
adapters, 1/N everywhere means that the fusion prefers none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

from adaptrans.errors import ArtifactError
from adaptrans.runs.store import Run
from adaptrans.utils.io import read_json, write_json


class LayerShares(TypedDict):
    """Shares of one fusion in one place of the encoder.

    Keys:
        fusion: Name of the fusion.
        layer: Encoder layer, 0-based.
        part: `output`, or `attention` for methods that also adapt the self-attention.
        shares: One per adapter, in their order; they add up to 1.
    """

    fusion: str
    layer: int
    part: str
    shares: list[float]


@dataclass(frozen=True)
class AttentionRecord:
    """What a setup's fusions attended to in one language.

    Args:
        adapters: The fused adapters by fusion, as the setup names them.
        layers: Shares of every fusion and place, lowest layer first.
        tokens: Tokens that the means are over.
    """

    adapters: Mapping[str, tuple[str, ...]]
    layers: tuple[LayerShares, ...]
    tokens: int

    def means(self, fusion: str) -> list[float]:
        """Shares of a fusion's adapters, averaged over its places.

        Example:
            >>> rows = [LayerShares(fusion="x", layer=i, part="output", shares=[i, 1 - i]) for i in (0, 1)]
            >>> AttentionRecord({"x": ("mnli", "qqp")}, tuple(rows), 7).means("x")
            [0.5, 0.5]
        """
        rows = [row["shares"] for row in self.layers if row["fusion"] == fusion]
        return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def save_attention(run: Run, language: str, record: AttentionRecord) -> None:
    """Write one language's record into the run of its evaluation."""
    write_json(run.path / "attention" / f"{language}.json", asdict(record))


def load_attention(run: Run, languages: Sequence[str] = ()) -> dict[str, AttentionRecord]:
    """The records of a run by language, in alphabetical order; of `languages` only, if any are named.

    Raises:
        ArtifactError: If the run has none.
    """
    found = {path.stem: _record(read_json(path)) for path in sorted((run.path / "attention").glob("*.json"))}
    chosen = {code: record for code, record in found.items() if not languages or code in languages}
    if not chosen:
        what = f" in {', '.join(languages)}" if found else ""
        raise ArtifactError(
            f"{run.name} has no attention of a fusion{what}",
            remedy="evaluate a setup with fuse(...), such as 'fuse(mnli, squad) > target'",
        )
    return chosen


def _record(values: dict[str, Any]) -> AttentionRecord:
    adapters = {name: tuple(members) for name, members in values["adapters"].items()}
    return AttentionRecord(adapters, tuple(values["layers"]), values["tokens"])


def mean_over_languages(records: Mapping[str, AttentionRecord], fusion: str) -> list[LayerShares]:
    """Shares of a fusion in every place, each language counting the same.

    Example:
        >>> def record(share):
        ...     row = LayerShares(fusion="x", layer=0, part="output", shares=[share, 1 - share])
        ...     return AttentionRecord({"x": ("mnli", "qqp")}, (row,), 7)
        >>> mean_over_languages({"de": record(0.5), "sw": record(1.0)}, "x")[0]["shares"]
        [0.75, 0.25]
    """
    rows = zip(
        *([row for row in record.layers if row["fusion"] == fusion] for record in records.values()),
        strict=True,
    )
    return [
        LayerShares(
            fusion=fusion,
            layer=same[0]["layer"],
            part=same[0]["part"],
            shares=[sum(column) / len(same) for column in zip(*(row["shares"] for row in same), strict=True)],
        )
        for same in rows
    ]
