"""The same examples from the authors' files and from the hub's parquet files.

Each test takes real rows, writes them to the hub's columns and paths, and reads
both. Columns and label numbers are those of the repositories named in the
catalogue.
"""

import json

import pytest

from adaptrans.errors import MissingDataError
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import available_languages, fingerprint, read_examples
from adaptrans.tasks.locate import find
from adaptrans.tasks.readers.files import FORMATS

pyarrow = pytest.importorskip("pyarrow")
NLI = {"entailment": 0, "neutral": 1, "contradiction": 2, "e": 0, "n": 1, "c": 2}
NER = {"O": 0, "B-PER": 1, "I-PER": 2, "B-ORG": 3, "I-ORG": 4, "B-LOC": 5, "I-LOC": 6}
ROWS = 250


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)


def write_parquet(path, rows):
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def raw(data_folder, name, split, language, count=ROWS):
    """The first rows of each file of a split, as its reader gives them."""
    located = find(catalogue.get(name), split, language, data_folder)
    found = []
    for path, beside in located.files:
        options = {"beside": beside} if beside else located.source.options
        options = {key: language if value == "{lang}" else value for key, value in options.items()}
        rows = FORMATS[located.format](path, **options)
        found.append([row.values for row, _ in zip(rows, range(count), strict=False)])
    return found


def same(data_folder, tmp_path, name, split, language, count):
    task = catalogue.get(name)
    original = read_examples(task, split, language, data_folder, limit=count)
    assert read_examples(task, split, language, tmp_path) == original
    assert len(original) == count
    assert available_languages(task, split, tmp_path) == [language]
    assert len(fingerprint(task, split, language, tmp_path)) == 20


def squad_columns(row, **more):
    answers = {
        "text": [a["text"].strip() for a in row["answers"]],
        "answer_start": [a["answer_start"] for a in row["answers"]],
    }
    return {
        "id": row["id"],
        "title": row["title"],
        "context": row["context"],
        "question": row["question"],
        "answers": answers,
        **more,
    }


def tagged(row):
    return {
        "tokens": row["words"],
        "ner_tags": [NER[tag] for tag in row["tags"]],
        "langs": ["x"] * len(row["words"]),
    }


