"""The peer: adapter training with the `adapters` library as its documentation says, from public calls alone.

Source of the recipe: the training guide of the library (https://docs.adapterhub.ml/training): the example
scripts for GLUE and for question answering are those of transformers with `AutoAdapterModel`, a flexible
head, `train_adapter` and `AdapterTrainer`. Its command: 128 pieces, 32 inputs per step, rate 1e-4, `seq_bn`.
For question answering the command of transformers' own example: windows of 384 that overlap by 128, 12 inputs
per step. Both scripts pad to the longest length allowed unless told otherwise. Written anew here, no line of
theirs.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

# What is measured against: adaptrans itself never trains with it.
from adapters import AdapterTrainer, AutoAdapterModel
from datasets import Dataset
from transformers import (
    AutoTokenizer,
    DataCollatorWithPadding,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)

RATE = 1e-4


@dataclass(frozen=True)
class Settings:
    """What of the recipe differs between its defaults and its best settings."""

    pad_to_longest_allowed: bool = True
    bf16: bool = False
    group_by_length: bool = False


SETTINGS = {
    "peer-default": Settings(),
    "peer-dynamic-fp32": Settings(pad_to_longest_allowed=False),
    "peer-dynamic-bf16": Settings(pad_to_longest_allowed=False, bf16=True),
    "peer-grouped-bf16": Settings(pad_to_longest_allowed=False, bf16=True, group_by_length=True),
}


class Stopwatch(TrainerCallback):
    """Seconds of the steps, on the clock and of the processor, from the first to the end of the last."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.began = time.perf_counter(), time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds = time.perf_counter() - self.began[0]
        self.processor_seconds = time.process_time() - self.began[1]
        self.steps = state.global_step


def adapter_model(folder: Path, name: str, labels: int | None) -> Any:
    """An encoder with a fresh adapter and head, ready to train; without labels, a head for spans."""
    model = AutoAdapterModel.from_pretrained(folder)
    if labels is None:
        model.add_qa_head(name)
    else:
        model.add_classification_head(name, num_labels=labels)
    model.add_adapter(name, config="seq_bn")
    model.train_adapter(name)
    return model


def encoded_pairs(rows: list[dict], tokenizer: Any, labels: tuple[str, ...], settings: Settings) -> Dataset:
    """Features of sentence pairs."""
    found = tokenizer(
        [row["premise"] for row in rows],
        [row["hypothesis"] for row in rows],
        padding="max_length" if settings.pad_to_longest_allowed else False,
        max_length=128,
        truncation=True,
    )
    numbers = [labels.index(row["label"]) for row in rows]
    return Dataset.from_dict({**found, "labels": numbers})


def encoded_windows(rows: list[dict], tokenizer: Any, settings: Settings) -> Dataset:
    """Features of questions, one for each window of a passage; an answer outside is at the first piece."""
    found = tokenizer(
        [row["question"].strip() for row in rows],
        [row["context"] for row in rows],
        truncation="only_second",
        max_length=384,
        stride=128,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding="max_length" if settings.pad_to_longest_allowed else False,
    )
    sides = [found.sequence_ids(window) for window in range(len(found["input_ids"]))]
    owners, offsets = found.pop("overflow_to_sample_mapping"), found.pop("offset_mapping")
    starts, ends = [], []
    for window, owner in enumerate(owners):
        answer = rows[owner]["answers"][0]
        first, last = answer["answer_start"], answer["answer_start"] + len(answer["text"])
        passage = [i for i, part in enumerate(sides[window]) if part == 1]
        inside = offsets[window][passage[0]][0] <= first and offsets[window][passage[-1]][1] >= last
        pieces = [i for i in passage if offsets[window][i][0] < last and offsets[window][i][1] > first]
        starts.append(pieces[0] if inside and pieces else 0)
        ends.append(pieces[-1] if inside and pieces else 0)
    return Dataset.from_dict({**found, "start_positions": starts, "end_positions": ends})


def trainer(
    model: Any,
    tokenizer: Any,
    features: Any,
    settings: Settings,
    *,
    batch_size: int,
    seed: int = 1,
    max_steps: int = -1,
    more: dict[str, Any] | None = None,
) -> AdapterTrainer:
    """What trains an adapter model for one epoch, or for `max_steps`."""
    folder = tempfile.mkdtemp(prefix="peer-")
    arguments = TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=batch_size,
        learning_rate=RATE,
        num_train_epochs=1,
        max_steps=max_steps,
        bf16=settings.bf16,
        group_by_length=settings.group_by_length,
        use_cpu=True,
        seed=seed,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        **(more or {}),
    )
    padded = settings.pad_to_longest_allowed
    return AdapterTrainer(
        model=model,
        args=arguments,
        train_dataset=features,
        data_collator=default_data_collator if padded else DataCollatorWithPadding(tokenizer),
    )


def timed_training(
    folder: Path,
    task: str,
    rows: list[dict],
    labels: tuple[str, ...],
    side: str,
    batch: int,
    seed: int,
    warm_steps: int = 2,
) -> dict[str, Any]:
    """Train one epoch over the rows, after some steps that are not counted.

    Args:
        folder: The encoder.
        task: Name of adapter and head.
        rows: Sentence pairs, or questions with their passages.
        labels: Labels of pairs; none for questions.
        side: One of `SETTINGS`.
        batch: Inputs per step.
        seed: The seed.
        warm_steps: Steps before the clock starts.
    """
    torch.manual_seed(seed)
    settings, tokenizer = SETTINGS[side], AutoTokenizer.from_pretrained(folder)
    if labels:
        features = encoded_pairs(rows, tokenizer, labels, settings)
    else:
        features = encoded_windows(rows, tokenizer, settings)
    model = adapter_model(folder, task, len(labels) or None)
    if warm_steps:
        warm = trainer(
            model, tokenizer, features, settings, batch_size=batch, seed=seed, max_steps=warm_steps
        )
        warm.train()
    watch = Stopwatch()
    measured = trainer(model, tokenizer, features, settings, batch_size=batch, seed=seed)
    measured.add_callback(watch)
    measured.train()
    return {
        "seconds": watch.seconds,
        "processor_seconds": watch.processor_seconds,
        "steps": watch.steps,
        "inputs": len(features),
        "mean_pieces": sum(map(sum, features["attention_mask"])) / len(features),
    }


def right_answers(
    folder: Path, artifact: Path, task: str, rows: list[dict], labels: tuple[str, ...], side: str
) -> int:
    """How many pairs of a test set a stored adapter and its head answer rightly; the default 8 per step.

    Args:
        folder: The encoder.
        artifact: Folder with the adapter and the head as the library writes them.
        task: Name of both.
        rows: The test set.
        labels: The labels in the order of the head.
        side: One of `SETTINGS`.
    """
    settings, tokenizer = SETTINGS[side], AutoTokenizer.from_pretrained(folder)
    model = AutoAdapterModel.from_pretrained(folder)
    model.load_adapter(str(artifact / "adapters" / task), load_as=task, use_safetensors=True)
    model.load_head(str(artifact / "heads" / task), load_as=task, use_safetensors=True)
    model.set_active_adapters(task)
    model.active_head = task
    features = encoded_pairs(rows, tokenizer, labels, settings)
    answers = trainer(model, tokenizer, features, settings, batch_size=8).predict(features)
    return int((answers.predictions.argmax(-1) == answers.label_ids).sum())
