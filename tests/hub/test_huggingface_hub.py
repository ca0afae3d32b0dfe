"""Sharing through the Hugging Face Hub: the real client against a server of the tests."""

import json
import os
import subprocess
import sys

import pytest
import torch

from adaptrans.errors import ArtifactError, ConfigError
from adaptrans.hub import pull as pulling
from adaptrans.hub import push
from adaptrans.hub.base import PushOptions
from adaptrans.hub.pull import pull, verify


def test_a_pulled_stack_answers_and_scores_as_before(hub_server, trained, fresh, logits_of, rescored):
    shared = push.push(trained.target, trained.store, "hf://ann/stack", license="apache-2.0")
    parent = shared.parents[0].pushed.entry
    assert set(hub_server.repositories) == {"ann/stack", f"ann/{parent.name}"}
    rows = {row.name: row for row in pulling.rows("hf://ann")}
    assert set(rows) == {"stack", parent.name}
    assert rows["stack"].scores == shared.package.means()
    assert [row.name for row in pulling.rows("hf://ann", language="sw")] == ["stack"]
    assert verify("hf://ann/stack", backbone=fresh.backbone) == []
    pulled = pull("hf://ann/stack", fresh.store, backbone=fresh.backbone)
    assert [item.entry.name for item in pulled.parents] == [parent.name]
    assert not (pulled.run.artifact / ".cache").exists()
    own, other = (logits_of(run, fresh.backbone) for run in (trained.target, pulled.run))
    assert torch.equal(own, other)
    assert rescored(fresh, pulled.run) == trained.scores


def test_versions_are_tags_and_nothing_is_overwritten(hub_server, trained, fresh):
    to, said = "hf://ann/thing", []
    assert push.push(trained.nli, trained.store, to, how=PushOptions(tag="best")).pushed.new
    assert not push.push(trained.nli, trained.store, to).pushed.new
    with pytest.raises(ArtifactError, match="v1 with other content"):
        push.push(trained.target, trained.store, to)
    how = PushOptions(new_version=True, tag="best", tell=said.append)
    assert push.push(trained.target, trained.store, to, how=how).pushed.entry.version == 2
    assert said == ["tag best of thing moved from v1 to v2"]
    assert sorted(hub_server.repositories["ann/thing"].tags) == ["best", "v1", "v2"]
    assert pull(f"{to}@v1", fresh.store).run.name == trained.nli.name
    assert pull(f"{to}@best", fresh.store).run.name == trained.target.name
    with pytest.raises(ArtifactError, match="v9"):
        pull(f"{to}@v9", fresh.store)


def test_private_repositories_pull_requests_and_branches(hub_server, trained, fresh, monkeypatch):
    push.push(trained.nli, trained.store, "hf://ann/mine", how=PushOptions(private=True))
    assert hub_server.repositories["ann/mine"].private
    shared = push.push(
        trained.nli, trained.store, "hf://ann/mine", how=PushOptions(pull_request=True, tag=None)
    )
    assert not shared.pushed.new
    push.push(trained.nli, trained.store, "hf://ann/other", how=PushOptions(pull_request=True))
    other = hub_server.repositories["ann/other"]
    assert (len(other.pulls), other.tags) == (1, {})
    push.push(trained.nli, trained.store, "hf://ann/other@trial")
    assert other.tags == {}
    assert pull("hf://ann/other@trial", fresh.store).run.name == trained.nli.name
    with pytest.raises(ArtifactError, match="no artifact of adaptrans"):
        pull("hf://ann/other", fresh.store)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ArtifactError, match="adaptrans hub login"):
        pulling.show("hf://ann/mine")
    with pytest.raises(ConfigError, match="are for hf://"):
        push.push(trained.nli, trained.store, "./hub/x", how=PushOptions(private=True))


