"""What exports answer without adaptrans, by the code in their READMEs, under two versions of transformers.

Every kind of task, on real texts in several scripts where ADAPTRANS_DATA is set and else on the sample suite.
"""

import json
import os
from pathlib import Path
from unicodedata import category

import numpy as np
import pytest
from support import transformers5

from adaptrans import samples
from adaptrans.api import target
from adaptrans.exporting.transformers import export
from adaptrans.modeling.backbone import identify
from adaptrans.runs.store import Store
from adaptrans.runs.workspace import Workspace
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import available_languages

INPUTS, FEW = 96, 24
"""Inputs of each kind of task, and of another run of a kind."""
AGAIN = ("single", "lora", "first", "direft")

# The bundled suite trains; the kinds that it has no task of read its files in another way.
TASKS = {
    "single": {"extends": "sample_nli", "fields": {"text": "hypothesis", "pair": None, "label": "label"}},
    "maybe": {"extends": "sample_qa", "kind": "span_qa_null", "scores": ["squad2"]},
    "ranking": {
        "version": 1,
        "title": "questions and their passages",
        "kind": "passage_ranking",
        "roles": ["target"],
        "languages": ["en"],
        "scores": ["map_at_20"],
        "max_length": 96,
        "fields": {"query": "question", "passage": "context", "keys": ["id"]},
        "sources": {"files": {"format": "squad"}},
        "splits": {"train": {"files": "qa/train-{lang}.json"}},
        "license": "CC0-1.0",
        "citation": "none",
        "homepage": "none",
    },
    "first": {"extends": "sample_pos", "tag_on": "first_piece"},
}
# Run: task, setup, method, format, and the tasks and languages of real and of sample texts that it answers.
SCRIPTS = ("zh", "ar", "th", "ru", "sw", "en")
RUNS = {
    "pair": ("sample_nli", "full", "seq_bn", "transformers", "xnli", "sample_nli"),
    "single": ("single", "full", "seq_bn", "transformers", "xnli", "sample_nli"),
    "lora": ("sample_nli", "adapter", "lora", "transformers", "xnli", "sample_nli"),
    "pos": ("sample_pos", "full", "seq_bn", "transformers", "udpos", "sample_pos"),
    "first": ("first", "full", "seq_bn", "transformers", "udpos", "sample_pos"),
    "ner": ("sample_ner", "full", "seq_bn", "transformers", "panx", "sample_ner"),
    "qa": ("sample_qa", "full", "seq_bn", "transformers", "xquad", "sample_qa"),
    "maybe": ("maybe", "full", "seq_bn", "transformers", "xquad", "sample_qa"),
    "copa": ("sample_copa", "full", "seq_bn", "transformers", "xcopa", "sample_copa"),
    "ranking": ("ranking", "full", "seq_bn", "transformers", "xquad", "sample_qa"),
    "direft": ("sample_ner", "adapter", "direft[r=4]", "adapters", "panx", "sample_ner"),
}
ROWS = {
    "classification": lambda example: {"text": example.text, "pair": example.pair},
    "tagging": lambda example: {"words": list(example.words)},
    "span_qa": lambda example: {"question": example.question, "context": example.context},
    "multiple_choice": lambda example: {"prompt": example.prompt, "choices": list(example.choices)},
}
LOAD = """
import json, os, re, sys
from pathlib import Path
import torch, transformers
found = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    asked = json.loads((folder / "asked.json").read_text())
    if "adapters" in asked["format"] and transformers.__version__ >= "5":
        continue
    os.chdir(folder / "export")
    names = {}
    for block in re.findall(r"```python\\n(.*?)```", Path("README.md").read_text(), re.DOTALL):
        if "import pipeline" in block and transformers.__version__ >= "5":
            continue
        exec(block.replace("BACKBONE", sys.argv[3]), names)
    answers = found[folder.name] = {"dtype": str(names["model"].dtype), "version": transformers.__version__}
    answers["ids"] = [names["tokenizer"](text)["input_ids"] for text in asked["texts"]]
    def plain(value):
        return value.tolist() if isinstance(value, torch.Tensor) else value
    answers["answers"] = [plain(names["answer"](**row)) for row in asked["rows"]]
    if "vector" in names:
        answers["vectors"] = [plain(names["vector"](text)) for text in asked["texts"][:8]]
    if "read" in names:
        answers["pipeline"] = [names["read"](**row) for row in asked["short"]]
assert not any(name.partition(".")[0] == "adaptrans" for name in sys.modules)
Path(sys.argv[2]).write_text(json.dumps(found))
"""


