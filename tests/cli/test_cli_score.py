"""`adaptrans score` and `adaptrans mine` from the shell."""

import gzip

import pytest
from support.layouts import write_labels, write_one


@pytest.fixture
def folders(tmp_path):
    """Predictions and labels of XNLI in German and English and of Tatoeba in Thai."""
    for language in ("de", "en"):
        golds = ["neutral", "entailment", "neutral", "contradiction"]
        write_labels(tmp_path / "labels", "xnli", "classification", language, golds)
        found = ["neutral", "entailment", "neutral", "neutral"]
        write_one(tmp_path / "predictions", "xnli", "classification", language, found)
    write_labels(tmp_path / "labels", "tatoeba", "bitext_retrieval", "th", [0, 1])
    write_one(tmp_path / "predictions", "tatoeba", "bitext_retrieval", "th", [0, 0])
    return ["--predictions", str(tmp_path / "predictions"), "--labels", str(tmp_path / "labels")]


def test_score_prints_and_names_what_is_missing(cli, folders):
    found = cli.json("score", "--benchmark", "xtreme", *folders)
    assert found["tasks"]["xnli"]["languages"]["de"]["values"] == {"accuracy": 75.0}
    assert found["tasks"]["xnli"]["mean"]["value"] == 75.0
    assert len(found["tasks"]["xnli"]["missing"]) == 13
    assert found["overall"]["value"] is None
    text = cli.run("score", "--benchmark", "xtreme-r", *folders)
    assert "75.0 (part)" in text
    assert "note: pawsx" not in text
    assert "note: panx: no predictions and no labels in any language" in text
    assert "note: overall: the reference cannot compute an overall score of XTREME-R" in text


def test_score_refuses_in_one_line(cli, folders, tmp_path):
    assert 'did you mean "xtreme"?' in cli.refused("score", "--benchmark", "xtrem", *folders)
    path = tmp_path / "predictions/xnli/test-de.tsv"
    path.write_text(path.read_text() + "neutral\n")
    assert "xnli/test-de.tsv: holds 5 predictions for the 4 labels" in cli.refused("score", *folders)


def test_mine_writes_pairs_and_says_how(cli, tmp_path):
    shared = ["the cat sits", "a library in London", "seven apples"]
    (tmp_path / "a.txt").write_text("\n".join([*shared, shared[0]]) + "\n")
    (tmp_path / "b.gz").write_bytes(gzip.compress("\n".join(reversed(shared)).encode()))
    text = cli.run("mine", "a.txt", "b.gz", "--out", "pairs.tsv", *cli.where)
    assert "a.txt: 3 sentences, 1 repeated and 0 blank lines left out" in text
    assert "hidden_states[2], mean pooling" in text
    assert "exact search" in text
    rows = [line.split("\t") for line in (tmp_path / "pairs.tsv").read_text().splitlines()]
    assert {(row[3], row[4]) for row in rows} == {(line, line) for line in shared}
    (tmp_path / "c.txt").write_bytes(b"ok\n\xff\n")
    assert "c.txt:2: not UTF-8" in cli.refused("mine", "a.txt", "c.txt", "--out", "x", *cli.where)
