"""The result of a run: a folder that transformers loads as XLM-R, with its card."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor, float16

from adaptrans.pretraining import tokenizer as pieces
from adaptrans.pretraining.checkpoint import Position, publish
from adaptrans.pretraining.config import PretrainConfig
from adaptrans.pretraining.network import EXPORTED_DROPOUT

MODEL = "model"
"""Folder of the result inside the folder of a run."""


def card(
    config: PretrainConfig,
    position: Position,
    rows: list[dict[str, str | int]],
    measures: dict[str, Any],
) -> str:
    """Model card: what it is, what it was trained on under which licences, how long, how well.

    Args:
        config: The configuration of the run.
        position: Steps, tokens and time so far.
        rows: Result of `text.inventory`.
        measures: Last measurements: "loss" and "retrieval" per language.
    """
    front: dict[str, Any] = {"language": list(config.languages), "library_name": "transformers"}
    front["pipeline_tag"] = "fill-mask"
    if config.licence:
        front["license"] = config.licence
    totals: dict[str, int] = {}
    for row in rows:
        totals[str(row["source"])] = totals.get(str(row["source"]), 0) + int(row["lines"])
    lines = ["---", yaml.safe_dump(front, sort_keys=False, allow_unicode=True).strip(), "---", ""]
    lines += [f"# {config.name}", ""]
    origin = f"continued from `{config.base}`" if config.base else "trained from random weights"
    lines += [
        f"A multilingual encoder in the form of XLM-R, {origin}: {config.model.layers} layers of width "
        f"{config.model.width}, {len(config.languages)} languages.",
        "",
        f"- steps {position.step}, tokens {position.tokens}, hours {position.seconds / 3600:.2f}, "
        f"seed {config.seed}",
        "- objectives (share of the steps): "
        + ", ".join(f"{name} {share:.2f}" for name, share in config.objectives.shares().items()),
        "- the complete configuration is in `pretrain.yaml`, the course of the run in `log.jsonl`",
        "",
        "## Text",
        "",
        "| source | lines | licence | note |",
        "|---|---|---|---|",
    ]
    for name, count in totals.items():
        stated = config.text.sources.get(name)
        licence, note = (stated.licence, stated.note) if stated else ("not stated in the configuration", "")
        lines.append(f"| {name} | {count} | {licence} | {note} |")
    lines += ["", "## On held-out text", ""]
    lines += ["| language | loss (nats per piece) | retrieval of the pivot sentence |", "|---|---|---|"]
    losses, found = measures.get("loss", {}), measures.get("retrieval", {})
    for language in config.languages:
        loss = f"{losses[language]:.2f}" if language in losses else ""
        share = f"{100 * found[language]:.1f} %" if language in found else ""
        lines.append(f"| {language} | {loss} | {share} |")
    lines += ["", "These are probes of this run on its own kind of text, not benchmark results.", ""]
    return "\n".join(lines)


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
    temporary = folder.with_name(f".{MODEL}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    held = copy.deepcopy(model).cpu()
    for name, weight in held.named_parameters():
        if name in average:
            weight.data.copy_(average[name])
    held = held.to(float16)
    held.config.hidden_dropout_prob = held.config.attention_probs_dropout_prob = EXPORTED_DROPOUT
    held.config._attn_implementation = None  # how attention is computed is the loader's choice
    held.save_pretrained(str(temporary), safe_serialization=True)
    pieces.save(tokenizer, temporary, max_length=config.model.positions)
    plain = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    (temporary / "pretrain.yaml").write_text(
        yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    (temporary / "README.md").write_text(readme, encoding="utf-8")
    log = out / "log.jsonl"
    if log.is_file():
        shutil.copyfile(log, temporary / "log.jsonl")
    for path in temporary.iterdir():
        path.chmod(0o644)
    publish(temporary, folder)
    return folder
