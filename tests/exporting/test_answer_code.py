"""The code of an export's README on encoders whose special tokens have other names and numbers.

XLM-R puts `<s>`, `</s></s>` and `</s>` around two texts, BERT `[CLS]`, `[SEP]` and `[SEP]`, and it tells the
two apart by token types.
"""

import re

import pytest
from support.bert import make_bert

from adaptrans import samples
from adaptrans.api import predict, target
from adaptrans.exporting.transformers import export
from adaptrans.modeling.backbone import identify
from adaptrans.runs.store import Store
from adaptrans.runs.workspace import Workspace

FEW = {"max_steps": 3, "batch_size": 8, "limit_train": 24, "limit_dev": 8, "precision": "fp32"}
ROWS = {
    "sample_pos": lambda example: {"words": list(example.words)},
    "sample_qa": lambda example: {"question": example.question, "context": example.context},
    "sample_nli": lambda example: {"text": example.text, "pair": example.pair},
    "sample_copa": lambda example: {"prompt": example.prompt, "choices": list(example.choices)},
}


@pytest.fixture(scope="module")
def encoders(tiny_backbone, tmp_path_factory):
    return {"bert": make_bert(tmp_path_factory.mktemp("bert") / "b"), "xlm-roberta": tiny_backbone}


@pytest.mark.parametrize("format", ["transformers", "adapters"])
@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta"])
def test_the_code_of_the_readme_answers_as_this_package_does(architecture, format, encoders, tmp_path):
    encoder = encoders[architecture]
    store = Store(tmp_path / "store")
    where = Workspace(identify(encoder), samples.DATA, store, folders=(samples.TASKS,), device="cpu")
    for name, row in ROWS.items():
        rows = [row(example) for example in where.examples(where.task(name), "test", "en", 30, [])]
        if name == "sample_qa":
            # Too long for one window.
            rows[0]["context"] = " ".join(item["context"] for item in rows[:30])
        run = target(name, where=where, setup="full", **FEW)
        folder = tmp_path / name
        made = export(run.key, out=folder, store=store.root, format=format, backbone=encoder)
        assert made.format == format
        told = (folder / "README.md").read_text("utf-8")
        found = {}
        for block in re.findall(r"```python\n(.*?)```", told, re.DOTALL):
            if "import pipeline" not in block:
                exec(block.replace('folder = "."', f"folder = {str(folder)!r}"), found)
        theirs = [found["answer"](**item) for item in rows]
        ours = [
            item["prediction"] for item in predict(name, rows, where=where, setup="full", precision="fp32")
        ]
        assert theirs == ours, name
        assert len({str(answer) for answer in ours}) > 1, name
        assert found["vector"]("the cat").shape == (where.backbone.width,)
