"""The result of a run: a folder that transformers loads as XLM-R, with its card."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor, float16

from adaptrans.utils.io import atomic_write, give_usual_mode
from mini_pretraining import tokenizer as pieces
from mini_pretraining.checkpoint import Position
from mini_pretraining.config import PretrainConfig
from mini_pretraining.network import EXPORTED_DROPOUT

MODEL = "model"
"""Folder of the result inside the folder of a run."""


CURVE = 12
"""Most rows of the loss curve in a card."""
COLUMNS = ("masked", "translation", "contrastive", "words", "links")


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def _spread(records: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most so many of the records, evenly, the last among them."""
    if len(records) <= most:
        return records
    return [records[round((n + 1) * len(records) / most) - 1] for n in range(most)]


def _curve(records: list[dict[str, Any]]) -> list[str]:
    """The losses over the run, as tables."""
    logged = [record for record in records if "losses" in record]
    lines = ["## Losses", "", "Means over the steps before, in nats.", ""]
    stage = _spread([record for record in logged if "static" in record], CURVE // 2)
    if stage:
        kinds = list(stage[0]["losses"])
        rows = [[r["static"], *(f"{r['losses'][kind]:.2f}" for kind in kinds)] for r in stage]
        lines += ["Embeddings alone:", "", *_table(["step", *kinds], rows)]
    main = _spread([record for record in logged if "static" not in record], CURVE)
    if not main:
        return lines if stage else []
    names = [name for name in COLUMNS if any(name in record["losses"] for record in main)]
    rows = [
        [
            record["step"],
            f"{record['tokens'] / 1e6:.1f}",
            f"{record['seconds'] / 3600:.2f}",
            *(f"{record['losses'][name]:.2f}" if name in record["losses"] else "" for name in names),
        ]
        for record in main
    ]
    return [*lines, *_table(["step", "million tokens", "hours", *names], rows)]


def _sources(config: PretrainConfig, rows: list[dict[str, str | int]]) -> list[str]:
    totals: dict[str, int] = {}
    for row in rows:
        totals[str(row["source"])] = totals.get(str(row["source"]), 0) + int(row["lines"])
    stated = []
    for name, count in totals.items():
        source = config.text.sources.get(name)
        licence, note = (source.licence, source.note) if source else ("not stated in the configuration", "")
        stated.append((name, count, licence, note))
    return ["## Text", "", *_table(["source", "lines", "licence", "note"], stated)]


def _held_out(config: PretrainConfig, measures: dict[str, Any]) -> list[str]:
    """Measurements per language; of translations found, the best layer of each language."""
    losses, sentences, words = (measures.get(name, {}) for name in ("loss", "layers", "words"))

    def best(values: list[float]) -> str:
        layer = values.index(max(values))
        return f"{100 * values[layer]:.1f} ({layer})"

    rows = [
        [
            language,
            f"{losses[language]:.2f}" if language in losses else "",
            *(best(found[language]) if language in found else "" for found in (sentences, words)),
        ]
        for language in config.languages
    ]
    head = ["language", "loss (nats per piece)", "sentences found, % (layer)", "words found, % (layer)"]
    return [
        "## On held-out text",
        "",
        "Found: the translation in the pivot language is the nearest of at most 200 held-out ones. "
        "Layer 0 is the output of the embeddings.",
        "",
        *_table(head, rows),
        "These are probes of this run on its own kind of text, not benchmark results.",
        "",
    ]


def card(
    config: PretrainConfig,
    position: Position,
    rows: list[dict[str, str | int]],
    measures: dict[str, Any],
    records: list[dict[str, Any]],
) -> str:
    """Model card: what it is, how to make it, what it was trained on under which licenses, how well.

    Args:
        config: The configuration of the run.
        position: Steps, tokens and time so far.
        rows: Result of `text.inventory`.
        measures: Result of `measure.measures`.
        records: The log of the run.
    """
    front: dict[str, Any] = {"language": list(config.languages), "library_name": "transformers"}
    front["pipeline_tag"] = "fill-mask"
    if config.licence:
        front["license"] = config.licence
    lines = ["---", yaml.safe_dump(front, sort_keys=False, allow_unicode=True).strip(), "---", ""]
    lines += [f"# {config.name}", ""]
    origin = f"continued from `{config.base}`" if config.base else "trained from random weights"
    shares = ", ".join(f"{name} {share:.2f}" for name, share in config.objectives.shares().items())
    lines += [
        f"A multilingual encoder in the form of XLM-R, {origin}: {config.model.layers} layers of width "
        f"{config.model.width}, {len(config.languages)} languages.",
        "",
        "Made by `adaptrans pretrain pretrain.yaml --data DATA`, where `pretrain.yaml` is the configuration "
        "in this folder; the course of the run is in `log.jsonl`.",
        "",
        f"- steps {position.step}, tokens {position.tokens}, hours {position.seconds / 3600:.2f}, "
        f"seed {config.seed}",
    ]
    if config.static.steps:
        lines.append(f"- before them, {config.static.steps} steps on the embeddings alone (in the hours)")
    lines += [f"- objectives (share of the steps): {shares}", ""]
    lines += [*_curve(records), *_sources(config, rows), *_held_out(config, measures)]
    return "\n".join([*lines, config.notes.rstrip()]).rstrip() + "\n"


def export(
    out: Path,
    model: Any,
    average: dict[str, Tensor],
    config: PretrainConfig,
    tokenizer: Any,
    readme: str,
) -> Path:
    """Write the model folder of a run, replacing the one before only when complete.

    Args:
        out: Folder of the run.
        model: The model; not changed.
        average: Weights to export by name; empty for the model's own.
        config: Written beside the weights.
        tokenizer: Tokenizer of the run.
        readme: The card.

    Returns:
        The folder: float16 safetensors, tokenizer, configuration, log, card.
    """
    folder = out / MODEL
    held = copy.deepcopy(model).cpu()
    for name, weight in held.named_parameters():
        if name in average:
            weight.data.copy_(average[name])
    held = held.to(float16)
    held.config.hidden_dropout_prob = held.config.attention_probs_dropout_prob = EXPORTED_DROPOUT
    held.config._attn_implementation = None  # how attention is computed is the loader's choice
    plain = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    log = out / "log.jsonl"
    with atomic_write(folder) as temporary:
        temporary.mkdir(parents=True)
        held.save_pretrained(str(temporary), safe_serialization=True)
        pieces.save(tokenizer, temporary, max_length=config.model.positions)
        (temporary / "pretrain.yaml").write_text(
            yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        (temporary / "README.md").write_text(readme, encoding="utf-8")
        if log.is_file():
            shutil.copyfile(log, temporary / "log.jsonl")
        for path in temporary.iterdir():
            give_usual_mode(path)
    return folder
