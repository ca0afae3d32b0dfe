import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from adaptrans.utils import io


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAPTRANS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    return path


def test_hashes_are_remembered_until_the_file_changes(file, monkeypatch):
    first = hashlib.sha256(b"one").hexdigest()
    assert io.cached_sha256([file]) == [first]
    monkeypatch.setattr(io, "sha256", lambda path: "computed")
    assert io.cached_sha256([file]) == [first]
    io._remembered.clear()
    assert io.cached_sha256([file]) == [first]
    os.utime(file, ns=(1, 1))
    assert io.cached_sha256([file]) == ["computed"]


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("another_process", [False, True])
def test_other_content_of_the_same_size_and_time_is_read(file, another_process):
    for content in (b"one", b"two", b"six"):
        file.write_bytes(content)
        os.utime(file, ns=(10**18, 10**18))
        if another_process:
            io._remembered.clear()
        assert io.cached_sha256([file]) == [sha(content)]


def test_another_file_in_its_place_is_read(file, tmp_path):
    assert io.cached_sha256([file]) == [sha(b"one")]
    other = tmp_path / "other"
    other.write_bytes(b"two")
    shutil.copystat(file, other)
    other.replace(file)
    assert io.cached_sha256([file]) == [sha(b"two")]


def test_a_link_that_leads_elsewhere_is_followed(file, tmp_path):
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_bytes(b"two")
    shutil.copystat(file, other)
    link.symlink_to(file)
    assert io.cached_sha256([link]) == [sha(b"one")]
    link.unlink()
    link.symlink_to(other)
    assert io.cached_sha256([link]) == [sha(b"two")]


def test_an_unchanged_file_is_read_once_by_all_commands(file, monkeypatch):
    io.cached_sha256([file])
    read = []
    monkeypatch.setattr(io, "sha256", lambda path: read.append(path) or "again")
    for _ in range(3):
        io._remembered.clear()
        assert io.cached_sha256([file, file]) == [sha(b"one")] * 2
    assert read == []


def test_entries_of_size_and_time_alone_are_not_believed(file, cache):
    state = file.stat()
    cache.mkdir()
    old = {str(file): [state.st_size, state.st_mtime_ns, "old"]}
    (cache / "file-hashes.json").write_text(json.dumps(old))
    assert io.cached_sha256([file]) == [sha(b"one")]


@pytest.mark.parametrize(
    "damaged", ["{", "[]", "\ufffd", '{"FILE": 3}', '{"FILE": [3]}', '{"FILE": {"a": 1}}']
)
def test_a_damaged_cache_is_ignored_and_mended(file, cache, damaged):
    first = io.cached_sha256([file])
    store = cache / "file-hashes.json"
    store.write_text(damaged.replace("FILE", str(file)))
    io._remembered.clear()
    assert io.cached_sha256([file]) == first
    assert list(json.loads(store.read_text())) == [str(file)]


def test_another_folder_may_be_given(file, cache, tmp_path):
    assert io.cached_sha256([file, file], tmp_path / "other") == [io.sha256(file)] * 2
    assert (tmp_path / "other" / "file-hashes.json").is_file()
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_done_without(file, cache):
    cache.write_text("a file")
    assert io.cached_sha256([file]) == [io.sha256(file)]


def test_where_the_cache_is(cache, monkeypatch):
    assert io.cache_folder() == cache
    monkeypatch.delenv("ADAPTRANS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert io.cache_folder() == Path("/xdg/adaptrans")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert io.cache_folder() == Path.home() / ".cache" / "adaptrans"
