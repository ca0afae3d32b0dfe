"""Setups as folders of the adapters library, loaded by the documented lines where adaptrans is not."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from adaptrans.exporting.adapters import save_folder
from adaptrans.modeling.model import SetupModel

KINDS = ["classification", "tagging", "span_qa", "multiple_choice"]
SETUPS = [
    "full",
    "full(whole)",
    "full(mnli + squad)",
    "adapter",
    "continue(mnli)",
    "mix(mnli + squad) > target",
    "mnli > target",
    "mnli > squad > target",
    "fuse(mnli, squad)",
    "fuse(mnli, squad, qqp) > target",
    "qqp > fuse(mnli, squad) > target",
    "fuse(mnli, squad) > fuse(qqp, rte)",
    "average(2*mnli, 1*squad) > target",
    "mnli + squad - qqp > target",
    "{lang} > target",
    "{lang} > squad_en > target",
    "{lang} > fuse(mnli_en, squad_en) > target",
]
METHODS = [
    "seq_bn[leave_out='first:2']",
    "double_seq_bn",
    "par_bn",
    "seq_bn_inv",
    "compacter[reduction_factor=4]",
    "lora",
    "dora",
    "vera",
    "ia3",
    "prefix_tuning",
    "mam",
    "unipelt",
    "prompt_tuning",
    "loreft",
    "noreft",
    "direft",
]
# The library answers otherwise in a batch with padding, and to rounding the same without.
MENDED = ("unipelt", "prompt_tuning")
LOAD = """
import os, sys
from pathlib import Path
import torch
from safetensors.torch import load_file, save_file
found, base = {}, sys.argv[3]
for folder in sorted(Path(sys.argv[1]).iterdir()):
    batch = load_file(folder / "inputs")
    os.chdir(folder / "plain")
    names = {}
    exec((folder / "lines").read_text().replace("BACKBONE", base), names)
    with torch.inference_mode():
        output = names["model"](input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    qa = hasattr(output, "start_logits")
    if "hidden" in batch:
        output.logits = output.logits[batch["hidden"].bool()]
    for i, value in enumerate((output.start_logits, output.end_logits) if qa else (output.logits,)):
        found[f"{folder.name}.{i}"] = value.contiguous()
assert not any(name.startswith("adaptrans") for name in sys.modules)
save_file(found, sys.argv[2])
"""
RELOAD = """
import sys
from pathlib import Path
import torch
from safetensors.torch import load_file, save_file
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.model import SetupModel
found = {}
for folder in sorted(path for path in Path(sys.argv[1]).iterdir()):
    batch = load_file(folder / "inputs")
    if "hidden" in batch:
        batch["hidden"] = batch["hidden"].bool()
    with torch.inference_mode():
        output = SetupModel.load(folder / "artifact")(batch)
    for i, value in enumerate(output if isinstance(output, tuple) else (output,)):
        found[f"{folder.name}.{i}"] = value.contiguous()
save_file(found, sys.argv[2])
"""


@pytest.fixture(scope="module")
def everything(base, build, tools, parents, tmp_path_factory):
    """Artifacts under every name that the setups need."""

    folder = tmp_path_factory.mktemp("everything")
    found = {**parents, "mnli + squad": parents["whole"]}
    method = "seq_bn_inv[reduction_factor=2]"
    for seed, code in enumerate(("en", "de")):
        own = tools.shaken(SetupModel.for_language(base, code, method, seed), seed)
        own.save(folder / code)
        found["{" + code + "}"] = folder / code
    below = {"{en}": folder / "en"}
    for seed, name in enumerate(("mnli_en", "squad_en", "rte")):
        text = "adapter" if name == "rte" else "{lang} > target"
        own = build(text, tools.spec("classification", name), {} if name == "rte" else below, seed=seed)
        tools.shaken(own, seed).save(folder / name)
        found[name] = folder / name
    return found


def parents_for(text, everything):
    kept = {name: path for name, path in everything.items() if not name.startswith("{")}
    if text.startswith("mix("):
        kept["mnli + squad"] = everything["squad"]
    return {**kept, "{en}": everything["{en}"]} if "{lang}" in text else kept


@pytest.fixture(scope="module")
def saved(build, tools, everything, tmp_path_factory):
    """Every setup with every kind of head, and every method: its folder, and what it answers."""
    root, expected, named = tmp_path_factory.mktemp("saved"), {}, {}
    cases = [(text, kind, "seq_bn") for text in SETUPS for kind in KINDS]
    cases += [(text, kind, "seq_bn") for text in SETUPS[:5] for kind in ("passage_ranking", "mlm")]
    # Neither a tag nor an answer has a place where a method adds tokens of its own.
    cases += [
        ("adapter", "classification" if method == "prompt_tuning" else "tagging", method)
        for method in METHODS
    ]
    for number, (text, kind, method) in enumerate(cases):
        folder, batch = root / f"{number:03}", tools.batch_of(kind)
        (folder / "plain").mkdir(parents=True)
        assembled = build(text, tools.spec(kind), parents_for(text, everything), method=method)
        assembled.save(folder / "artifact")
        lines = "\n".join(save_folder(assembled, folder / "plain", {}))
        (folder / "lines").write_text(lines)
        assert ("Inputs of one length" in lines) == (method in MENDED)
        if method in MENDED:
            batch = {name: value[:2].contiguous() for name, value in batch.items()}
        save_file(batch, folder / "inputs")
        named[folder.name] = (text, kind, method)
        found = enumerate(tools.answers(assembled, batch))
        expected |= {f"{folder.name}.{i}": value for i, value in found}
    return root, expected, named


def answered(code, root, *arguments):
    out = root.with_name(f"{root.name}-found")
    command = [sys.executable, "-c", code, str(root), str(out), *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-2000:]
    return load_file(out)


def test_logits_are_equal_with_nothing_but_the_library(base, saved):
    root, expected, named = saved
    found = answered(LOAD, root, base.path)
    assert found.keys() == expected.keys()
    methods = {name: named[name.partition(".")[0]][2] for name in expected}
    different = [
        name
        for name, value in expected.items()
        if not torch.allclose(found[name], value, rtol=0, atol=1e-5 * (methods[name] in MENDED))
    ]
    assert [named[name.partition(".")[0]] for name in different] == []


def test_logits_are_equal_in_a_fresh_process(saved):
    root, expected, named = saved
    found = answered(RELOAD, root)
    assert found.keys() == expected.keys()
    different = [name for name, value in expected.items() if not torch.equal(found[name], value)]
    assert [named[name.partition(".")[0]] for name in different] == []