def test_an_interrupted_push_goes_on(hub_server, trained, fresh):
    hub_server.cut["upload"] = True
    with pytest.raises(ArtifactError, match="hf://ann/nli"):
        push.push(trained.nli, trained.store, "hf://ann/nli")
    assert pulling.rows("hf://ann") == []
    assert len(hub_server.large) < 2
    push.push(trained.nli, trained.store, "hf://ann/nli")
    sent = hub_server.seen("PUT", "/large/")
    assert len(sent) == 3
    assert pull("hf://ann/nli", fresh.store).run.name == trained.nli.name


def test_a_push_without_its_tag_is_no_version_and_goes_on(hub_server, trained, fresh):
    push.push(trained.nli, trained.store, "hf://ann/nli")
    commits = len(hub_server.repositories["ann/nli"].commits)
    hub_server.repositories["ann/nli"].tags.clear()
    with pytest.raises(ArtifactError, match="has no version of an artifact; push it again"):
        pull("hf://ann/nli", fresh.store)
    push.push(trained.nli, trained.store, "hf://ann/nli")
    assert len(hub_server.repositories["ann/nli"].commits) == commits
    assert list(hub_server.repositories["ann/nli"].tags) == ["v1"]


def test_an_interrupted_pull_is_invisible_and_goes_on(hub_server, trained, fresh, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 25)
    push.push(trained.nli, trained.store, "hf://ann/nli")
    hub_server.cut["adapters/nli/adapter.safetensors"] = 50
    with pytest.raises(ArtifactError, match="the same command goes on where it stopped"):
        pull("hf://ann/nli", fresh.store)
    assert fresh.store.runs() == []
    assert pull("hf://ann/nli", fresh.store).run.is_done
    assert hub_server.resumed == [("adapters/nli/adapter.safetensors", 50)]
    fetched = hub_server.seen("GET", "/resolve/")
    assert len([path for path in fetched if path.endswith("/adapter_config.json")]) == 1


def test_the_slower_of_two_pushes_is_told(hub_server, trained):
    def meanwhile(repository):
        hub_server.before_commit = None
        files = repository.commits[repository.branches["main"]]
        repository.branches["main"] = repository.commit({**files, "README.md": b"another one"})

    hub_server.before_commit = meanwhile
    with pytest.raises(ArtifactError, match="another process has just pushed nli@v1"):
        push.push(trained.nli, trained.store, "hf://ann/nli")


def test_what_is_no_artifact_is_told(hub_server, trained, fresh):
    from support.hub_server import Repository

    with pytest.raises(ArtifactError, match="hf://ann/none: there is none"):
        pull("hf://ann/none", fresh.store)
    hub_server.repositories["ann/foreign"] = Repository()
    hub_server.repositories["ann/foreign"].tags["v1"] = hub_server.repositories["ann/foreign"].branches[
        "main"
    ]
    with pytest.raises(ArtifactError, match=r"has no manifest.json"):
        pull("hf://ann/foreign", fresh.store)


def test_login_asks_the_hub(hub_server, monkeypatch):
    from support.hub_server import TOKEN

    from adaptrans.hub.huggingface import login

    monkeypatch.delenv("HF_TOKEN")
    assert login(TOKEN) == "ann"
    with pytest.raises(ArtifactError, match="login"):
        login("hf_wrong")


def test_offline_asks_nobody(hub_server, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.utils.reset_sessions()
    with pytest.raises(ArtifactError, match="HF_HUB_OFFLINE is set; run it without --offline"):
        pulling.show("hf://ann/nli")
    assert hub_server.log == []


def test_the_command_takes_endpoint_and_token_from_the_environment(hub_server, trained, tmp_path):
    push.push(trained.nli, trained.store, "hf://ann/mine", how=PushOptions(private=True))
    command = [sys.executable, "-m", "adaptrans_cli.main", "hub", "list", "hf://ann", "--json"]
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert [row["name"] for row in json.loads(done.stdout)] == ["mine"]
    del environment["HF_TOKEN"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert json.loads(done.stdout) == []
