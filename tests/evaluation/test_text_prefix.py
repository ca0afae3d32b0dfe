"""What is put before every text: it moves vectors, is in the key where set, and is said with the score."""

import json
from dataclasses import replace

import pytest
from support.smalldata import make_planner, make_workspace
from typer.testing import CliRunner

from adaptrans.data.encoding import rows
from adaptrans.errors import ArtifactError, ConfigError
from adaptrans.evaluation.evaluator import evaluate
from adaptrans.evaluation.inference import open_session, predict_rows
from adaptrans.modeling.backbone import identify, load_tokenizer, outlined
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.base import prefixes_of
from adaptrans.runs.training_args import EvaluationConfig, training_config
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.task_types.bitext_mining import MiningExample
from adaptrans.task_types.bitext_retrieval import BitextExample
from adaptrans.task_types.classification import ClassificationExample
from adaptrans.task_types.inputs import IGNORED
from adaptrans.task_types.multiple_choice import MultipleChoiceExample
from adaptrans.task_types.passage_ranking import RankingExample
from adaptrans.task_types.recipes import rules, text
from adaptrans.task_types.rows import Prefixes
from adaptrans.task_types.span_qa import Answer, SpanQAExample
from adaptrans.task_types.tagging import TaggingExample
from adaptrans.tasks import catalogue
from adaptrans_cli.main import app

BOTH = Prefixes("query: ", "passage: ")
SMALL = {"max_steps": 2, "batch_size": 4, "precision": "fp32", "max_length": 64}


@pytest.fixture
def planner(tiny_backbone, small_data, tmp_path):
    return make_planner(make_workspace(tiny_backbone, small_data, tmp_path / "store"))


def spec_with(planner, task, training=None, **options):
    own = replace(
        planner,
        config_for=lambda name, whole: training_config(SMALL, training or {}),
        evaluation_for=lambda name: EvaluationConfig(precision="fp32", samples=200, **options),
    )
    return own.evaluate(parse("full"), planner.workspace.task(task))[0]


def trained(planner, task, setup="adapter", **options):
    own = replace(planner, config_for=lambda name, whole: training_config(SMALL, options))
    return own.target(parse(setup), planner.workspace.task(task))[0]


def test_it_is_in_the_key_only_where_it_is_set(planner):
    plain, empty = spec_with(planner, "tatoeba"), spec_with(planner, "tatoeba", text_prefix="")
    other = spec_with(planner, "tatoeba", text_prefix="query: ")
    assert "text_prefix" not in plain.inputs
    assert plain.run.key == empty.run.key != other.run.key
    assert other.inputs["text_prefix"] == "query: "
    # A head reads texts as it was trained to.
    assert spec_with(planner, "xnli").run.key == spec_with(planner, "xnli", text_prefix="query: ").run.key
    alone, none = trained(planner, "xnli"), trained(planner, "xnli", text_prefix="")
    assert "text_prefix" not in alone.inputs
    assert not {"text_prefix", "passage_prefix"} & set(alone.inputs["config"])
    assert alone.run.key == none.run.key
    assert trained(planner, "xnli", text_prefix="query: ").run.key != alone.run.key
    # Text to fill gaps in is read as it is, in a mix too.
    mix = replace(planner, config_for=lambda name, whole: training_config(SMALL, {"text_prefix": "q: "}))
    (first, _) = mix.parents(parse("full(mlm)"))[1], None
    assert "text_prefix" not in first[0].inputs
    assert mix.parents(parse("full(mlm + nli)"))[1][0].inputs["text_prefix"] == "q: "


def test_it_is_read_by_the_encoder_and_said_below_the_table(planner):
    notes, ids = {}, {}
    for prefix in ("", "the cat: "):
        spec = spec_with(planner, "tatoeba", text_prefix=prefix)
        assert evaluate(spec)
        done = json.loads((spec.run.path / "done.json").read_text())
        notes[prefix] = next(note for note in done["notes"] if note.startswith("direction"))
        assert done["vectors"]["prefix"] == prefix
        ids[prefix] = spec.run.key
    assert notes[""].endswith("; no text prefix")
    assert notes["the cat: "].endswith("; 'the cat: ' text prefix")


