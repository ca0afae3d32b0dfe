"""Sharing through a folder, from push to scores in a fresh store."""

import json

import pytest
import torch

from adaptrans.errors import ArtifactError, ConfigError
from adaptrans.hub import pull as pulling
from adaptrans.hub import push
from adaptrans.hub.base import PushOptions
from adaptrans.hub.package import read_package
from adaptrans.hub.pull import pull, verify


@pytest.fixture(scope="session")
def hub(trained, tmp_path_factory):
    """A folder hub with the target as `stack` and its parent as `nli-tiny`; never write into it."""
    place = tmp_path_factory.mktemp("hub") / "shared"
    push.push(trained.nli, trained.store, f"{place}/nli-tiny", license="apache-2.0")
    push.push(trained.target, trained.store, f"{place}/stack")
    return place


def test_a_pulled_stack_answers_and_scores_as_before(hub, trained, fresh, logits_of, rescored):
    assert [row.name for row in pulling.rows(str(hub))] == ["nli-tiny", "stack"]
    pulled = pull(f"{hub}/stack", fresh.store, backbone=fresh.backbone)
    assert verify(f"{hub}/stack", backbone=fresh.backbone) == []
    assert pulled.new
    assert [parent.entry.name for parent in pulled.parents] == ["nli-tiny"]
    assert pulled.run.name == trained.target.name
    own, other = (logits_of(run, fresh.backbone) for run in (trained.target, pulled.run))
    assert torch.equal(own, other)
    assert rescored(fresh, pulled.run) == trained.scores


def test_a_second_pull_downloads_nothing(hub, fresh):
    first = pull(f"{hub}/stack", fresh.store)
    second = pull(f"{hub}/stack@v1", fresh.store)
    assert first.new
    assert not second.new
    assert not second.parents[0].new


def test_a_push_says_what_it_knows_and_nothing_of_this_machine(hub, trained, tiny_backbone):
    package, entry = pulling.show(f"{hub}/stack")
    assert (package.setup, package.target, package.kind) == ("nli > target", "xnli", "classification")
    assert package.base.fingerprint == trained.workspace.backbone.fingerprint
    assert package.base.id == tiny_backbone.name
    assert {(item.language, item.n) for item in package.scores} == {("en", 18), ("de", 18), ("sw", 18)}
    assert all(item.low <= item.value <= item.high for item in package.scores)
    assert {"xnli@1", "nli@1"} <= {item.task for item in package.training_data}
    assert all(item.license for item in package.training_data)
    folder = hub / "files" / "stack" / entry.revision
    texts = [path.read_text() for path in folder.rglob("*") if path.suffix in (".json", ".md")]
    assert not any(str(trained.store.root.parent) in text or str(tiny_backbone) in text for text in texts)
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".json", ".md", ".safetensors"}
    assert read_package(folder) == package


def test_the_card_is_valid_metadata(hub):
    from huggingface_hub import ModelCard

    _, entry = pulling.show(f"{hub}/stack")
    card = ModelCard.load(hub / "files" / "stack" / entry.revision / "README.md")
    assert card.data.license == "unknown"
    assert set(card.data.language) == {"en", "de", "sw"}
    assert {item.dataset_config for item in card.data.eval_results} == {"en", "de", "sw"}
    assert card.data.tags[0] == "adaptrans"
    assert "nli-tiny@v1" in card.text


def test_nothing_is_overwritten_in_silence(trained, fresh, tmp_path):
    to = f"{tmp_path}/hub/thing"
    first = push.push(trained.nli, trained.store, to)
    again = push.push(trained.nli, trained.store, to)
    assert first.pushed.new
    assert not again.pushed.new
    with pytest.raises(ArtifactError, match=r"v1 with other content.*--new-version"):
        push.push(trained.target, trained.store, to)
    second = push.push(trained.target, trained.store, to, how=PushOptions(new_version=True))
    assert second.pushed.entry.version == 2
    assert pull(f"{to}@v1", fresh.store).run.name == trained.nli.name
    assert pull(to, fresh.store).run.name == trained.target.name
    with pytest.raises(ArtifactError, match="no version or tag v3; it has v1, v2"):
        pull(f"{to}@v3", fresh.store)
    with pytest.raises(ArtifactError, match="write thing"):
        push.push(trained.nli, trained.store, f"{tmp_path}/hub/Thing")
    with pytest.raises(ConfigError, match="numbered by the hub"):
        push.push(trained.nli, trained.store, f"{to}@v7")


def test_tags_move_and_say_so(trained, fresh, tmp_path):
    to, said = f"{tmp_path}/hub/thing", []
    push.push(trained.nli, trained.store, to, how=PushOptions(tag="best"))
    assert pull(f"{to}@best", fresh.store).run.name == trained.nli.name
    how = PushOptions(tag="best", new_version=True, tell=said.append)
    push.push(trained.target, trained.store, to, how=how)
    assert said == ["tag best of thing moved from v1 to v2"]
    assert {(row.version, row.tags) for row in pulling.rows(f"{tmp_path}/hub") if row.name == "thing"} == {
        (1, ()),
        (2, ("best",)),
    }


def test_a_parent_is_pushed_once(hub, trained, tmp_path):
    place = tmp_path / "hub"
    shared = push.push(trained.target, trained.store, f"{place}/stack")
    (parent,) = shared.parents
    assert parent.pushed.entry.name == f"nli-seq_bn-{trained.nli.key}"
    push.push(trained.target, trained.store, f"{place}/again")
    assert len(pulling.rows(str(place))) == 3