ONE_FILE = [
    ("xnli", "dev", "ur", "facebook/xnli/ur/validation-00000-of-00001.parquet",
     lambda r: {"premise": r["premise"], "hypothesis": r["hypothesis"], "label": NLI[r["label"]]}),
    ("xnli", "test", "zh", "facebook/xnli/zh/test-00000-of-00001.parquet",
     lambda r: {"premise": r["premise"], "hypothesis": r["hypothesis"], "label": NLI[r["label"]]}),
    ("pawsx", "test", "de", "google-research-datasets/paws-x/de/test-00000-of-00001.parquet",
     lambda r: {"id": 7, "sentence1": r["sentence1"], "sentence2": r["sentence2"], "label": int(r["label"])}),
    ("panx", "dev", "yo", "google/xtreme/PAN-X.yo/validation-00000-of-00001.parquet",
     tagged),
    ("panx", "train", "en", "google/xtreme/PAN-X.en/train-00000-of-00001.parquet",
     tagged),
    ("squad", "dev", "en", "rajpurkar/squad/plain_text/validation-00000-of-00001.parquet", squad_columns),
    ("xquad", "test", "zh", "google/xquad/xquad.zh/validation-00000-of-00001.parquet",
     lambda r: squad_columns(r, context=r["context"].strip())),
    ("csqa", "dev", "en", "tau/commonsense_qa/data/validation-00000-of-00001.parquet", dict),
    ("hellaswag", "dev", "en", "Rowan/hellaswag/data/validation-00000-of-00001.parquet",
     lambda r: {"ind": 24, "ctx_a": "a", "ctx": r["ctx"], "endings": r["endings"], "label": str(r["label"])}),
    ("cosmosqa", "dev", "en", "allenai/cosmos_qa/default/validation/0000.parquet",
     lambda r: {**r, "label": int(r["label"])}),
    ("xcopa", "test", "qu", "cambridgeltl/xcopa/qu/test-00000-of-00001.parquet", dict),
    ("xcopa", "dev", "et", "cambridgeltl/xcopa/et/validation-00000-of-00001.parquet", dict),
    ("tatoeba", "test", "fa", "google/xtreme/tatoeba.pes/validation-00000-of-00001.parquet",
     lambda r: {"source_sentence": r["text"] + "\n", "target_sentence": r["english"] + "\n",
                "source_lang": "pes", "target_lang": "eng"}),
    ("squad2", "dev", "en", "rajpurkar/squad_v2/squad_v2/validation-00000-of-00001.parquet", squad_columns),
    ("siqa", "dev", "en", "allenai/social_i_qa/default/validation/0000.parquet",
     lambda r: {**r, "label": {"A": "1", "B": "2", "C": "3"}[r["correct"]]}),
    ("mlqa", "dev", "hi", "google/xtreme/MLQA.hi.hi/validation-00000-of-00001.parquet", squad_columns),
    ("mlqa_cross", "dev", "de-es", "google/xtreme/MLQA.de.es/validation-00000-of-00001.parquet",
     squad_columns),
    ("cmrc2018", "trial", "zh", "hfl/cmrc2018/data/test-00000-of-00001.parquet", squad_columns),
    ("arcd", "test", "ar", "hsseinmz/arcd/plain_text/validation-00000-of-00001.parquet", squad_columns),
    ("squad_it", "test", "it", "crux82/squad_it/default/test/0000.parquet", squad_columns),
    ("m_arc", "test", "hy", "alexandrainst/m_arc/hy/test/0000.parquet",
     lambda r: {"option_d": None, "option_e": None, **r}),
    ("klue_nli", "dev", "ko", "klue/klue/nli/validation-00000-of-00001.parquet",
     lambda r: {"guid": r["guid"], "premise": r["premise"], "hypothesis": r["hypothesis"],
                "label": NLI[r["gold_label"]]}),
    ("klue_sts", "dev", "ko", "klue/klue/sts/validation-00000-of-00001.parquet",
     lambda r: {name: r[name] for name in ("guid", "sentence1", "sentence2", "labels")}),
    ("kornli", "dev", "ko", "kakaobrain/kor_nli/xnli/validation-00000-of-00001.parquet",
     lambda r: {"premise": r["sentence1"], "hypothesis": r["sentence2"], "label": NLI[r["gold_label"]]}),
    ("panx_r", "dev", "qu", "unimelb-nlp/wikiann/qu/validation-00000-of-00001.parquet", tagged),
    ("xcopa_translated", "test", "sw", "cambridgeltl/xcopa/translation-sw/test-00000-of-00001.parquet", dict),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "split", "language", "path", "convert"), ONE_FILE, ids=[f"{c[0]}-{c[1]}" for c in ONE_FILE]
)
def test_one_file(data_folder, tmp_path, name, split, language, path, convert):
    (rows,) = raw(data_folder, name, split, language)
    write_parquet(tmp_path / path, [convert(row) for row in rows])
    same(data_folder, tmp_path, name, split, language, len(rows))


def test_anli_joins_three_files(data_folder, tmp_path):
    files = raw(data_folder, "anli", "dev", "en", count=2000)
    for number, rows in enumerate(files, 1):
        converted = [
            {
                "uid": r["uid"],
                "premise": r["context"],
                "hypothesis": r["hypothesis"],
                "label": NLI[r["label"]],
                "reason": "",
            }
            for r in rows
        ]
        write_parquet(tmp_path / f"facebook/anli/plain_text/dev_r{number}-00000-of-00001.parquet", converted)
    same(data_folder, tmp_path, "anli", "dev", "en", 3198)


