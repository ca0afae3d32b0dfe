"""Forecast of memory against measured peak, on an encoder of XLM-R's shape with random weights.

    python tests/benchmarks/memory_forecast.py [--shape base|large|small] [--only NAME ...] [--out FILE]

Each case trains two steps in a process of its own, forked after the imports, with the package's own model.
The measured peak is what the process held at most (VmHWM; on a CUDA card the allocator's peak) less what it
held before the encoder was loaded. The forecast is of a run that spares memory; what one takes that does not
is measured beside it.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import tempfile
from pathlib import Path
from typing import Any

SHAPES = {
    "base": (12, 768, 12, 3072, 250_002),
    "large": (24, 1024, 16, 4096, 250_002),
    "small": (12, 384, 6, 1536, 60_000),
}
ROWS = 30_000
CASES: dict[str, dict[str, Any]] = {
    "all embeddings": {"vocabulary": None},
    "seq_bn": {},
    "long inputs": {"items": 2, "length": 384, "head": "span_qa"},
    "lora": {"method": "lora"},
    "leave_out": {"method": "seq_bn[leave_out='first:6']"},
    "checkpointing": {"checkpointing": True, "items": 12},
    "bf16": {"precision": "bf16"},
    "8bit": {"quantize": "8bit"},
    "full": {"setup": "full"},
    "answering": {"training": False, "items": 24},
}


def case_of(shape: str, name: str) -> Any:
    """The case of a name on a shape."""
    from adaptrans.modeling.efficiency.memory_case import Case, Shape

    return Case(
        **{"shape": Shape(*SHAPES[shape]), "items": 8, "length": 64, "vocabulary": ROWS, **CASES[name]}
    )


def make_backbone(shape: str, folder: Path) -> None:
    """Write an encoder with random weights."""
    import torch

    from adaptrans.modeling import adapters
    from adaptrans.modeling.efficiency.memory_case import Shape
    from adaptrans.modeling.safetensors_io import write_tensors
    from adaptrans.utils.io import write_json

    found = Shape(*SHAPES[shape])
    model = adapters.shaped_model(found.as_config())
    own = adapters.encoder_tensors(model)
    for value in own.values():
        torch.nn.init.normal_(value, std=0.02)
    write_tensors(folder / "model.safetensors", own)
    write_json(folder / "config.json", {**found.as_config(), "model_type": "xlm-roberta"})


def held(key: str) -> int:
    """Bytes that this process holds now (VmRSS), or held at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def measure(shape: str, name: str, folder: Path, spared: bool) -> int:
    """Train or answer a few times, with memory spared or not, and say what was held at most."""
    import numpy as np
    import torch

    from adaptrans.modeling.backbone import Backbone
    from adaptrans.modeling.efficiency import frozen_weights
    from adaptrans.modeling.efficiency.cpu_attention import use_fast_dropout
    from adaptrans.modeling.heads import HeadSpec
    from adaptrans.modeling.model import SetupModel
    from adaptrans.modeling.setup.parser import parse
    from adaptrans.task_types.inputs import summed_cross_entropy
    from adaptrans.utils.devices import autocast, spare_memory

    spare_memory(spared)
    case = case_of(shape, name)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    warm = torch.nn.Linear(64, 64)
    warm(torch.ones(64, 64)).sum().backward()
    before = held("VmRSS")
    form = case.shape
    backbone = Backbone(shape, folder, None, "xlm-roberta", form.depth, form.width, form.vocabulary, "none")
    labels = () if case.head == "span_qa" else tuple(map(str, range(case.labels)))
    tokens = None if case.vocabulary is None else np.arange(case.vocabulary)
    head = HeadSpec("task", case.head, labels)
    assembled = SetupModel.from_setup(
        backbone, parse(case.setup), target="task", head=head, method=case.method, parents={}, seed=1,
        tokens=tokens, quantize=case.quantize,
    )  # fmt: skip
    model = assembled.model.to(device)
    model.train(case.training)
    named = dict(model.named_parameters())
    parameters = [named[name] for name in assembled.trained]
    if case.training:
        frozen_weights.keep_frozen_in(model, case.precision)
        use_fast_dropout(model)
        if case.checkpointing:
            frozen_weights.checkpoint_activations(model)
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        ids = torch.randint(5, ROWS, (case.items, case.length), generator=generator)
        mask = torch.ones_like(ids)
        mask[-1, case.length // 2 :] = 0
        batch = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
        with torch.set_grad_enabled(case.training), autocast(device, case.precision):
            output = assembled(batch)
        scores = output if isinstance(output, tuple) else (output,)
        if case.training:
            zeros = torch.zeros(case.items, dtype=torch.long, device=device)
            sum(summed_cross_entropy(item, zeros)[0] for item in scores).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    gc.collect()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return held("VmHWM") - before


def main() -> None:
    """Measure each case and compare it with its forecast."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="base")
    parser.add_argument("--only", nargs="*", choices=CASES)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    import torch

    from adaptrans.modeling.efficiency import memory_estimation  # noqa: F401 - imported before the forks
    from adaptrans.modeling.efficiency.memory_estimation import forecast

    # Threads of a pool do not survive a fork.
    torch.set_num_threads(1)
    forks = multiprocessing.get_context("fork")

    found = []
    with tempfile.TemporaryDirectory() as folder:
        make_backbone(given.shape, Path(folder))
        for name in given.only or CASES:
            with forks.Pool(1, maxtasksperchild=1) as pool:
                measured, more = (
                    pool.apply(measure, (given.shape, name, Path(folder), spared)) for spared in (True, False)
                )
            case = case_of(given.shape, name)
            parts = forecast(case).as_json()
            error = parts["peak"] / measured - 1
            found.append({"case": name, "measured": measured, "not_spared": more, "error": error, **parts})
            print(
                f"{name:16} measured {measured / 1e9:6.2f} GB, forecast {parts['peak'] / 1e9:6.2f} GB,"
                f" {error:+.1%}, not spared {more / 1e9:6.2f} GB",
                flush=True,
            )
    if given.out:
        given.out.write_text(json.dumps({"shape": given.shape, "cases": found}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
