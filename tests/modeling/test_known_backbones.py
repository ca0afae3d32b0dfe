"""Encoders that are known by name: figures that follow from shapes, and names that lead to files."""

import json
from pathlib import Path

import pytest
from conftest import make_backbone

from adaptrans import mini
from adaptrans.errors import ArtifactError
from adaptrans.modeling import e5_small
from adaptrans.modeling.backbone import full_name, identify, outlined
from adaptrans.modeling.efficiency.memory_case import shape_from, shape_of
from adaptrans.modeling.efficiency.memory_estimation import encoder_parameters
from adaptrans.modeling.encoder import FEATURES
from adaptrans.modeling.known_backbones import HEAD, find, known

SUPPORTED = [name for name, item in known().items() if item.spec is not None]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub cache, and no network."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def cached(hub: Path, name: str) -> Path:
    """A repository in the hub cache as its client leaves it."""
    repository = hub / f"models--{name.replace('/', '--')}"
    commit = "1" * 40
    make_backbone(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    return repository / "snapshots" / commit


@pytest.mark.parametrize("name", SUPPORTED)
def test_parameters_are_those_of_the_shape(name):
    assert known()[name].parameters == encoder_parameters(known()[name].config)


def test_what_is_said_of_our_own_is_what_their_files_say():
    config = json.loads((mini.FOLDER / "config.json").read_text())
    own = known()["mini"].config
    assert own == {key: config[key] for key in own}
    shape = e5_small.Shape(384, 12, 12, 1536, 250037, 512, 2, 1e-12, 32, 250002)
    config = e5_small.config_of(shape)
    own = known()[e5_small.NAME].config
    assert own == {key: config[key] for key in own}
    assert known()["mini"].head
    assert {name for name, item in known().items() if item.source == "bundled"} == {"mini"}


def test_what_works_follows_from_the_architecture():
    for name in SUPPORTED:
        item = known()[name]
        works = item.supports()
        assert works.pop(HEAD) == item.head
        assert works == {FEATURES[feature]: item.spec.supports(feature) for feature in FEATURES}


def test_every_short_name_is_its_own_and_leads_to_one_repository():
    repositories = [item.hub for item in known().values() if item.hub]
    assert len(set(repositories)) == len(repositories)
    assert not [name for name in known() if "/" in name]
    for name, item in known().items():
        assert find(item.backbone) == item, name


def test_a_short_name_is_taken_where_a_backbone_is_named(hub, tmp_path):
    folder = cached(hub, "google-bert/bert-base-multilingual-cased")
    found = identify("mbert")
    # What others are told is the name that means something to them.
    assert found.name == "google-bert/bert-base-multilingual-cased"
    assert (found.path, found.revision) == (folder, "1" * 40)
    assert outlined("mbert") == found
    shuffled = identify("random(mbert)", controls=tmp_path / "controls")
    assert shuffled.name == "random(google-bert/bert-base-multilingual-cased)"
    assert shuffled.fingerprint != found.fingerprint


def test_a_folder_and_a_repository_of_that_name_win(hub, tmp_path, monkeypatch):
    assert full_name("xlm-roberta-base") == "FacebookAI/xlm-roberta-base"
    cached(hub, "xlm-roberta-base")
    assert full_name("xlm-roberta-base") == "xlm-roberta-base"
    monkeypatch.chdir(tmp_path)
    make_backbone(tmp_path / "labse")
    assert identify("labse").revision is None


@pytest.mark.parametrize("name", SUPPORTED)
def test_what_is_not_at_hand_has_the_shape_that_is_known(hub, monkeypatch, tmp_path, name):
    monkeypatch.setenv("ADAPTRANS_CACHE", str(tmp_path))
    monkeypatch.setattr(e5_small, "WEIGHTS", e5_small.PackagedFile("no-such-package", "1", "x", "y"))
    found = outlined(name)
    assert found.fetched == (name == "mini")
    assert shape_of(found) == shape_from(known()[name].config)
    assert found.longest == known()[name].as_json()["max_tokens"]


def test_a_name_that_is_nearly_a_short_one_is_told_which(hub):
    with pytest.raises(ArtifactError, match='did you mean "mbert"'):
        identify("mbret")
    # The name of another repository is no misspelling of one.
    with pytest.raises(ArtifactError, match="huggingface-cli download someone/xlm-roberta-base"):
        identify("someone/xlm-roberta-base")


def test_the_documentation_lists_every_one():
    text = (Path(__file__).parents[2] / "docs" / "reference" / "backbones.md").read_text(encoding="utf-8")
    for name, item in known().items():
        assert f"| `{name}` |" in text, name
        assert item.hub is None or item.hub in text, name
