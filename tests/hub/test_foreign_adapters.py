"""Adapters of the plain `adapters` library, from the Hugging Face Hub into a setup."""

import json

import pytest

from adaptrans.errors import ArtifactError
from adaptrans.hub.import_adapterhub import pull_foreign
from adaptrans.hub.verification.checks import Refused
from adaptrans.modeling.setup.parser import parse


@pytest.fixture(scope="module")
def plain(tiny_backbone, tmp_path_factory):
    """Folders that the library's own `save_adapter` wrote: `plain(safe)`."""
    from adapters import AutoAdapterModel

    model = AutoAdapterModel.from_pretrained(str(tiny_backbone))
    model.add_adapter("sst-2", config="seq_bn")
    folder = tmp_path_factory.mktemp("plain")
    for safe in (True, False):
        model.save_adapter(str(folder / str(safe)), "sst-2", with_head=False, use_safetensors=safe)
    return lambda safe: folder / str(safe)


@pytest.fixture
def publish(hub_server):
    """`publish(name, folder, **more)`: a repository with the files of a folder."""
    from support.hub_server import Repository

    def make(name, folder, more=()):
        repository = hub_server.repositories[f"AdapterHub/{name}"] = Repository()
        files = {path.name: path.read_bytes() for path in folder.iterdir()} | dict(more)
        repository.branches["main"] = repository.commit(
            {**repository.commits[repository.branches["main"]], **files}
        )

    return make


def test_a_published_adapter_is_pulled_and_stacks(publish, plain, hub_server, fresh, planners):
    publish("sst", plain(True), {"evil.py": b"print(1)", "README.md": b"# sst"})
    spec, _ = planners(fresh).evaluate(parse("hf://AdapterHub/sst > target"), fresh.task("tatoeba"))
    (run,) = spec.parents.values()
    assert run.phase == "adopted"
    fetched = {path.rpartition("/")[2] for path in hub_server.seen("GET", "/resolve/")}
    assert fetched == {"adapter_config.json", "adapter.safetensors"}
    origin = json.loads((run.artifact / "artifact.json").read_text())["origin"]["from"]
    assert origin.startswith("hf://AdapterHub/sst@")
    again = pull_foreign("hf://AdapterHub/sst", fresh.store, fresh.backbone)
    assert again == run


def test_an_adopted_adapter_can_be_shared(publish, plain, fresh, tmp_path):
    from adaptrans.hub import push
    from adaptrans.hub.pull import pull
    from adaptrans.runs.store import Store

    publish("sst", plain(True))
    run = pull_foreign("hf://AdapterHub/sst", fresh.store, fresh.backbone, name="mnli")
    shared = push.push(run, fresh.store, f"{tmp_path}/hub/mnli", backbone=fresh.backbone)
    assert [source.license for source in shared.package.training_data] == ["unknown"]
    pulled = pull(f"{tmp_path}/hub/mnli", Store(tmp_path / "other"), backbone=fresh.backbone)
    assert pulled.run.name == run.name


def test_a_pickle_only_where_it_is_asked_for(publish, plain, fresh, hub_server):
    publish("old", plain(False))
    with pytest.raises(ArtifactError, match=r"only in pytorch_adapter.bin, a pickle; add --allow-bin"):
        pull_foreign("hf://AdapterHub/old", fresh.store, fresh.backbone)
    assert hub_server.seen("GET", "/resolve/") == []
    assert pull_foreign("hf://AdapterHub/old", fresh.store, fresh.backbone, pickles=True).is_done


def test_hostile_ones_are_refused(publish, plain, fresh):
    config = json.loads((plain(True) / "adapter_config.json").read_text())
    for reason, more in {
        "class": {"adapter_config.json": json.dumps({**config, "config": "https://example.org/x"}).encode()},
        "header": {"adapter.safetensors": b"\xff" * 100},
        "json": {"adapter_config.json": b"["},
    }.items():
        publish(reason, plain(True), more)
        with pytest.raises(Refused) as caught:
            pull_foreign(f"hf://AdapterHub/{reason}", fresh.store, fresh.backbone)
        assert caught.value.refusals[0].reason == reason
    assert fresh.store.runs() == []


def test_another_base_is_refused(publish, plain, fresh, backbone_maker, tmp_path):
    from adaptrans.modeling.backbone import identify

    publish("sst", plain(True))
    other = identify(backbone_maker(tmp_path / "other", depth=2))
    with pytest.raises(ArtifactError, match="layers"):
        pull_foreign("hf://AdapterHub/sst", fresh.store, other)
    assert fresh.store.runs() == []