def test_mnli_from_files_of_the_authors_of_glue_and_of_the_hub(data_folder, tmp_path):
    (rows,) = raw(data_folder, "xnli", "dev", "en")
    authors, glue, hub = tmp_path / "authors", tmp_path / "glue", tmp_path / "hub"
    lines = [
        json.dumps(
            {
                "gold_label": r["label"],
                "sentence1": r["premise"],
                "sentence2": r["hypothesis"],
                "pairID": "1e",
            }
        )
        for r in rows
    ]
    # Rows on which the annotators did not agree are not in the other two.
    lines.insert(3, json.dumps({"gold_label": "-", "sentence1": "a", "sentence2": "b", "pairID": "2n"}))
    target = authors / "multinli_1.0/multinli_1.0_dev_matched.jsonl"
    target.parent.mkdir(parents=True)
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (glue / "MNLI").mkdir(parents=True)
    table = [
        "index\tsentence1\tsentence2\tgold_label",
        *(f"0\t{r['premise']}\t{r['hypothesis']}\t{r['label']}" for r in rows),
    ]
    (glue / "MNLI/dev_matched.tsv").write_text("\n".join(table) + "\n", encoding="utf-8")
    write_parquet(
        hub / "nyu-mll/multi_nli/data/validation_matched-00000-of-00001.parquet",
        [
            {"premise": r["premise"], "hypothesis": r["hypothesis"], "label": NLI[r["label"]], "genre": "x"}
            for r in rows
        ],
    )
    task = catalogue.get("mnli")
    found = [read_examples(task, "dev", "en", folder) for folder in (authors, glue, hub)]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == len(rows)


def test_tydiqa_picks_its_language_out_of_one_file(data_folder, tmp_path):
    (english,), (korean,) = (raw(data_folder, "tydiqa", "test", code) for code in ("en", "ko"))
    mixed = [row for pair in zip(english, korean, strict=False) for row in pair]
    mixed += english[len(korean) :] + korean[len(english) :]
    rows = [squad_columns(row, context=row["context"].strip()) for row in mixed]
    write_parquet(tmp_path / "google/xtreme/tydiqa/validation-00000-of-00001.parquet", rows)
    task = catalogue.get("tydiqa")
    for code, count in (("en", len(english)), ("ko", len(korean))):
        assert read_examples(task, "test", code, tmp_path) == read_examples(
            task, "test", code, data_folder, limit=count
        )


def test_tydiqa_train_has_the_same_ids_though_xtreme_cuts_them(data_folder, tmp_path):
    (rows,) = raw(data_folder, "tydiqa", "train", "en")
    converted = [squad_columns(row, id=f"english-{n}-{row['id']}") for n, row in enumerate(rows)]
    write_parquet(tmp_path / "google/xtreme/tydiqa/train-00000-of-00001.parquet", converted)
    task = catalogue.get("tydiqa")
    original = read_examples(task, "train", "en", data_folder, limit=len(rows))
    assert read_examples(task, "train", "en", tmp_path) == original


def test_copa_is_one_task_in_three_layouts(data_folder, tmp_path):
    for place in ("COPA/val.jsonl", "xcopa/val-en.jsonl"):
        target = tmp_path / place.split("/")[0] / place
        target.parent.mkdir(parents=True)
        target.write_bytes((data_folder / "copa/val-en.jsonl").read_bytes())
        task = catalogue.get("copa")
        folder = tmp_path / place.split("/")[0]
        assert read_examples(task, "dev", "en", folder) == read_examples(task, "dev", "en", data_folder)


def test_original_files_come_before_hub_copies(data_folder, tmp_path):
    (rows,) = raw(data_folder, "xnli", "dev", "de", count=3)
    label = [{"premise": r["premise"], "hypothesis": r["hypothesis"], "label": 0} for r in rows]
    write_parquet(tmp_path / "facebook/xnli/de/validation-00000-of-00001.parquet", label)
    task = catalogue.get("xnli")
    assert {e.label for e in read_examples(task, "dev", "de", tmp_path)} == {"entailment"}
    (tmp_path / "xnli").mkdir()
    (tmp_path / "xnli/dev-de.tsv").write_text("a\tb\tneutral\n", encoding="utf-8")
    assert [e.label for e in read_examples(task, "dev", "de", tmp_path)] == ["neutral"]