def test_filters_of_a_list(hub, trained):
    def names(**filters):
        return [row.name for row in pulling.rows(str(hub), **filters)]

    assert names(task="nli") == ["nli-tiny"]
    assert names(language="sw") == ["stack"]
    assert names(method="full") == []
    assert names(base=trained.workspace.backbone.fingerprint[:8]) == ["nli-tiny", "stack"]
    assert names(base="other") == []
    best = max(pulling.show(f"{hub}/stack")[0].means().values())
    assert names(score=best) == ["stack"]
    assert names(score=best + 0.1) == []
    with pytest.raises(ArtifactError, match="no hub"):
        pulling.rows(f"{hub}/nothing")


def test_an_interrupted_push_is_invisible_and_goes_on(trained, tmp_path, monkeypatch):
    from adaptrans.hub.fsspec import FolderHub

    place, put = tmp_path / "hub", FolderHub.put
    sent = []

    def failing(self, source, target):
        if len(sent) == 3:
            raise OSError("the line is cut")
        sent.append(target)
        put(self, source, target)

    monkeypatch.setattr(FolderHub, "put", failing)
    with pytest.raises(ArtifactError, match="the line is cut"):
        push.push(trained.nli, trained.store, f"{place}/nli")
    assert pulling.rows(str(place)) == []
    with pytest.raises(ArtifactError, match="no artifact nli"):
        pulling.show(f"{place}/nli")
    monkeypatch.setattr(
        FolderHub, "put", lambda self, source, target: (sent.append(target), put(self, source, target))
    )
    push.push(trained.nli, trained.store, f"{place}/nli")
    assert len(sent) == len(set(sent)) == len(read_package_files(place)) + 1


def read_package_files(place):
    return pulling.show(f"{place}/nli")[0].files


def test_an_interrupted_pull_is_invisible_and_goes_on(hub, trained, fresh, monkeypatch):
    from adaptrans.hub.fsspec import FolderHub

    opened, real = [], FolderHub.open

    class Broken:
        """A file whose reading stops in its middle."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def seek(self, place):
            self.file.seek(place)

        def read(self, size):
            if self.file.tell():
                raise OSError("the line is cut")
            return self.file.read(min(size, 100))

    def failing(self, path):
        opened.append(path)
        return Broken(real(self, path)) if path.endswith("adapter.safetensors") else real(self, path)

    monkeypatch.setattr(FolderHub, "open", failing)
    with pytest.raises(ArtifactError, match="the line is cut; run the command again"):
        pull(f"{hub}/nli-tiny", fresh.store)
    assert fresh.store.runs() == []
    (part,) = fresh.store.cache.rglob("*.part")
    assert part.stat().st_size == 100
    places = []
    monkeypatch.setattr(
        Broken, "read", lambda self, size: (places.append(self.file.tell()), self.file.read(size))[1]
    )
    pulled = pull(f"{hub}/nli-tiny", fresh.store)
    assert places[0] == 100
    assert pulled.run.is_done
    assert len([path for path in opened if path.endswith("adapter_config.json")]) == 1
    assert not list((fresh.store.cache / "pulls").rglob("*.safetensors"))


def test_a_run_of_the_store_is_not_replaced(hub, trained, fresh):
    pulled = pull(f"{hub}/nli-tiny", fresh.store)
    weights = pulled.run.artifact / "adapters" / "nli" / "adapter.safetensors"
    text = bytearray(weights.read_bytes())
    text[-1] ^= 1
    weights.write_bytes(bytes(text))
    with pytest.raises(ArtifactError, match="other weights, trained from the same inputs"):
        pull(f"{hub}/nli-tiny", fresh.store)


def test_what_was_pulled_can_be_shared_again(hub, fresh, tmp_path):
    pulled = pull(f"{hub}/stack", fresh.store)
    shared = push.push(pulled.run, fresh.store, f"{tmp_path}/other/stack", backbone=fresh.backbone)
    assert shared.package.scores == pulled.package.scores
    assert shared.package.training_data == pulled.package.training_data
    assert shared.package.content == pulled.package.content


def test_paths_and_tokens_are_not_shared(trained, tmp_path):
    import shutil

    from adaptrans.runs.store import Run

    for place, secret in enumerate(("/home/ann/data", "hf_" + "a" * 30)):
        folder = tmp_path / str(place) / "runs" / "intermediate" / trained.nli.name
        shutil.copytree(trained.nli.path, folder)
        done = json.loads((folder / "done.json").read_text())
        (folder / "done.json").write_text(json.dumps({**done, "notes": [secret]}))
        run = Run("intermediate", trained.nli.label, trained.nli.key, folder)
        with pytest.raises(ArtifactError, match="would give away"):
            push.push(run, trained.store, f"{tmp_path}/hub/nli")


def test_what_is_no_artifact_is_refused(trained, tmp_path):
    from adaptrans.runs.store import Store

    evaluation = trained.store.runs("evaluate")[0]
    with pytest.raises(ArtifactError, match="trained nothing"):
        push.push(evaluation, trained.store, f"{tmp_path}/hub/x")
    with pytest.raises(ArtifactError, match="no artifact x"):
        pull(f"{tmp_path}/hub/x", Store(tmp_path / "store"))


def test_other_bases_are_refused_before_a_download(hub, fresh, backbone_maker, tmp_path):
    from adaptrans.modeling.backbone import identify

    other = identify(backbone_maker(tmp_path / "other", depth=2))
    with pytest.raises(ArtifactError, match=r"\[depth\] base.depth: is 4, that of"):
        pull(f"{hub}/nli-tiny", fresh.store, backbone=other)
    assert not list(fresh.store.cache.rglob("*.safetensors"))
