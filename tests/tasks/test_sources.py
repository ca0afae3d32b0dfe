import gzip
import logging

import pytest

from adaptrans.errors import DataError, MissingDataError, UnknownNameError
from adaptrans.task_types.bitext_retrieval import BitextExample
from adaptrans.task_types.classification import ClassificationExample
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import Report, available_languages, fingerprint, is_available, read_examples

TOY = {
    "name": "toy",
    "version": 1,
    "title": "Toy",
    "kind": "classification",
    "roles": ["target"],
    "languages": ["en", "de"],
    "labels": ["yes", "no"],
    "scores": ["accuracy"],
    "fields": {"text": "a", "label": "b"},
    "sources": {"files": {"format": "tsv", "options": {"columns": ["a", "b"]}}},
    "splits": {
        "train": {"files": "train-{lang}.tsv"},
        "test": {"files": "test-{lang}.tsv", "languages": ["en"]},
    },
    "license": "CC0",
    "citation": "none",
    "homepage": "https://example.org",
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("ADAPTRANS_CACHE", str(tmp_path_factory.mktemp("cache")))


def toy(**keys):
    return catalogue.resolve({**TOY, **keys})


def put(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def rows(count):
    return "".join(f"text {number}\t{'yes' if number % 2 else 'no'}\n" for number in range(count))


def test_ids_are_positions_and_limit_takes_the_first(tmp_path):
    put(tmp_path, "train-en.tsv", rows(5))
    examples = read_examples(toy(), "train", "en", tmp_path)
    assert examples[1] == ClassificationExample("train-en-1", "text 1", None, "yes")
    assert len(examples) == 5
    assert read_examples(toy(), "train", "en", tmp_path, limit=2) == examples[:2]


def test_plain_and_gzipped_files_give_the_same(tmp_path):
    put(tmp_path, "train-en.tsv.gz", rows(5))
    zipped = read_examples(toy(), "train", "en", tmp_path)
    put(tmp_path, "train-en.tsv", rows(5))
    assert read_examples(toy(), "train", "en", tmp_path) == zipped


def test_globs_are_sorted_and_lists_keep_their_order(tmp_path):
    put(tmp_path, "b/en_2.tsv", "two\tyes\n")
    put(tmp_path, "a/en_3.tsv.gz", "three\tyes\n")
    put(tmp_path, "c/en_1.tsv", "one\tyes\n")
    put(tmp_path, "c/en_1.tsv.gz", "not this\tyes\n")
    put(tmp_path, "c/de_1.tsv", "nor this\tyes\n")
    task = toy(splits={"train": {"files": [{"path": ["b/en_2.tsv", "*/{lang}_*.tsv"]}]}})
    assert [e.text for e in read_examples(task, "train", "en", tmp_path)] == ["two", "one", "two", "three"]


def test_a_list_with_a_file_missing_is_passed_over_for_the_next_source(tmp_path):
    put(tmp_path, "r1.tsv", rows(1))
    put(tmp_path, "all.tsv", rows(3))
    task = toy(splits={"train": {"files": [{"path": ["r1.tsv", "r2.tsv"]}, "all.tsv"]}})
    assert len(read_examples(task, "train", "en", tmp_path)) == 3


def test_rows_may_be_dropped_by_design(tmp_path):
    put(tmp_path, "train-en.tsv", "a\tyes\nb\t-\nc\tno\n")
    task = toy(splits={"train": {"files": {"path": "train-{lang}.tsv", "drop_labels": ["-"]}}})
    assert [e.id for e in read_examples(task, "train", "en", tmp_path)] == ["train-en-0", "train-en-1"]


def test_a_bad_row_stops_or_is_listed_and_leaves_other_ids_alone(tmp_path, caplog):
    path = put(tmp_path, "train-en.tsv", "a\tyes\nb\tmaybe\nc\nd\tno\n")
    with pytest.raises(DataError, match=r'train-en\.tsv:2: unknown label "maybe"'):
        read_examples(toy(), "train", "en", tmp_path)
    report = Report()
    with caplog.at_level(logging.WARNING):
        found = read_examples(toy(), "train", "en", tmp_path, skip_bad_rows=True, report=report)
    assert [e.text for e in found] == ["a", "d"]
    assert [line.rsplit("tsv", 1)[1][:2] for line in report.skipped] == [":2", ":3"]
    assert "2 bad rows skipped" in caplog.text
    assert str(path) in caplog.text


def test_duplicate_ids(tmp_path):
    put(tmp_path, "train-en.tsv", "a\tyes\nb\tyes\na\tno\n")
    task = toy(fields={"text": "b", "label": "b", "id": "a"})
    with pytest.raises(DataError, match=r'tsv:3: id "a" was already used at train-en\.tsv:1'):
        read_examples(task, "train", "en", tmp_path)


def test_what_is_missing_says_what_to_fetch(tmp_path):
    with pytest.raises(MissingDataError, match=r"put train-de\.tsv from https://example\.org in "):
        read_examples(toy(), "train", "de", tmp_path)
    with pytest.raises(MissingDataError, match=r'toy\.test has no language "de"; it has en'):
        read_examples(toy(), "test", "de", tmp_path)
    with pytest.raises(MissingDataError, match="is not a folder"):
        read_examples(toy(), "train", "de", tmp_path / "none")
    with pytest.raises(UnknownNameError, match="language of task toy"):
        read_examples(toy(), "train", "fr", tmp_path)
    with pytest.raises(UnknownNameError, match="split of task toy"):
        read_examples(toy(), "trian", "en", tmp_path)
    with pytest.raises(
        MissingDataError, match=r"no data for mnli\.train .*nyu-mll/multi_nli.*HF_HUB_OFFLINE"
    ):
        read_examples(catalogue.get("xnli"), "train", "en", tmp_path)
    with pytest.raises(MissingDataError, match="--data"):
        read_examples(toy(), "train", "de", None)


def test_unknown_reader_option_is_named(tmp_path):
    put(tmp_path, "train-en.tsv", rows(1))
    task = toy(sources={"files": {"format": "tsv", "options": {"colums": ["a", "b"]}}})
    with pytest.raises(UnknownNameError, match='did you mean "columns"'):
        read_examples(task, "train", "en", tmp_path)


def held(share_dev, share_test=None):
    splits = {"train": TOY["splits"]["train"], "dev": {"holdout": {"of": "train", "share": share_dev}}}
    if share_test:
        splits["test"] = {"holdout": {"of": "train", "share": share_test}}
    return toy(splits=splits)


def test_holdouts_and_the_rest_are_the_whole_without_overlap(tmp_path):
    put(tmp_path, "train-en.tsv", rows(1000))
    whole = read_examples(toy(), "train", "en", tmp_path)
    task = held(0.1, 0.2)
    parts = {split: read_examples(task, split, "en", tmp_path) for split in task.splits}
    assert sorted(e.id for part in parts.values() for e in part) == sorted(e.id for e in whole)
    assert 60 < len(parts["dev"]) < 140
    assert 150 < len(parts["test"]) < 250
    assert parts["dev"] == read_examples(held(0.1), "dev", "en", tmp_path)
    assert [e for e in whole if e in parts["train"]] == parts["train"]
    assert available_languages(task, "dev", tmp_path) == ["en"]
    # The part is fixed for ever: other examples are held out only when the rule changes.
    assert [e.id for e in parts["dev"]][:3] == ["train-en-2", "train-en-3", "train-en-6"]


def test_composed_splits_have_unique_ids_and_respect_languages(tmp_path):
    for name in ("train-en.tsv", "train-de.tsv", "test-en.tsv"):
        put(tmp_path, name, rows(2))
    known = {"toy": toy()}
    joined = catalogue.resolve(
        {**TOY, "name": "joined", "splits": {"train": {"from": ["toy.train", "toy.test[en]"]}}}, known=known
    )
    assert joined.languages_of("train") == ("en", "de")
    english = read_examples(joined, "train", "en", tmp_path)
    assert [e.id for e in english] == [
        "toy.train.en:train-en-0",
        "toy.train.en:train-en-1",
        "toy.test.en:test-en-0",
        "toy.test.en:test-en-1",
    ]
    assert len(read_examples(joined, "train", "de", tmp_path)) == 2
    assert available_languages(joined, "train", tmp_path) == ["en", "de"]
    (tmp_path / "test-en.tsv").unlink()
    assert not is_available(joined, "train", "en", tmp_path)
    with pytest.raises(MissingDataError, match="test-en"):
        read_examples(joined, "train", "en", tmp_path)


def test_a_composed_split_takes_what_holdouts_left(tmp_path):
    put(tmp_path, "train-en.tsv", rows(300))
    task = held(0.5)
    joined = catalogue.resolve(
        {**TOY, "name": "j", "splits": {"train": {"from": "toy.train"}}}, known={"toy": task}
    )
    assert len(read_examples(joined, "train", "en", tmp_path)) == len(
        read_examples(task, "train", "en", tmp_path)
    )


def test_three_letter_codes_are_tried_in_turn(tmp_path):
    for code in ("cmn", "pes", "jav"):
        put(tmp_path, f"tatoeba/v1/tatoeba.{code}-eng.{code}", "x\ny\n")
        put(tmp_path, f"tatoeba/v1/tatoeba.{code}-eng.eng", "X\nY\n")
    task = catalogue.get("tatoeba")
    assert set(available_languages(task, "test", tmp_path)) == {"zh", "fa", "jv"}
    assert read_examples(task, "test", "zh", tmp_path)[1] == BitextExample("test-zh-1", "y", "Y")


def test_files_without_tags_are_passed_over(tmp_path):
    udpos = catalogue.get("udpos")
    put(tmp_path, "udpos/test-de.tsv", "Haus\n\n")
    assert available_languages(udpos, "test", tmp_path) == []
    put(tmp_path, "ud/UD_German-X/de_x-ud-test.conllu", "1\tHaus\t_\tNOUN" + "\t_" * 6 + "\n\n")
    assert read_examples(udpos, "test", "de", tmp_path)[0].tags == ("NOUN",)
    put(tmp_path, "udpos/test-de.tsv", "Baum\tNOUN\n\n")
    assert read_examples(udpos, "test", "de", tmp_path)[0].words == ("Baum",)


def test_filled_tags_are_noted(tmp_path):
    put(tmp_path, "udpos/dev-de.tsv", "Haus\tNOUN\n.\n\n")
    report = Report()
    (example,) = read_examples(catalogue.get("udpos"), "dev", "de", tmp_path, report=report)
    assert example.tags == ("NOUN", "X")
    assert report.notes == ["1 word(s) without a tag were given one"]


def test_fingerprint_follows_content_rules_and_version(tmp_path, monkeypatch):
    put(tmp_path, "train-en.tsv", rows(20))
    first = fingerprint(toy(), "train", "en", tmp_path)
    assert first == fingerprint(toy(note="other words", title="x"), "train", "en", tmp_path)
    others = {
        fingerprint(toy(version=2), "train", "en", tmp_path),
        fingerprint(toy(fields={"text": "b", "label": "b"}), "train", "en", tmp_path),
        fingerprint(toy(label_map={"x": "yes"}), "train", "en", tmp_path),
        fingerprint(toy(), "train", "en", tmp_path, limit=3),
        fingerprint(held(0.1), "train", "en", tmp_path),
        fingerprint(held(0.1), "dev", "en", tmp_path),
        fingerprint(held(0.2), "dev", "en", tmp_path),
    }
    put(tmp_path, "train-en.tsv", rows(21))
    others.add(fingerprint(toy(), "train", "en", tmp_path))
    assert len(others) == 8
    assert first not in others


def test_fingerprint_neither_parses_nor_depends_on_the_place(tmp_path):
    bad = "not\na\ttable\n"
    put(tmp_path / "a", "train-en.tsv", bad)
    put(tmp_path / "b", "train-en.tsv", bad)
    assert fingerprint(toy(), "train", "en", tmp_path / "a") == fingerprint(
        toy(), "train", "en", tmp_path / "b"
    )


def test_real_data_tydiqa_ids(data_folder):
    task = catalogue.get("tydiqa")
    assert read_examples(task, "test", "en", data_folder, limit=1)[0].id == "english--3215621880858840488-2"
    assert read_examples(task, "train", "en", data_folder, limit=1)[0].id == "train-en-0"


def test_real_data_sources_of_udpos(data_folder):
    task = catalogue.get("udpos")
    assert len(read_examples(task, "train", "en", data_folder)) == 21253
    report = Report()
    assert len(read_examples(task, "test", "yo", data_folder, report=report)) == 317
    assert next(iter(report.rows)).name == "yo_ytb-ud-test.conllu.gz"


def test_real_data_dev_used_as_training(data_folder):
    task = catalogue.resolve(
        {
            "extends": "xnli",
            "splits": {
                "train": {"from": ["anli.dev", "xnli.dev[en]"]},
                "dev": {"holdout": {"of": "train", "share": 0.1}},
            },
        },
        name="xnli",
    )
    train = read_examples(task, "train", "en", data_folder)
    dev = read_examples(task, "dev", "en", data_folder)
    assert len(train) + len(dev) == 3198 + 2490
    assert len({e.id for e in [*train, *dev]}) == 3198 + 2490
    assert fingerprint(task, "train", "en", data_folder) != fingerprint(task, "dev", "en", data_folder)
