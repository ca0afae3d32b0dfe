import gzip
import hashlib
import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from adaptrans.errors import ConfigError, DataError, UnknownNameError
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import read_examples
from adaptrans.tasks.locate import _in_folder as in_folder
from adaptrans.tasks.locate import find
from adaptrans.tasks.validation import Checker, check_tasks, read_manifest
from adaptrans_cli.tasks import app

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))


def run(*arguments, **environment):
    given = [str(argument) for argument in arguments]
    result = RUNNER.invoke(app, given, env={"ADAPTRANS_DATA": None, **environment}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def small(tmp_path):
    """A data folder with XNLI's dev set in two languages, four rows each, and a manifest."""
    (tmp_path / "xnli").mkdir()
    lines = ["file\tlang\tcount\tunit\tsha256"]
    for code in ("en", "sw"):
        content = "".join(f"{code} {n}\tb\tneutral\n" for n in range(4)).encode()
        path = tmp_path / f"xnli/dev-{code}.tsv.gz"
        path.write_bytes(gzip.compress(content))
        lines.append(
            f"xnli/dev-{code}.tsv.gz\t{code}\t4\tpairs\t{hashlib.sha256(path.read_bytes()).hexdigest()}"
        )
    (tmp_path / "FILES.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def rewrite(folder, name, content):
    """Change a file and its checksum in the manifest, so that only its rows are at fault."""
    path = folder / name
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(gzip.compress(content.encode()))
    manifest = folder / "FILES.tsv"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace(old, hashlib.sha256(path.read_bytes()).hexdigest()), encoding="utf-8")


# Families of sets, each with what it holds here: task, split, language, examples.
REAL = [
    ("anli", "dev", "en", 3198),
    ("udpos", "train", "kk", 31),
    ("udpos", "test", "kk", 1047),
    ("udpos_r", "test", "ur", 535),
    ("pawsx", "test", "ko", 2000),
    ("tatoeba", "test", "sw", 390),
    ("tatoeba_all", "test", "tzl", 104),
    ("xnli", "test", "ur", 5010),
    ("squad2", "dev", "en", 11873),
    ("squad", "dev_without_xquad", "en", 9380),
    ("siqa", "test", "en", 2224),
    ("mlqa", "dev", "de", 512),
    ("mlqa_cross", "dev", "de-es", 196),
    ("mlqa_cross", "dev", "es-de", 196),
    ("m_arc", "test", "hy", 1100),
    ("xcopa_translated", "test", "sw", 500),
    ("ocnli", "train_3k", "zh", 2994),
    ("ocnli", "test", "zh", 3000),
    ("cmrc2018", "trial", "zh", 1002),
    ("jaquad", "dev", "ja", 3939),
    ("arcd", "test", "ar", 702),
    ("squad_it", "test", "it", 7609),
    ("klue_nli", "dev", "ko", 3000),
    ("klue_sts", "dev", "ko", 519),
    ("klue_ner", "dev", "ko", 5000),
    ("kornli", "dev", "ko", 2490),
    ("parsinlu_entailment", "test", "fa", 1673),
    ("parsinlu_farstail", "test_natural", "fa", 850),
    ("parsinlu_qqp", "dev", "fa", 898),
    ("parsinlu_choice", "train", "fa", 1271),
    ("parsinlu_reading", "test", "fa", 570),
    ("farstail", "test", "fa", 1564),
    ("americasnli", "dev", "cni", 658),
    ("americasnli", "test", "gn", 750),
    ("americasnli", "test", "qu", 750),
    ("xvnli_text", "shots_5", "fr", 17),
    ("masakhaner1", "test", "am", 500),
    ("masakhaner2", "train", "xh", 5718),
    ("masakhapos", "dev", "bbj", 149),
    ("panx_r", "dev", "qu", 100),
    ("wikiann", "test", "rw", 100),
    ("udpos_r", "dev", "lt", 672),
    ("udpos_r", "test", "yo", 317),
    ("ud", "train", "ta", 400),
    ("sib200", "train", "en", 701),
    ("sib200", "test", "ay", 204),
    ("snli_cad", "train", "en", 8330),
    ("snli_cad", "test_revised_premise", "en", 800),
    ("tatoeba_r", "test", "az", 1000),
    ("xnli_fewshot", "train", "en", 48),
    ("xnli_fewshot", "dev_256", "ur", 768),
    ("xwinograd", "test", "ja", 959),
    ("bmlama", "test", "zh", 6792),
    ("copa_balanced", "test_mirrored", "en", 500),
    ("breaking_nli", "test", "en", 8193),
    ("xquad_r", "test", "th", 1190),
]


@pytest.fixture(scope="module")
def checker(data_folder):
    return Checker(data_folder)


@pytest.mark.parametrize(("name", "split", "language", "examples"), REAL)
def test_real_files_are_as_the_manifest_says(checker, name, split, language, examples):
    result = checker.check(catalogue.get(name), split, language)
    assert result.examples == examples
    assert result.verified >= 1


# What no kind reads: images with captions, graded similarity, parses, and copies without labels.
UNREAD = [
    # Nor do these belong to a task of the catalogue: picture names, explanations, prompts, typology.
    "copa_sse/",
    "emoji_cldr/",
    "iglue_small/",
    "prompts/",
    "uriel/",
    "text/",
    "xgqa/",
    "marvl/",
    "klue/klue-dp",
    "kornli/KorSTS",
    "copa/original",
    "udpos/test_unlabelled",
    "udpos_test_gold/LICENSE",
    "panx/test_unlabelled",
    "pawsx/test_borrowed",
    "xnli/test.genre",
    "bucc2018/fr-en",
    "bucc2018/de-en",
    "bucc2018/ru-en",
]


def test_every_labeled_file_belongs_to_a_task(data_folder):
    found = set()
    for name in catalogue.names():
        task = catalogue.get(name)
        for split in task.splits:
            for source in task.file_sources(split):
                for language in task.languages_of(split):
                    located = in_folder(source, language, data_folder)
                    found |= set(located.paths) if located else set()
    files = {path.relative_to(data_folder).as_posix() for path in found}
    counted = {name for name, entry in read_manifest(data_folder).items() if entry.count}
    assert {name for name in counted - files if not name.startswith(tuple(UNREAD))} == set()


def test_tasks_that_read_the_same_files_read_them_once(data_folder, monkeypatch):
    from adaptrans.tasks import validation

    read = []

    def counting(task, *arguments, **options):
        read.append(task.name)
        return read_examples(task, *arguments, **options)

    monkeypatch.setattr(validation, "read_examples", counting)
    checker = Checker(data_folder)
    results = [checker.check(catalogue.get(name), "dev", "yo") for name in ("panx", "panx_r", "wikiann")]
    assert [result.examples for result in results] == [100, 100, 100]
    assert [result.task for result in results] == ["panx@1", "panx_r@1", "wikiann@1"]
    assert read == ["panx"]


def test_results_of_a_small_folder(small):
    results = {r.language: r for r in check_tasks([catalogue.get("xnli")], small) if r.split == "dev"}
    assert results["sw"].examples == 4
    assert results["sw"].verified == 1
    assert results["sw"].notes == ("4 examples, published are 2,490",)
    assert results["de"].examples is None
    assert "xnli/dev-de.tsv" in results["de"].remedy


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tb\tneutral\n" * 3 + "a\tneutral\n", "dev-sw.tsv.gz:4: expected 3 columns, found 2"),
        ("a\tb\tneutral\na\tb\tmaybe\n" * 2, 'dev-sw.tsv.gz:2: unknown label "maybe"'),
        ("a\tb\tneutral\n" * 3, "holds 3 rows, FILES.tsv:3 says 4"),
    ],
)
def test_a_corrupted_row_is_one_line_with_file_and_line(small, content, message):
    rewrite(small, "xnli/dev-sw.tsv.gz", content)
    with pytest.raises(DataError) as info:
        run("check", "xnli", "--data", small)
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_the_command_line_exits_with_2(small):
    rewrite(small, "xnli/dev-sw.tsv.gz", "a\tb\tneutral\nbroken\n")
    command = [sys.executable, "-m", "adaptrans_cli.main", "tasks", "check", "xnli", "--data", str(small)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "dev-sw.tsv.gz:2: expected 3 columns, found 1" in line


def test_bad_rows_are_listed_on_demand(small):
    rewrite(small, "xnli/dev-sw.tsv.gz", "a\tb\tneutral\nbroken\nc\td\tneutral\ne\tf\tmaybe\n")
    results = json.loads(
        run("check", "xnli", "--data", small, "--skip-bad-rows", "--json").replace("\x1b", "")
    )
    (result,) = [r for r in results if r["split"] == "dev" and r["language"] == "sw"]
    assert result["examples"] == 2
    assert sum("left out" in note for note in result["notes"]) == 2


def test_a_manifest_may_count_lines_instead_of_rows(tmp_path):
    """A header and the blank lines between sentences are lines too; a last one needs no line feed."""
    contents = {
        "pawsx_test_gold/en.test_2k.tsv": "id\tsentence1\tsentence2\tlabel\n1\ta\tb\t1\n",
        "udpos_test_gold/test-en.tsv": "It\tPRON\n\nRains\tVERB",
    }
    manifest = tmp_path / "FILES.tsv"
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(content, encoding="utf-8")
    counts = {"pawsx_test_gold/en.test_2k.tsv": 2, "udpos_test_gold/test-en.tsv": 3}
    rows = "".join(f"{name}\t{count}\tlines\n" for name, count in counts.items())
    manifest.write_text("file\tcount\tunit\n" + rows, encoding="utf-8")
    checker = Checker(tmp_path)
    for name, examples in (("pawsx", 1), ("udpos", 2)):
        result = checker.check(catalogue.get(name), "test", "en")
        assert (result.examples, result.verified) == (examples, 1)
    manifest.write_text("file\tcount\tunit\n" + rows.replace("\t3\t", "\t2\t"), encoding="utf-8")
    with pytest.raises(DataError, match=r"holds 3 lines, FILES\.tsv:3 says 2"):
        Checker(tmp_path).check(catalogue.get("udpos"), "test", "en")


@pytest.mark.parametrize("name", ["udpos", "udpos_r"])
def test_further_names_of_test_files_leave_a_language_that_had_data_as_it_was(data_folder, name):
    """Runs are found again by the fingerprint of their data, so a name comes after those before it."""
    task = catalogue.get(name)
    for code in ("el", "th"):
        located = find(task, "test", code, data_folder)
        assert [path.parts[-3] for path in located.paths] == ["ud"]
    assert find(task, "test", "hi", data_folder).paths[0].parent.name == "udpos_test_gold"


def test_a_changed_file_is_caught_by_its_checksum(small):
    path = small / "xnli/dev-en.tsv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"en 0", b"en x")))
    with pytest.raises(DataError, match=r"SHA-256 is not that of FILES\.tsv:2"):
        Checker(small).check(catalogue.get("xnli"), "dev", "en")


def test_parallel_languages_must_have_one_size(small):
    (small / "FILES.tsv").unlink()
    path = small / "xnli/dev-en.tsv.gz"
    path.write_bytes(gzip.compress(b"a\tb\tneutral\n"))
    with pytest.raises(DataError, match="parallel, but its languages differ in size: en 1, sw 4"):
        check_tasks([catalogue.get("xnli")], small)


def test_damaged_manifest(tmp_path):
    assert read_manifest(tmp_path) == {}
    (tmp_path / "FILES.tsv").write_text("file\tcount\na\tmany\n", encoding="utf-8")
    with pytest.raises(DataError, match=r'FILES\.tsv:2: count "many"'):
        read_manifest(tmp_path)
    (tmp_path / "FILES.tsv").write_text("name\tcount\n", encoding="utf-8")
    with pytest.raises(DataError, match='no column "file"'):
        read_manifest(tmp_path)


def test_check_prints_a_table_notes_and_what_is_absent(small):
    text = run("check", "xnli", "--data", small)
    assert "2 of 15" in text
    assert "note: xnli@1 dev [en sw]: 4 examples, published are 2,490" in text
    assert "absent: no data for xnli.test" in text
    assert "the same for 14 more languages" in text


def test_check_needs_names_and_a_folder(small):
    for arguments in (["check"], ["check", "xnli", "--all"]):
        with pytest.raises(ConfigError, match="names of tasks"):
            run(*arguments, "--data", small)
    with pytest.raises(ConfigError, match="no data folder"):
        run("check", "xnli")
    with pytest.raises(ConfigError, match="is not a folder"):
        run("check", "xnli", "--data", small / "none")


def test_list(small, tmp_path):
    assert "xnli@1" in run("list")
    assert "dev 2" in run("list", "--data", small)
    assert "dev 2" in run("list", ADAPTRANS_DATA=str(small))
    own = small / "own"
    own.mkdir()
    (own / "mine.yaml").write_text("extends: xnli\nname: mine\n", encoding="utf-8")
    listed = json.loads(run("list", "--tasks", own, "--data", small, "--json"))
    (mine,) = [task for task in listed if task["name"] == "mine"]
    assert mine["available"] == {"train": 0, "dev": 2, "test": 0}
    assert mine["languages"] == list(catalogue.get("xnli").languages)


def test_list_of_a_language_and_a_type(small):
    assert "dev\n" in run("list", "--language", "swa", "--data", small).replace(" ", "")
    listed = json.loads(run("list", "--language", "sw", "--type", "multiple_choice", "--json"))
    names = {task["name"] for task in listed}
    assert {"xcopa", "belebele"} <= names
    assert all("sw" in catalogue.get(name).languages for name in names)
    assert "m_arc" not in names
    pairs = json.loads(run("list", "--language", "hi", "--data", small, "--json"))
    assert {"mlqa_cross", "xnli"} <= {task["name"] for task in pairs}
    assert next(task for task in pairs if task["name"] == "xnli")["available"]["dev"] == 0
    assert json.loads(run("list", "--language", "sw", "--type", "span_qa_null", "--json")) == []
    for option, value, message in (
        ("--language", "swahili", 'the code of swahili is "sw"'),
        ("--language", "enn", "did you mean"),
        ("--type", "multiplechoice", 'did you mean "multiple_choice"'),
    ):
        with pytest.raises(UnknownNameError, match=message):
            run("list", option, value)


def test_show_says_everything(small):
    text = run("show", "xnli", "--data", small)
    for part in (
        "mnli.train",
        "CC BY-NC 4.0",
        "en sw",
        "xnli/dev-{lang}.tsv",
        "facebook/xnli",
        "2,490",
        "entailment",
    ):
        assert part in text
    shown = json.loads(run("show", "tatoeba", "--json"))
    assert shown["splits"]["test"]["counts"]["jv"] == 205
    assert shown["available"] is None


def test_listing_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from adaptrans_cli.tasks import list_tasks\n"
        "list_tasks()\n"
        "bad = [m for m in ('torch', 'pandas', 'datasets', 'pyarrow', 'transformers') if m in sys.modules]\n"
        "print(bad, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_the_command_file_imports_only_typer():
    code = (
        "import sys\nbefore = set(sys.modules)\nimport adaptrans_cli.tasks\n"
        "print([m for m in ('pydantic', 'yaml', 'numpy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
