"""`mine_files`: pairs of two files, their report, and what a second run does again."""

import json

import pytest

from adaptrans.errors import ConfigError, DataError
from adaptrans.evaluation.bitext_mining import files as mining
from adaptrans.evaluation.bitext_mining.files import Options, mine_files, setup_model
from adaptrans.experiments.commands import plan_mining
from adaptrans.modeling.setup.parser import parse


@pytest.fixture
def files(tmp_path):
    """Two files that share five sentences, one of them with a tab and one there twice."""
    shared = ["the cat sits", "a library in London", "seven apples", "opened by\tAnna", "the mat"]
    (tmp_path / "a.txt").write_text("\n".join([*shared, "", "on on on", "the cat sits"]))
    (tmp_path / "b.txt").write_text("\n".join([*reversed(shared), "was was Anna"]) + "\n")
    return tmp_path / "a.txt", tmp_path / "b.txt"


def mined(files, where, out, **options):
    model = setup_model(where, parse("full"), {})
    return mine_files(*files, out, where=where, model=model, options=Options(precision="fp32", **options))


def test_shared_sentences_are_the_best_pairs(files, small_workspace, tmp_path):
    found = mined(files, small_workspace, tmp_path / "pairs.tsv", top=5)
    rows = [line.split("\t") for line in (tmp_path / "pairs.tsv").read_text().splitlines()]
    assert all(source == target for _, _, _, source, target in rows)
    assert sorted((int(a), int(b)) for _, a, b, _, _ in rows) == [(1, 5), (2, 4), (3, 3), (4, 2), (5, 1)]
    scores = [float(row[0]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert found.written == 5
    assert found.sources == {"sentences": 6, "repeated": 1, "blank": 1}
    assert found.search == "exact"
    report = json.loads((tmp_path / "pairs.tsv.json").read_text())
    assert report["columns"] == ["score", "source line", "target line", "source", "target"]
    assert report["vectors"].endswith("hidden_states[2], mean pooling, fp32")


def test_vectors_are_kept_and_the_threshold_can_change(files, small_workspace, tmp_path):
    first = mined(files, small_workspace, tmp_path / "pairs.tsv")
    model = setup_model(small_workspace, parse("full"), {})
    model = mining.Model(model.name, model.key, lambda: pytest.fail("loaded again"))
    options = Options(precision="fp32", threshold=1e9)
    again = mine_files(*files, tmp_path / "none.tsv", where=small_workspace, model=model, options=options)
    assert again.candidates == first.candidates
    assert (tmp_path / "none.tsv").read_text() == ""


def test_refusals(files, small_workspace, tmp_path):
    with pytest.raises(ConfigError, match="layer 9 of a model with 4 layers"):
        mined(files, small_workspace, tmp_path / "out", layer=9)
    with pytest.raises(ConfigError, match=r'search "exactly" is not known; choose exact or IVF'):
        Options(search="exactly")
    with pytest.raises(DataError, match="no such file"):
        mined((files[0], tmp_path / "no"), small_workspace, tmp_path / "out")
    with pytest.raises(ConfigError, match="needs nli, which has not been trained"):
        plan_mining("nli > target", where=small_workspace)