def test_a_copy_with_a_missing_shard_is_not_taken_for_whole(tmp_path):
    row = {"premise": "a", "hypothesis": "b", "label": 0}
    write_parquet(tmp_path / "nyu-mll/multi_nli/data/train-00000-of-00002.parquet", [row])
    task = catalogue.get("mnli")
    assert available_languages(task, "train", tmp_path) == []
    with pytest.raises(MissingDataError):
        read_examples(task, "train", "en", tmp_path)
    write_parquet(tmp_path / "nyu-mll/multi_nli/data/train-00001-of-00002.parquet", [row])
    assert [e.id for e in read_examples(task, "train", "en", tmp_path)] == ["train-en-0", "train-en-1"]


def test_the_local_hub_cache_is_used_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    store = tmp_path / "datasets--facebook--xnli"
    (store / "refs").mkdir(parents=True)
    (store / "refs/main").write_text("abc", encoding="utf-8")
    row = {"premise": "a", "hypothesis": "b", "label": 2}
    write_parquet(store / "snapshots/abc/sw/test-00000-of-00001.parquet", [row])
    task = catalogue.get("xnli")
    assert read_examples(task, "test", "sw", None)[0].label == "contradiction"
    assert available_languages(task, "test", None) == ["sw"]


@pytest.fixture
def fake_hub(monkeypatch, tmp_path):
    """A stand-in for the hub: a list of names and a download that copies."""
    import huggingface_hub

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    root = tmp_path / "hub"
    asked = []

    def list_repo_files(self, repo, *, repo_type, revision):
        asked.append((repo, repo_type, revision))
        if not root.exists():
            raise ConnectionError("no route\nto host")
        return [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.parquet"))]

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", list_repo_files)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repo, name, **options: str(root / name))
    return root, asked


def test_the_hub_itself(fake_hub):
    root, asked = fake_hub
    write_parquet(root / "default/train/0000.parquet", [
        {"id": "1", "context": "c", "question": "q", **{f"answer{n}": str(n) for n in range(4)}, "label": 3}
    ])  # fmt: skip
    (example,) = read_examples(catalogue.get("cosmosqa"), "train", "en", None)
    assert (example.prompt, example.label) == ("c q", 3)
    assert asked == [("allenai/cosmos_qa", "dataset", "refs/convert/parquet")]


def test_a_hub_out_of_reach_says_so_in_one_line(fake_hub):
    with pytest.raises(
        MissingDataError, match="facebook/xnli on the Hugging Face Hub could not be read: no route; check"
    ):
        read_examples(catalogue.get("xnli"), "test", "sw", None)


def test_looking_never_asks_the_hub(fake_hub):
    assert available_languages(catalogue.get("xnli"), "test", None) == []
    assert fake_hub[1] == []


def test_pairs_without_a_gold_label_are_left_out_of_ocnli(data_folder, tmp_path):
    (rows,) = raw(data_folder, "ocnli", "dev", "zh")
    numbers = {"neutral": 0, "entailment": 1, "contradiction": 2, "-": -1}
    write_parquet(
        tmp_path / "clue/clue/ocnli/validation-00000-of-00001.parquet",
        [{**{key: r[key] for key in ("sentence1", "sentence2")}, "label": numbers[r["label"]]} for r in rows],
    )
    kept = sum(row["label"] != "-" for row in rows)
    same(data_folder, tmp_path, "ocnli", "dev", "zh", kept)
    assert kept < len(rows)


@pytest.mark.parametrize("name", ["xcsqa", "xcodah"])
def test_japanese_has_a_code_of_its_own_in_xcsr(tmp_path, name):
    folder = {"xcsqa": "X-CSQA", "xcodah": "X-CODAH"}[name]
    labels = "ABCDE" if name == "xcsqa" else "ABCD"
    choices = [{"label": label, "text": f"text {label}"} for label in labels]
    stem = "why?" if name == "xcsqa" else ""
    row = {"id": "1", "lang": "jap", "question": {"stem": stem, "choices": choices}, "answerKey": "B"}
    path = tmp_path / f"files/X-CSR_datasets/{folder}/jap/dev.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    columns = {"label": list(labels), "text": [choice["text"] for choice in choices]}
    write_parquet(
        tmp_path / f"hub/INK-USC/xcsr/{folder}-jap/validation-00000-of-00001.parquet",
        [{**row, "question": {"stem": stem, "choices": columns}}],
    )
    task = catalogue.get(name)
    (example,) = read_examples(task, "dev", "ja", tmp_path / "files")
    assert (example.prompt, example.label, len(example.choices)) == (stem, 1, len(labels))
    assert read_examples(task, "dev", "ja", tmp_path / "hub") == [example]


def test_stories_from_files_and_from_the_hub(tmp_path):
    header = ["InputStoryid", *(f"InputSentence{n}" for n in range(1, 5)), "RandomFifthSentenceQuiz1"]
    header += ["RandomFifthSentenceQuiz2", "AnswerRightEnding"]
    values = ["s1", "One.", "Two.", "Three.", "Four.", "Right.", "Wrong.", "1"]
    path = tmp_path / "files/xstorycloze/spring2016.val.eu.tsv.split_20_80_eval.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("\t".join(header) + "\n" + "\t".join(values) + "\n", encoding="utf-8")
    names = ["story_id", *(f"input_sentence_{n}" for n in range(1, 5)), "sentence_quiz1", "sentence_quiz2"]
    columns = dict(zip([*names, "answer_right_ending"], [*values[:-1], 1], strict=True))
    write_parquet(tmp_path / "hub/juletxara/xstory_cloze/eu/eval/0000.parquet", [columns])
    task = catalogue.get("xstorycloze")
    (example,) = read_examples(task, "test", "eu", tmp_path / "files")
    assert (example.prompt, example.choices, example.label) == (
        "One. Two. Three. Four.",
        ("Right.", "Wrong."),
        0,
    )
    assert read_examples(task, "test", "eu", tmp_path / "hub") == [example]


def test_the_parts_of_anli_plus_are_joined(tmp_path):
    rows = {
        "snli_1.0/snli_1.0_dev.jsonl": [
            {"sentence1": "a", "sentence2": "b", "gold_label": "neutral"},
            {"sentence1": "a", "sentence2": "c", "gold_label": "-"},
        ],
        "multinli_1.0/multinli_1.0_dev_matched.jsonl": [
            {"sentence1": "d", "sentence2": "e", "gold_label": "entailment"}
        ],
        **{
            f"anli/anli_v1.0/R{n}/dev.jsonl": [
                {"uid": f"u{n}", "context": "f", "hypothesis": "g", "label": "c"}
            ]
            for n in (1, 2, 3)
        },
    }
    for name, lines in rows.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    examples = read_examples(catalogue.get("anli_plus"), "dev", "en", tmp_path)
    assert [example.label for example in examples] == ["neutral", "entailment", *["contradiction"] * 3]
    assert len({example.id for example in examples}) == 5


def test_arc_with_letters_and_with_numbers(tmp_path):
    path = tmp_path / "arc/ARC-Challenge-Dev.jsonl"
    path.parent.mkdir()
    rows = []
    for labels, answer in (("ABC", "C"), ("1234", "2"), ("ABCDE", "E")):
        choices = [{"text": f"text {label}", "label": label} for label in labels]
        rows.append({"id": labels, "question": {"stem": "why?", "choices": choices}, "answerKey": answer})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    examples = read_examples(catalogue.get("arc"), "dev", "en", tmp_path)
    assert [(len(example.choices), example.label) for example in examples] == [(3, 2), (4, 1), (5, 4)]
