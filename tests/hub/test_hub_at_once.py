"""Several processes at the same hub and the same store."""

import subprocess
import sys

import pytest

from adaptrans.hub import pull as pulling
from adaptrans.hub import push

PUSH = """
import sys, pathlib, time
from adaptrans.errors import ArtifactError
from adaptrans.hub.push import push
from adaptrans.hub.fsspec import FolderHub
from adaptrans.runs.store import Store

store, key, place, go = sys.argv[1:5]
create = FolderHub.create

def late(self, path, text):
    # Both have looked and found the name free before either makes its version.
    pathlib.Path(go, key).touch()
    while len(list(pathlib.Path(go).iterdir())) < 2:
        time.sleep(0.01)
    create(self, path, text)

FolderHub.create = late
root = Store(pathlib.Path(store))
try:
    print("pushed", push(root.find(key), root, f"{place}/thing").pushed.entry)
except ArtifactError as error:
    print("told", error)
"""

PULL = """
import sys, pathlib, time
from adaptrans.hub import fsspec as stored
from adaptrans.hub.pull import pull
from adaptrans.runs.store import Store

store, address, out = sys.argv[1:4]
fetch = stored.FolderHub.fetch

def slow(self, entry, file, folder):
    time.sleep(0.1)
    with open(out, "a") as log:
        log.write(file.path + "\\n")
    fetch(self, entry, file, folder)

stored.FolderHub.fetch = slow
print(pull(address, Store(pathlib.Path(store))).new)
"""


def outputs(*commands):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for code, *arguments in commands
    ]
    ended = [(*process.communicate(), process.returncode) for process in started]
    assert all(code == 0 for _, _, code in ended), ended
    return [out.strip() for out, _, _ in ended]


def test_of_two_pushes_of_a_name_one_wins_and_the_other_is_told(trained, tmp_path):
    place, go = tmp_path / "hub", tmp_path / "go"
    go.mkdir()
    # The two trainings have no parent in common that is pushed under the same name at this moment.
    push.push(trained.nli, trained.store, f"{place}/parent")
    keys = (trained.nli.key, trained.target.key)
    said = sorted(outputs(*((PUSH, trained.store.root, key, place, go) for key in keys)))
    assert said[0] == "pushed thing@v1"
    assert said[1].startswith("told another process has just pushed thing@v1; ")
    assert [row.version for row in pulling.rows(str(place)) if row.name == "thing"] == [1]


def test_two_pulls_make_one_download(trained, tmp_path):
    place = tmp_path / "hub"
    push.push(trained.nli, trained.store, f"{place}/nli")
    log = tmp_path / "log"
    said = outputs(*[(PULL, tmp_path / "store", f"{place}/nli", log)] * 2)
    assert sorted(said) == ["False", "True"]
    fetched = log.read_text().split()
    assert len(fetched) == len(set(fetched)) == len(pulling.show(f"{place}/nli")[0].files)


@pytest.mark.parametrize("count", [70, 130])
def test_a_long_list_opens_few_files(trained, tmp_path, monkeypatch, count):
    from adaptrans.hub.fsspec import FolderHub, Record
    from adaptrans.hub.package import PackageRow

    place = tmp_path / "hub"
    shared = push.push(trained.nli, trained.store, f"{place}/nli")
    row = PackageRow.of(shared.package, 1)
    for number in range(count):
        record = Record(
            format=1,
            manifest="0" * 64,
            pushed="",
            row=row.model_copy(update={"name": f"n{number}", "key": "0" * 12}),
        )
        (place / "versions" / f"n{number}@v1.json").write_text(record.model_dump_json())
    assert len(pulling.rows(str(place))) == count + 1
    opened, record_of = [], FolderHub.record
    monkeypatch.setattr(FolderHub, "record", lambda self, *at: (opened.append(at), record_of(self, *at))[1])
    assert len(pulling.rows(str(place))) == count + 1
    assert opened == []
    shared = push.push(trained.target, trained.store, f"{place}/stack")
    opened.clear()
    assert {"stack", "nli", "n5"} <= {row.name for row in pulling.rows(str(place))}
    assert opened == [("stack", 1)]
