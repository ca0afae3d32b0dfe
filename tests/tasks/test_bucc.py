"""BUCC's files: what is read, and what 12 kinds of damage are told."""

import gzip

import pytest

from adaptrans.errors import DataError
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import available_languages, fingerprint, read_examples
from adaptrans.tasks.validation import Checker

GERMAN = "de-1\tEin Haus .\nde-2\t Der Hund\u2028 \nde-3\tEin Haus .\n"
ENGLISH = "en-1\tA house .\nen-2\tThe cat\nen-3\tA dog\n"
GOLD = "de-1\ten-1\nde-1\ten-1\nde-2\ten-3\n"


@pytest.fixture
def folder(tmp_path):
    """The dev set of German in a data folder."""
    for suffix, text in (("de", GERMAN), ("en", ENGLISH), ("gold", GOLD)):
        path = tmp_path / f"bucc2018/de-en.dev.{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
    return tmp_path


@pytest.fixture(scope="module")
def task():
    return catalogue.get("bucc2018")


def test_sentences_references_and_the_other_corpus(folder, task):
    examples = read_examples(task, "dev", "de", folder)
    assert [(e.id, e.text, e.references) for e in examples] == [
        ("de-1", "Ein Haus .", ("en-1",)),
        ("de-2", " Der Hund\u2028 ", ("en-3",)),
        ("de-3", "Ein Haus .", ()),
    ]
    assert examples[0].pool == (("en-1", "A house ."), ("en-2", "The cat"), ("en-3", "A dog"))
    assert examples[1].pool == ()


def test_files_without_a_final_line_end_lose_nothing(folder, task):
    for path in (folder / "bucc2018").iterdir():
        path.write_text(path.read_text().rstrip("\n"))
    examples = read_examples(task, "dev", "de", folder)
    assert examples[2].text == "Ein Haus ."
    assert examples[0].pool[2][1] == "A dog"
    assert examples[1].references == ("en-3",)


def test_the_layout_of_the_shared_task_is_found(folder, task):
    (folder / "bucc2018/de-en").mkdir()
    for suffix in ("de", "en", "gold"):
        old = folder / f"bucc2018/de-en.dev.{suffix}"
        old.rename(folder / f"bucc2018/de-en/de-en.sample.{suffix}")
    assert available_languages(task, "dev", folder) == ["de"]
    assert available_languages(task, "test", folder) == []


def test_a_corpus_without_the_other_one_or_without_references_is_not_there(folder, task):
    (folder / "bucc2018/de-en.dev.gold").rename(folder / "gold")
    assert available_languages(task, "dev", folder) == []
    (folder / "gold").rename(folder / "bucc2018/de-en.dev.gold")
    (folder / "bucc2018/de-en.dev.en").unlink()
    assert available_languages(task, "dev", folder) == []


@pytest.mark.parametrize("suffix", ["de", "en", "gold"])
def test_every_file_is_in_the_fingerprint(folder, task, suffix):
    before = fingerprint(task, "dev", "de", folder)
    path = folder / f"bucc2018/de-en.dev.{suffix}"
    path.write_text(path.read_text().replace("de-3", "de-4").replace("cat", "cats").replace("en-3", "en-2"))
    assert fingerprint(task, "dev", "de", folder) != before


def truncated(data):
    return gzip.compress(data * 500)[:-20]


@pytest.mark.parametrize(
    ("suffix", "change", "message"),
    [
        ("de", lambda d: d.replace(b"\t", b" ", 1), r"dev.de:1: expected an id and a sentence, found 1"),
        ("en", lambda d: d.replace(b"cat", b"c\tat"), r"dev.en:2: expected an id and a sentence, found 3"),
        ("de", lambda d: d.replace(b"de-2", b"de-1"), r'dev.de:2: id "de-1" was already used in line 1'),
        ("en", lambda d: d.replace(b"en-2", b"en-1"), r'dev.en:2: id "en-1" was already used in line 1'),
        ("gold", lambda d: d.replace(b"de-2", b"de-9"), r'dev.gold:3: no sentence has the id "de-9"'),
        ("gold", lambda d: d.replace(b"en-3", b"en-9"), r'dev.gold:3: no sentence has the id "en-9"'),
        ("gold", lambda d: d.replace(b"de-2\t", b"de-2 "), r"dev.gold:3: expected two ids, found 1"),
        ("de", lambda d: b"", r"dev.de: the file is empty"),
        ("en", lambda d: d.replace(b"cat", b"c\xffat"), r"dev.en:2: not UTF-8"),
        ("en", lambda d: d.replace(b"cat", b"c\0at"), r"dev.en:2: holds a NUL"),
        ("de", lambda d: d.replace(b"Der", b"\t"), r"dev.de:2: expected an id and a sentence, found 3"),
        ("de", lambda d: d.replace(b" Der Hund\xe2\x80\xa8 ", b" "), r"dev.de:2: the sentence is empty"),
    ],
)
def test_damage_is_named_with_file_and_line(folder, task, suffix, change, message):
    path = folder / f"bucc2018/de-en.dev.{suffix}"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        read_examples(task, "dev", "de", folder)


def test_a_truncated_gzip_file_is_named(folder, task):
    path = folder / "bucc2018/de-en.dev.en"
    lines = b"".join(b"en-%d\tsentence number %d\n" % (i, i) for i in range(5_000))
    path.with_name("de-en.dev.en.gz").write_bytes(gzip.compress(lines)[:-2_000])
    path.unlink()
    with pytest.raises(DataError, match=r"dev.en.gz:\d+: the gzip file ends too early"):
        read_examples(task, "dev", "de", folder)


def test_windows_files_read_the_same(folder, task):
    before = read_examples(task, "dev", "de", folder)
    for path in (folder / "bucc2018").iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_examples(task, "dev", "de", folder) == before


def test_the_real_chinese_dev_set(data_folder, task):
    if not (data_folder / "bucc2018/zh-en.dev.gold").is_file():
        pytest.skip("no BUCC data in the data folder")
    found = Checker(data_folder).check(task, "dev", "zh")
    assert (found.examples, found.verified, found.notes) == (8624, 2, ())
    examples = read_examples(task, "dev", "zh", data_folder)
    assert sum(len(example.references) for example in examples) == 257
    assert len(examples[0].pool) == 13589
    assert Checker(data_folder).check(task, "dev", "fr").examples is None