def test_a_head_answers_texts_as_it_was_trained_with_them(planner):
    spec = trained(planner, "xnli", text_prefix="the cat: ")
    planned = spec_with(planner, "xnli", {"text_prefix": "the cat: "})
    assert planned.inputs["text_prefix"] == "the cat: "
    full = trained(planner, "xnli", "full", text_prefix="the cat: ")
    full.execute()
    spec = spec_with(planner, "xnli", {"text_prefix": "the cat: "})
    assert spec.run.key == planned.run.key
    assert evaluate(spec)
    done = json.loads((spec.run.path / "done.json").read_text())
    assert "xnli: text prefix 'the cat: '" in done["notes"]
    artifact = json.loads((full.run.artifact / "artifact.json").read_text())
    assert artifact["answering"]["xnli"]["text_prefix"] == "the cat: "
    session, tokenizer = open_session(spec), load_tokenizer(planner.workspace.backbone)
    examples = planner.workspace.examples(spec.task, "test", "de", None, [])[:1]
    (row,) = rows(session.encoded(examples, "de:some", planner.workspace.store.cache), [0])
    expected = tokenizer("the cat: " + examples[0].text, "the cat: " + examples[0].pair)["input_ids"]
    assert row["input_ids"] == expected
    # And so are a user's own texts.
    own = list(predict_rows(spec, [{"text": examples[0].text, "pair": examples[0].pair}]))
    named = {
        json.loads(line)["id"]: json.loads(line) for line in (spec.run.path / "predictions/de.jsonl").open()
    }
    assert own[0]["prediction"] == named[examples[0].id]["prediction"]


def test_setups_that_read_other_texts_do_not_answer_side_by_side(planner):
    plain, other = spec_with(planner, "xnli"), spec_with(planner, "xnli", {"text_prefix": "query: "})
    adapters = [replace(spec, setup=parse("adapter")) for spec in (plain, plain, other)]
    assert adapters[0].fits_beside(adapters[1])
    assert not adapters[0].fits_beside(adapters[2])


def test_few_shots_go_on_with_it(planner):
    chosen = replace(
        planner,
        config_for=lambda name, whole: training_config(SMALL, {"text_prefix": "query: "}),
        shots_for=lambda name, whole: training_config(SMALL),
    )
    values = {"extends": "xnli", "splits": {"train": {"from": ["nli.train"]}}}
    task = catalogue.resolve(values, name="xnli", known={"nli": planner.workspace.tasks["nli"]})
    evaluation, _ = chosen.few_shot(parse("full"), task, 2)
    assert evaluation.prefixes == Prefixes("query: ", "query: ")
    assert {spec.prefixes for spec in evaluation.shots.values()} == {evaluation.prefixes}


def test_it_stands_before_every_text_of_an_example():
    pair = BitextExample("1", "Haus", "house").prefixed(BOTH)
    assert (pair.text, pair.english) == ("query: Haus", "query: house")
    mined = MiningExample("1", "Haus", ("2",), (("2", "house"), ("3", "cat"))).prefixed(BOTH)
    assert (mined.text, mined.pool) == ("query: Haus", (("2", "query: house"), ("3", "query: cat")))
    assert (pair.id, mined.references) == ("1", ("2",))
    nli = ClassificationExample("1", "a", "b", None)
    assert nli.prefixed(BOTH) == ClassificationExample("1", "query: a", "query: b", None)
    assert replace(nli, pair=None).prefixed(BOTH).pair is None
    choices = MultipleChoiceExample("1", "p", ("a", "b"), 1).prefixed(BOTH)
    assert (choices.prompt, choices.choices, choices.label) == ("query: p", ("query: a", "query: b"), 1)
    asked = SpanQAExample("1", "who?", "Anna was here", (Answer("Anna", 0),))
    assert asked.prefixed(BOTH) == replace(asked, question="query: who?")
    ranked = RankingExample("1", "who?", "Anna", ("k",)).prefixed(BOTH)
    assert (ranked.query, ranked.passage) == ("query: who?", "passage: Anna")
    assert RankingExample("1", None, "Anna", ()).prefixed(BOTH).query is None


