"""Sharing through S3: a real S3 API server on loopback, started by the test."""

import socket
import time

import pytest
import torch

from adaptrans.errors import ArtifactError
from adaptrans.hub import pull as pulling
from adaptrans.hub import push
from adaptrans.hub.base import PushOptions
from adaptrans.hub.pull import pull, verify


@pytest.fixture(scope="module")
def endpoint():
    """Address of moto's server."""
    pytest.importorskip("s3fs", reason="needs s3fs: pip install 'adaptrans[s3]'")
    moto = pytest.importorskip("moto.server", reason="needs moto's server: pip install 'moto[server]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint, monkeypatch, request):
    """A fresh bucket, which the environment's settings lead to."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = "hub-" + "".join(char for char in request.node.name.lower() if char.isalnum())[:40]
    s3fs.S3FileSystem().mkdir(name)
    yield f"s3://{name}/shared"
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_pulled_stack_answers_and_scores_as_before(bucket, trained, fresh, logits_of, rescored):
    push.push(trained.target, trained.store, f"{bucket}/stack")
    assert len(pulling.rows(bucket)) == 2
    assert [row.name for row in pulling.rows(bucket, task="xnli")] == ["stack"]
    assert verify(f"{bucket}/stack", backbone=fresh.backbone) == []
    pulled = pull(f"{bucket}/stack", fresh.store, backbone=fresh.backbone)
    own, other = (logits_of(run, fresh.backbone) for run in (trained.target, pulled.run))
    assert torch.equal(own, other)
    assert rescored(fresh, pulled.run) == trained.scores


def test_versions_and_tags(bucket, trained, fresh):
    to, said = f"{bucket}/thing", []
    assert push.push(trained.nli, trained.store, to, how=PushOptions(tag="best")).pushed.new
    assert not push.push(trained.nli, trained.store, to).pushed.new
    with pytest.raises(ArtifactError, match="v1 with other content"):
        push.push(trained.target, trained.store, to)
    how = PushOptions(new_version=True, tag="best", tell=said.append)
    push.push(trained.target, trained.store, to, how=how)
    assert said == ["tag best of thing moved from v1 to v2"]
    assert pull(f"{to}@best", fresh.store).run.name == trained.target.name
    assert pull(f"{to}@v1", fresh.store).run.name == trained.nli.name


def test_a_version_is_made_by_one_only(bucket, trained):
    from adaptrans.hub.fsspec import StoreHub

    hub = StoreHub(bucket)
    hub.create(hub.path("versions", "thing@v1.json"), b"{}")
    with pytest.raises(FileExistsError):
        hub.create(hub.path("versions", "thing@v1.json"), b"other")


def test_an_interrupted_push_is_invisible_and_goes_on(bucket, trained, monkeypatch):
    from adaptrans.hub.fsspec import StoreHub

    put, sent = StoreHub.put, []

    def failing(self, source, target):
        if len(sent) == 3:
            raise OSError("the line is cut")
        sent.append(target)
        put(self, source, target)

    monkeypatch.setattr(StoreHub, "put", failing)
    with pytest.raises(ArtifactError, match="the line is cut"):
        push.push(trained.nli, trained.store, f"{bucket}/nli")
    assert pulling.rows(bucket) == []
    monkeypatch.setattr(
        StoreHub, "put", lambda self, source, target: (sent.append(target), put(self, source, target))
    )
    push.push(trained.nli, trained.store, f"{bucket}/nli")
    assert len(sent) == len(set(sent)) == 7


def test_an_interrupted_pull_goes_on(bucket, trained, fresh, monkeypatch):
    from adaptrans.hub.pull import run_of, show

    push.push(trained.nli, trained.store, f"{bucket}/nli")
    package, _ = show(f"{bucket}/nli")
    part = fresh.store.cache / "pulls" / package.digest()[:32] / "adapters/nli/.adapter.safetensors.part"
    part.parent.mkdir(parents=True)
    source = trained.nli.artifact / "adapters/nli/adapter.safetensors"
    part.write_bytes(source.read_bytes()[:100])
    pulled = pull(f"{bucket}/nli", fresh.store)
    assert (pulled.run.artifact / "adapters/nli/adapter.safetensors").read_bytes() == source.read_bytes()
    assert pulled.run == run_of(package, fresh.store)


def test_a_bucket_that_is_not_there_is_told(bucket, trained):
    with pytest.raises(ArtifactError, match="s3://nowhere-at-all"):
        push.push(trained.nli, trained.store, "s3://nowhere-at-all/hub/nli")