def examples(real, sample, number):
    """Real examples of a task in several scripts, or those of the sample suite."""
    data = Path(os.environ.get("ADAPTRANS_DATA", samples.DATA))
    task = catalogue.get(real if data != samples.DATA else sample, [samples.TASKS])
    where = Workspace(identify("mini"), data, Store(Path("none")))
    split = "dev" if real in ("xnli", "udpos", "panx") and data != samples.DATA else "test"
    own = [code for code in SCRIPTS if code in available_languages(task, split, data)]
    assert len(own) >= 3, own
    share = -(-number // len(own))
    found = []
    for code in own:
        part = where.examples(task, split, code, 8 * share if task.kind == "span_qa" else share, [])
        if task.kind == "span_qa":  # mostly short passages, which are quick to read, and long ones
            part = sorted(part, key=lambda example: len(example.context))
            part = [*part[: share - 4], *part[-4:]]
        found.append(part[:share])
    return [example for part in found for example in part][:number]


def ours(run, kind, task, rows, base):
    """What this package answers to the rows, and the vectors of their texts."""
    import torch

    from adaptrans.evaluation.inference import Predictor
    from adaptrans.evaluation.sentence_vectors import SentenceEncoder
    from adaptrans.modeling.backbone import load_tokenizer
    from adaptrans.modeling.model import SetupModel
    from adaptrans.task_types.base import TASK_TYPES
    from adaptrans.task_types.passage_ranking import RankingExample
    from adaptrans.task_types.rows import Rules

    assembled, tokenizer = SetupModel.load(run.artifact, base), load_tokenizer(base)
    own, cpu = TASK_TYPES[task.kind], torch.device("cpu")
    if kind == "ranking":
        made = [
            RankingExample(str(n), *((row["text"], None) if row["query"] else (None, row["text"])), ())
            for n, row in enumerate(rows)
        ]
    else:
        rules = Rules(labels=task.labels, labeled=False)
        made = [own.build(str(n), row, rules) for n, row in enumerate(rows)]
    features = own.encode(made, tokenizer, task, task.max_length, False)
    predictor = Predictor(assembled, own, assembled.head.labels, tokenizer.pad_token_id, 2048, cpu, "fp32")
    outputs = [[] for _ in made]
    for feature, output in zip(features, predictor.outputs(features), strict=True):
        outputs[feature["example"]].append(output)
    answers = [
        own.predict(example, output, assembled.head.labels)
        for example, output in zip(made, outputs, strict=True)
    ]

    def vectors(texts):
        ids = tokenizer(list(texts))["input_ids"]
        encoder = SentenceEncoder(assembled, None, "mean", tokenizer.pad_token_id, 2048, cpu, "fp32")
        return encoder.pooled([row[:128] for row in ids])[2]

    return answers, vectors


def marks(text):
    """Whether a text has combining marks, which the pipeline of transformers leaves behind."""
    return any(category(character)[0] == "M" for character in text)


def texts_of(rows):
    for row in rows:
        for value in row.values():
            yield from [value] if isinstance(value, str) else value if isinstance(value, list) else []


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Folder of exports with what they are asked, and what this package answers."""
    root = tmp_path_factory.mktemp("exported")
    base = identify("mini")
    known = {}
    for name, mapping in TASKS.items():
        known[name] = catalogue.resolve({**mapping, "name": name}, name, [samples.TASKS])
    where = Workspace(
        base, samples.DATA, Store(root / "store"), tasks=known, folders=(samples.TASKS,), device="cpu"
    )
    few = {"max_steps": 4, "batch_size": 8, "limit_train": 32, "limit_dev": 8, "learning_rate": 1e-4}
    expected = {}
    for name, (task_name, setup, method, form, real, sample) in RUNS.items():
        run = target(task_name, where=where, setup=setup, method=method, **few)
        folder = root / "all" / name
        made = export(run.key, out=folder / "export", store=root / "store", format=form, backbone="mini")
        assert made.format == form
        number = FEW if name in AGAIN else INPUTS
        task, found = where.task(task_name), examples(real, sample, number)
        if name == "ranking":
            rows = [{"text": example.question, "query": True} for example in found[: number // 2]]
            rows += [{"text": example.context, "query": False} for example in found[: number // 2]]
        elif name == "single":
            rows = [{"text": example.text} for example in found]
        else:
            rows = [ROWS["span_qa" if "span_qa" in task.kind else task.kind](example) for example in found]
        assert len(rows) == number, (name, len(rows))
        answers, vectors = ours(run, name, task, rows, base)
        texts = list(dict.fromkeys(texts_of(rows)))[:INPUTS]
        # One window holds these.
        short = [
            row
            for row in rows
            if name == "qa" and len(row["context"] + row["question"]) < 200 and not marks(row["context"])
        ]
        if name == "maybe":
            threshold = float(np.median([item["no_answer"] for item in answers]))
            rows = [{**row, "threshold": threshold} for row in rows]
            answers = ["" if item["no_answer"] > threshold else item["text"] for item in answers]
        asked = {"rows": rows, "texts": texts, "short": short[:30], "format": form}
        (folder / "asked.json").write_text(json.dumps(asked))
        expected[name] = {"answers": answers, "vectors": vectors(texts[:8]), **asked}
    return root / "all", expected


def checked(found, expected, version):
    """Compare what a process answered with what this package answers."""
    from adaptrans.modeling.backbone import load_tokenizer

    tokenizer = load_tokenizer(identify("mini"))
    for name, own in expected.items():
        if name not in found:
            assert own["format"] == "adapters"
            continue
        theirs = found[name]
        assert theirs["version"].startswith(version)
        assert theirs["dtype"] == "torch.float32", name
        assert theirs["ids"] == [tokenizer(text)["input_ids"] for text in own["texts"]], name
        if name == "ranking":
            assert np.allclose(theirs["answers"], own["answers"], atol=1e-5)
        else:
            pairs = zip(theirs["answers"], own["answers"], strict=True)
            differ = [pair for pair in pairs if pair[0] != pair[1]]
            assert not differ, f"{name}: {len(differ)} of {len(own['answers'])}, such as {differ[0]}"
        if name != "ranking":
            assert np.allclose(theirs["vectors"], own["vectors"], atol=1e-5), name
        several = len({json.dumps(answer) for answer in theirs["answers"]}) > 1
        assert several or name in AGAIN, f"{name} answers one thing"


def test_exports_answer_alike_where_adaptrans_is_not(exports, tmp_path):
    root, expected = exports
    transformers5.run(LOAD, root, tmp_path / "found", identify("mini").path)
    found = json.loads((tmp_path / "found").read_text())
    assert found.keys() == expected.keys()
    checked(found, expected, "4.57")
    own = expected["qa"]
    answers = dict(zip([json.dumps(row) for row in own["rows"]], own["answers"], strict=True))
    assert len(own["short"]) > 10
    assert found["qa"]["pipeline"] == [answers[json.dumps(row)] for row in own["short"]]


def test_exports_answer_alike_under_transformers_5(exports, tmp_path):
    root, expected = exports
    packages = transformers5.folder()
    transformers5.run(LOAD, root, tmp_path / "found", identify("mini").path, packages=packages)
    found = json.loads((tmp_path / "found").read_text())
    assert found.keys() == {name for name, run in RUNS.items() if run[3] == "transformers"}
    checked(found, expected, "5.")
