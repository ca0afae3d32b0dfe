"""Every file format under 12 kinds of damage: file and line are named, and nothing is dropped in silence."""

import gc
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.damaged import KINDS, SAMPLES, Cannot, Read, Refused

from adaptrans.errors import DataError
from adaptrans.tasks import catalogue
from adaptrans.tasks.loading import Report, read_examples
from adaptrans.tasks.readers.files import FORMATS, parsed_json


def read(sample, folder, **options):
    task = catalogue.resolve(sample.definition(), name="small")
    return read_examples(task, "test", "de", folder, **options)


def content(example):
    """An example without its id, which may be its number."""
    return tuple(getattr(example, name) for name in example.__slots__[1:])


def cases(refused_rows=False):
    """Every damage of every sample, and of every file of it where it is the same in all.

    Args:
        refused_rows: Only damage that is refused at a line.
    """
    anywhere = ("truncated gzip", "empty", "byte order mark", "CRLF", "NUL", "not UTF-8")
    for name in FORMATS.names():
        for number, sample in enumerate(SAMPLES[name]() if name in SAMPLES else ()):
            for kind, outcome in sample.damage.items():
                if isinstance(outcome, Cannot):
                    continue
                if refused_rows and (isinstance(outcome, Read) or outcome.line in (None, -1)):
                    continue
                own = [getattr(outcome, "file", "rows")]
                for file in sample.files if kind in anywhere and not sample.binary else own:
                    yield pytest.param(sample, kind, outcome, file, id=f"{name}-{number}-{kind}-{file}")


def test_every_format_says_what_each_kind_of_damage_does_to_it():
    assert sorted(SAMPLES) == FORMATS.names(), "a format without samples of damage"
    for name, samples in SAMPLES.items():
        told = {kind: outcome for sample in samples() for kind, outcome in sample.damage.items()}
        assert sorted(told) == sorted(KINDS), name
        impossible = [kind for kind, outcome in told.items() if isinstance(outcome, Cannot)]
        assert len(impossible) <= 6, (name, impossible)


@pytest.mark.parametrize(("sample", "kind", "outcome", "file"), cases())
def test_damage(tmp_path, sample, kind, outcome, file):
    sample.write(tmp_path)
    whole = read(sample, tmp_path)
    assert whole
    zipped = kind == "truncated gzip" and not sample.binary
    path = sample.write(tmp_path, file, outcome.change, zipped)
    assert zipped or path.read_bytes() != sample.files[file], "the change changes nothing"
    if isinstance(outcome, Read):
        report = Report()
        assert read(sample, tmp_path, report=report) == whole
        assert not report.skipped
        return
    with pytest.raises(DataError) as info:
        read(sample, tmp_path)
    assert outcome.message in str(info.value)
    assert info.value.path == (tmp_path / outcome.named if outcome.named else path)
    if outcome.line == -1:
        assert info.value.line is not None
    else:
        assert info.value.line == outcome.line
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(("sample", "kind", "outcome", "file"), cases(refused_rows=True))
def test_what_is_left_out_on_demand_is_listed(tmp_path, sample, kind, outcome, file):
    """Either the file cannot be read at all, or every row is an example or in the list."""
    sample.write(tmp_path)
    whole = read(sample, tmp_path)
    path = sample.write(tmp_path, file, outcome.change)
    report = Report(skip_bad_rows=True)
    try:
        rest = read(sample, tmp_path, report=report)
    except DataError:
        return
    assert report.skipped
    assert str(path) in report.skipped[0]
    # A spoilt row is left out as a whole; of a pair of corpora a gold pair may be.
    if sample.task["kind"] != "bitext_mining":
        assert {content(example) for example in rest} <= {content(example) for example in whole}


def test_json_of_a_thousand_brackets_is_refused():
    # Nothing may be collected meanwhile: what is closed then has no room on the stack either.
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(DataError, match=r"x\.json:3: not valid JSON"):
            parsed_json("[" * 100_000, Path("x.json"), 3)
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("tsv", "column count"), ("squad", "answer offset"), ("parquet", "NUL"), ("bitext", "truncated gzip")],
)
def test_the_command_line_says_one_line_and_exits_with_2(tmp_path, name, kind):
    sample = next(sample for sample in SAMPLES[name]() if isinstance(sample.damage.get(kind), Refused))
    outcome = sample.damage[kind]
    (tmp_path / "tasks").mkdir()
    definition = {"name": "small", **sample.definition()}
    (tmp_path / "tasks/small.yaml").write_text(yaml.safe_dump(definition), encoding="utf-8")
    path = sample.write(tmp_path, "rows", outcome.change, kind == "truncated gzip" and not sample.binary)
    done = subprocess.run(
        [sys.executable, "-m", "adaptrans_cli.main", "tasks", "check", "small", "--data", str(tmp_path),
         "--tasks", str(tmp_path / "tasks")],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 2
    (told,) = done.stderr.strip().splitlines()
    assert re.match(rf"error: {re.escape(str(path))}:\d+: ", told)
    assert outcome.message in told