def test_every_type_with_texts_takes_it():
    takes = {name for name in TASK_TYPES if TASK_TYPES[name].takes_prefix}
    assert takes == set(TASK_TYPES) - {"mlm"}


def test_tags_stay_on_their_words(base, planner):
    tokenizer = load_tokenizer(planner.workspace.backbone)
    task = planner.workspace.task("udpos")
    example = TaggingExample("1", ("The", "cat", "sits"), (task.labels[1], task.labels[2], task.labels[3]))
    (plain,) = task.type.encode([example], tokenizer, task, 64, True)
    (given,) = task.type.encode([example.prefixed(BOTH)], tokenizer, task, 64, True)
    before = tokenizer("query:", add_special_tokens=False)["input_ids"]
    assert given["input_ids"] == [plain["input_ids"][0], *before, *plain["input_ids"][1:]]
    assert given["starts"] == [place + len(before) for place in plain["starts"]]
    assert given["token_labels"] == [IGNORED] * len(before) + plain["token_labels"]
    long = TaggingExample("1", ("cat",) * 40, (task.labels[1],) * 40).prefixed(BOTH)
    assert all(item["length"] <= 24 for item in task.type.encode([long], tokenizer, task, 24, True))
    with pytest.raises(ConfigError, match="leaves no room for words"):
        task.type.encode([example.prefixed(Prefixes("the cat " * 40))], tokenizer, task, 24, True)


def test_the_same_data_are_encoded_anew_with_a_prefix(planner):
    sizes = {}
    for prefix in ("", "the cat: "):
        spec = spec_with(planner, "tatoeba", text_prefix=prefix)
        session = open_session(spec)
        examples = planner.workspace.examples(spec.task, "test", "de", None, [])
        features = session.encoded(examples, "de:data", planner.workspace.store.cache)
        sizes[prefix] = sum(features["length"])
    assert sizes["the cat: "] > sizes[""]


def test_a_backbone_says_what_it_was_trained_with(planner, tiny_backbone, tmp_path):
    assert outlined("intfloat/multilingual-e5-base").prefixes == ("query: ", "passage: ")
    with pytest.raises(ConfigError, match="nothing is known of prefixes that"):
        _ = spec_with(planner, "tatoeba", text_prefix="backbone").inputs
    folder = tmp_path / "said"
    folder.mkdir()
    for path in tiny_backbone.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "text_prefixes": ["query: ", "passage: "]}))
    said = identify(folder)
    # Which prefixes it would like is no part of what it is.
    assert said.fingerprint == planner.workspace.backbone.fingerprint
    own = replace(planner, workspace=replace(planner.workspace, backbone=said))
    asked = spec_with(own, "tatoeba", text_prefix="backbone")
    assert asked.run.key == spec_with(own, "tatoeba", text_prefix="query: ").run.key
    assert prefixes_of(catalogue.get("lareqa"), training_config({"text_prefix": "backbone"}), said) == BOTH
    (folder / "config.json").write_text(json.dumps({**config, "text_prefixes": "query: "}))
    with pytest.raises(ArtifactError, match="text_prefixes 'query: '; write a list"):
        identify(folder)


def test_an_export_says_it(planner):
    own = rules(planner.workspace.task("xnli"), 64, BOTH)
    assert "put 'query: ', before passages 'passage: ' before every text" in text(own, plain=True)
    assert "text prefix" not in text(rules(planner.workspace.task("xnli"), 64), plain=True)


def test_mining_of_files_takes_it(planner, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("The cat sits.\nThe house is old.\n")
    given = [
        "mine",
        str(tmp_path / "a.txt"),
        str(tmp_path / "b.txt"),
        "--backbone",
        planner.workspace.backbone.name,
    ]
    given += ["--store", str(tmp_path / "mined"), "--out"]
    for name, more in (("plain", []), ("other", ["--text-prefix", "the cat: "])):
        done = CliRunner().invoke(app, [*given, str(tmp_path / name), *more])
        assert done.exit_code == 0, done.exception
    said = [json.loads((tmp_path / f"{name}.json").read_text())["vectors"] for name in ("plain", "other")]
    assert said[1] == f"{said[0]}, 'the cat: ' text prefix"
    assert len(list((tmp_path / "mined").rglob("vectors.f32"))) >= 2
