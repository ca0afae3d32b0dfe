import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError
from adaptrans.utils.io import atomic_write, canonical_json, digest, read_json, remove, write_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def reversed_order(value):
    """The same value with every dictionary's keys the other way round."""
    if isinstance(value, dict):
        return {key: reversed_order(value[key]) for key in reversed(value)}
    return [reversed_order(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_the_order_of_keys_does_not_matter(value):
    assert canonical_json(value) == canonical_json(reversed_order(value))
    assert digest(value) == digest(reversed_order(value))
    assert json.loads(canonical_json(value)) == value


@given(JSON, JSON)
def test_different_values_have_different_texts(one, other):
    assert (canonical_json(one) == canonical_json(other)) == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )


def test_the_order_of_lists_and_the_type_of_values_matter():
    assert len({digest(value) for value in ([1, 2], [2, 1], ["1", 2], [1, 2.0], [1, None], [[1, 2]])}) == 6


def test_digests_are_pinned():
    # Run keys are stored in users' folders: this must not change.
    assert digest({"seed": 1, "languages": ["de", "中"]}) == "7b43c530e180"
    assert digest([], length=64).startswith(digest([], length=20))


def test_digests_are_the_same_in_another_process():
    value = {f"key {i}": {"b": i, "a": [None, 0.1]} for i in range(20)}
    code = "import json, sys; from adaptrans.utils.io import digest; print(digest(json.load(sys.stdin)))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(reversed_order(value)),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert seen == {digest(value)}


def stop_half_way(temporary, error, *, folder=False):
    if folder:
        temporary.mkdir()
    (temporary / "half" if folder else temporary).write_text("half")
    raise error


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent, "a rename is atomic in one folder only"
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_after_an_exception_the_old_file_is_untouched(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as temporary:
        stop_half_way(temporary, KeyboardInterrupt())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_exception_there_is_no_new_file(tmp_path):
    with pytest.raises(ValueError, match="stop"), atomic_write(tmp_path / "file") as temporary:
        stop_half_way(temporary, ValueError("stop"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "folder"
    for name in ("old", "new"):
        with atomic_write(path) as temporary:
            (temporary / "inner").mkdir(parents=True)
            (temporary / "inner" / name).write_text(name)
    assert [item.name for item in path.rglob("*")] == ["inner", "new"]
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_exception_the_old_folder_is_untouched(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(ValueError, match="stop"), atomic_write(path) as temporary:
        stop_half_way(temporary, ValueError("stop"), folder=True)
    assert [item.name for item in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_body_that_writes_nothing_keeps_what_was_there(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass
    assert (path / "old").read_text() == "old"


def test_leftovers_of_an_earlier_try_do_not_enter(tmp_path):
    path = tmp_path / "folder"
    leftover = path.with_name(f".folder.{os.getpid()}.part")
    leftover.mkdir()
    (leftover / "stale").write_text("stale")
    with atomic_write(path) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("new")
    assert [item.name for item in path.iterdir()] == ["new"]


def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"old": 1})
    code = (
        "import os, signal, sys; from pathlib import Path; from adaptrans.utils.io import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('{')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -9
    assert read_json(path) == {"old": 1}
    write_json(path, {"new": 1})
    assert read_json(path) == {"new": 1}


def test_remove_takes_files_folders_and_nothing(tmp_path):
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    remove(tmp_path / "link")
    assert (tmp_path / "folder" / "inner").is_dir(), "the link is removed, not what it leads to"
    remove(tmp_path / "folder")
    remove(tmp_path / "file")
    remove(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_json_is_written_readable_in_every_script(tmp_path):
    path = tmp_path / "value.json"
    value = {"language": "ไทย", "text": "人人", "scores": [0.1, 1e-9]}
    write_json(path, value)
    assert read_json(path) == value
    assert "ไทย" in path.read_text(encoding="utf-8")
    with pytest.raises(TypeError):
        write_json(path, {"path": Path()})
    assert read_json(path) == value


def test_a_folder_is_never_missing_for_longer_than_a_rename(tmp_path, monkeypatch):
    from adaptrans.utils import io

    path, seen = tmp_path / "folder", []
    path.mkdir()
    (path / "old").write_text("old")
    delete = io.shutil.rmtree
    monkeypatch.setattr(
        io.shutil, "rmtree", lambda folder: (seen.append(path.is_dir() and folder != path), delete(folder))
    )
    with atomic_write(path) as temporary:
        temporary.mkdir()
    assert seen == [True]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_never_takes_the_place_of_a_folder(tmp_path):
    path = tmp_path / "results"
    path.mkdir()
    (path / "precious").write_text("precious")
    with (
        pytest.raises(AdaptransError, match="results is a folder, not a file; give another name"),
        atomic_write(path) as temporary,
    ):
        temporary.write_text("new")
    assert (path / "precious").read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_never_takes_the_place_of_a_file(tmp_path):
    path = tmp_path / "notes"
    path.write_text("precious")
    with (
        pytest.raises(AdaptransError, match="notes is a file, not a folder; give another name"),
        atomic_write(path) as temporary,
    ):
        temporary.mkdir()
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]
