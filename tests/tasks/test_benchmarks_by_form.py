"""Benchmarks that are not at hand, in the form of their authors' files and of the hub's parquet files.

Columns and paths are those that the repositories named in the catalogue document. Each task is read from a
file of its authors, where they publish one, and from parquet, and both give the same examples.
"""

import json

import pytest

from adaptrans import languages
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import available_languages, read_examples

pyarrow = pytest.importorskip("pyarrow")


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)


def write(folder, name, rows):
    """Rows in the format that the name of the file ends in."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif name.endswith(".json"):
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        lines = [list(rows[0])] if rows[0].get("header", True) else []
        lines += [[str(value) for name, value in row.items() if name != "header"] for row in rows]
        path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")


NLI = [{"premise": "a", "hypothesis": "b", "label": 0}, {"premise": "c", "hypothesis": "d", "label": 2}]
GAPS = [
    {"sentence": "A saw B as _ left.", "option1": "A", "option2": "B", "answer": "2"},
    {"sentence": "C saw D as _ came.", "option1": "C", "option2": "D", "answer": "1"},
]
PASSAGES = [
    {
        "link": "https://x",
        "question_number": 1,
        "flores_passage": "It rained.",
        "question": "What was it like?",
        **{f"mc_answer{number}": f"answer {number}" for number in range(1, 5)},
        "correct_answer_num": right,
        "dialect": "eng_Latn",
        "ds": "2023-05-03",
    }
    for right in ("1", "4")
]
TRUTHS = [
    {
        "question": "What happens?",
        "mc1_targets_choices": ["nothing", "much"],
        "mc1_targets_labels": [1, 0],
        "mc2_targets_choices": ["nothing", "little", "much"],
        "mc2_targets_labels": [1, 1, 0],
    }
]
QUESTIONS = [
    {
        "sample_id": f"law/test/{number}",
        "subject": "law",
        "question": "Which?",
        **{f"option_{letter}": letter for letter in "abcd"},
        "answer": answer,
    }
    for number, answer in enumerate("AD")
]
NEWS = [{"label": 4, "headline": "A", "text": "b c", "headline_text": "A b c", "url": "https://x"}]
UTTERANCES = [
    {
        "id": "7",
        "locale": "x",
        "partition": "test",
        "scenario": 0,
        "intent": 48,
        "utt": "wake me",
        "worker": "1",
    },
    {
        "id": "8",
        "locale": "x",
        "partition": "test",
        "scenario": 0,
        "intent": 0,
        "utt": "what day",
        "worker": "1",
    },
]
OTHERS = [
    {"id": "9", "locale": "x", "partition": "train", "scenario": 0, "intent": 1, "utt": "dim", "worker": "1"}
]

# Task, split, language, file of the authors and its rows, parquet file of the hub and its rows.
FORMS = [
    ("afrixnli", "test", "sw", "data/swa/test.tsv", NLI, "masakhane/afrixnli/swa/test/0000.parquet", NLI),
    ("afrixnli", "dev", "tw", "afrixnli/twi/dev.tsv", NLI,
     "masakhane/afrixnli/twi/validation/0000.parquet", NLI),
    ("indicxnli", "dev", "or", None, NLI, "Divyanshu/indicxnli/or/validation/0000.parquet", NLI),
    ("winogrande", "dev", "en", "winogrande_1.1/dev.jsonl", GAPS,
     "allenai/winogrande/winogrande_xl/validation-00000-of-00001.parquet", GAPS),
    ("belebele", "test", "hi", "Belebele/hin_Deva.jsonl", PASSAGES,
     "facebook/belebele/hin_Deva/test/0000.parquet", PASSAGES),
    ("belebele", "test", "om", "Belebele/gaz_Latn.jsonl", PASSAGES,
     "facebook/belebele/gaz_Latn/test/0000.parquet", PASSAGES),
    ("m_truthfulqa", "test", "hy", "m_truthfulqa/hy_validation.json", TRUTHS,
     "alexandrainst/m_truthfulqa/hy/val/0000.parquet", TRUTHS),
    ("global_mmlu", "test", "tl", None, QUESTIONS,
     "CohereLabs/Global-MMLU/fil/test-00000-of-00001.parquet", QUESTIONS),
    ("global_mmlu", "dev", "sw", None, QUESTIONS,
     "CohereLabs/Global-MMLU/sw/dev-00000-of-00001.parquet", QUESTIONS),
    ("masakhanews", "test", "om", "data/orm/test.tsv",
     [{"category": "religion", "headline": "A", "text": "b c", "url": "https://x"}],
     "masakhane/masakhanews/orm/test/0000.parquet", NEWS),
    ("massive_intent", "test", "no", "1.0/data/nb-NO.jsonl",
     [OTHERS[0] | {"intent": "x"}, UTTERANCES[0] | {"intent": "alarm_set"},
      UTTERANCES[1] | {"intent": "datetime_query"}],
     "AmazonScience/massive/nb-NO/test/0000.parquet", UTTERANCES),
    ("massive_intent", "test", "sw", "1.0/data/sw-KE.jsonl",
     [UTTERANCES[0] | {"intent": "alarm_set"}, UTTERANCES[1] | {"intent": "datetime_query"}],
     "AmazonScience/massive/sw-KE/test/0000.parquet", UTTERANCES),
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=[f"{form[0]}-{form[2]}" for form in FORMS])
def test_files_and_the_hub_give_the_same_examples(tmp_path, form):
    name, split, language, file, rows, parquet, columns = form
    task = catalogue.get(name)
    folders = {"hub": tmp_path / "hub", "files": tmp_path / "files"}
    write(folders["hub"], parquet, columns)
    found = read_examples(task, split, language, folders["hub"])
    assert len(found) == len(columns)
    assert available_languages(task, split, folders["hub"]) == [language]
    if file is not None:
        write(folders["files"], file, rows)
        assert read_examples(task, split, language, folders["files"]) == found
        assert available_languages(task, split, folders["files"]) == [language]


def test_the_hubs_copy_of_xwinograd_gives_what_the_authors_file_gives(data_folder, tmp_path):
    task = catalogue.get("xwinograd")
    for code, place in (("fr", "fr"), ("ja", "jp")):
        original = read_examples(task, "test", code, data_folder, limit=50)
        rows = [
            {
                "sentence": example.prompt,
                "option1": example.choices[0],
                "option2": example.choices[1],
                "answer": str(example.label + 1),
            }
            for example in original
        ]
        write(tmp_path, f"Muennighoff/xwinograd/{place}/test/0000.parquet", rows)
        assert read_examples(task, "test", code, tmp_path) == original


def test_a_language_in_two_scripts_is_read_in_one(tmp_path):
    task = catalogue.get("belebele")
    for code in ("zho_Hans", "zho_Hant", "hin_Latn", "urd_Latn"):
        write(tmp_path, f"Belebele/{code}.jsonl", PASSAGES)
    assert available_languages(task, "test", tmp_path) == ["zh"]
    assert len(read_examples(task, "test", "zh", tmp_path)) == 2


def test_every_language_of_belebele_and_massive_has_one_file(tmp_path):
    """Codes of the authors, of which some stand under another one of the same language here."""
    belebele = catalogue.get("belebele")
    assert len(belebele.languages) == 115
    for code in belebele.languages:
        script = languages.get(code).script
        for code3 in languages.get(code).codes3:
            write(tmp_path, f"Belebele/{code3}_{script}.jsonl", PASSAGES[:1])
    found = {code: len(read_examples(belebele, "test", code, tmp_path)) for code in belebele.languages}
    assert set(found.values()) == {1}
    assert len(catalogue.get("massive_intent").languages) == 50
    assert len(set(catalogue.get("massive_intent").labels)) == 60


def test_taxi1500_as_its_authors_publish_it(tmp_path):
    rows = [{"verse": "66018007", "label": "Sin", "text": 'He said : " No "', "header": False}]
    write(tmp_path, "eng_data/eng_dev.tsv", rows)
    [example] = read_examples(catalogue.get("taxi1500"), "dev", "en", tmp_path)
    assert (example.id, example.text, example.label) == ("66018007", 'He said : " No "', "Sin")


def test_facts_and_truths_have_the_right_choice_at_any_place(data_folder):
    """Where a file has it always at the end or at the beginning, the first of equal ones would be a guess."""
    english = read_examples(catalogue.get("bmlama"), "test", "en", data_folder)
    assert [len({example.label for example in english if len(example.choices) == n}) for n in (2, 10)] == [
        2,
        10,
    ]
    chinese = read_examples(catalogue.get("bmlama"), "test", "zh", data_folder)
    assert [example.label for example in chinese] == [example.label for example in english]
    assert english[0].prompt == "Charles II of Spain was born in _."
    assert english[0].choices[english[0].label] == "Madrid"


def test_twins_of_balanced_copa_share_their_choices(data_folder):
    task = catalogue.get("copa_balanced")
    first = {e.id: e for e in read_examples(task, "test_original", "en", data_folder)}
    twins = {e.id: e for e in read_examples(task, "test_mirrored", "en", data_folder)}
    assert set(twins) == {str(int(id) + 1000) for id in first}
    both = {id: (first[id], twins[str(int(id) + 1000)]) for id in first}
    assert sum(set(a.choices) == set(b.choices) for a, b in both.values()) == 500
    right = [(a.choices[a.label], b.choices[b.label]) for a, b in both.values()]
    assert all(one != other for one, other in right)
    copa = {
        e.prompt
        for split in ("train", "dev")
        for e in read_examples(catalogue.get("copa"), split, "en", data_folder)
    }
    assert len(copa & {e.prompt for e in first.values()}) > 490
