"""A dual encoder from training to its scores: the pool, the ranking, the submission."""

import json
import random
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from support.layouts import read_predictions

from adaptrans import benchmarks
from adaptrans.evaluation.evaluator import evaluate
from adaptrans.evaluation.inference import open_session
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.scoring import score_folder
from adaptrans.experiments.execution.base import execute
from adaptrans.experiments.plan import Plan
from adaptrans.hub.import_adapterhub import adopt
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.training_args import training_config
from adaptrans.tasks import loading

WORDS = ("cat", "mat", "library", "London", "Anna", "seven", "apples", "daughter", "opened", "sits")


def paragraphs(number, language):
    """Contexts whose sentences each repeat the words of their question."""
    rng = random.Random(number)
    found = []
    for place in range(number):
        words = [rng.sample(WORDS, 3) for _ in range(3)]
        sentences = [f"{language} {' '.join(item)}." for item in words]
        context = " ".join(sentences)
        starts = [context.index(sentence) for sentence in sentences]
        found.append(
            {
                "context": context,
                "sentences": sentences,
                "sentence_breaks": [[s, s + len(t)] for s, t in zip(starts, sentences, strict=True)],
                "qas": [
                    {
                        "id": f"q{place}-{i}",
                        "question": " ".join(words[i]),
                        "answers": [{"text": words[i][0], "answer_start": starts[i] + 3}],
                    }
                    for i in range(3)
                ],
            }
        )
    return found


@pytest.fixture
def ranked(planner, tmp_path):
    """A planner over LAReQA-like data in two languages."""
    data = tmp_path / "data"
    (data / "lareqa/xquad-r").mkdir(parents=True)
    (data / "squad").mkdir()
    for name, number, language in (
        ("squad/train-v1.1.json", 6, "xx"),
        ("lareqa/xquad-r/de.json", 2, "de"),
        ("lareqa/xquad-r/en.json", 2, "en"),
    ):
        document = {"data": [{"paragraphs": paragraphs(number, language)}]}
        (data / name).write_text(json.dumps(document))
    return replace(planner, workspace=replace(planner.workspace, data=data))


def test_from_training_to_the_score_of_the_submission(ranked):
    spec, before = ranked.evaluate(parse("adapter"), ranked.workspace.task("lareqa"))
    execute(Plan(tuple(before), ()), lambda item, place, total: None)
    results = evaluate(spec)
    assert set(results) == {"de", "en"}
    pool = "12 candidates"
    missing = "no candidates in ar, el, es, hi, ru, th, tr, vi, zh, for which there are no data"
    assert set(results["de"].notes) >= {pool, missing}
    found = read_predictions(spec.run.path / "submission", "lareqa", "passage_ranking", "de")
    assert all(sorted(ids) == sorted(found["q0-0"]) and len(set(ids)) == 12 for ids in found.values())
    labels = json.loads((spec.run.path / "labels/lareqa/test-de.json").read_text())
    assert labels["q1-2"] == ["de:1:2", "en:1:2"]
    value = SCORES["map_at_20"].compute(list(labels.values()), [found[key] for key in labels])
    assert value["map_at_20"] == results["de"].values["map_at_20"]
    rules = benchmarks.get("xtreme-r")
    scored = score_folder(rules, spec.run.path / "submission", spec.run.path / "labels").tasks["lareqa"]
    assert {code: one.values["map_at_20"] for code, one in scored.languages.items()} == {
        code: one.values["map_at_20"] for code, one in results.items()
    }
    assert len(list((spec.workspace.store.cache / "pools").iterdir())) == 1, "both languages share the pool"


def test_queries_and_passages_are_read_with_prefixes_of_their_own(ranked):
    options = training_config({"text_prefix": "the cat: ", "passage_prefix": "on the mat: ", "max_steps": 1})
    own = replace(ranked, config_for=lambda name, whole: options)
    task, kind = ranked.workspace.task("lareqa"), ranked.workspace.task("lareqa").type
    spec, before = own.evaluate(parse("adapter"), task)
    execute(Plan(tuple(before), ()), lambda item, place, total: None)
    notes = evaluate(own.evaluate(parse("adapter"), task)[0])["de"].notes
    done = json.loads((spec.run.path / "done.json").read_text())
    assert done["notes"][-1].endswith("; 'the cat: ', before passages 'on the mat: ' text prefix")
    assert "12 candidates" in notes
    session = open_session(spec)
    (pool,) = (spec.workspace.store.cache / "pools").iterdir()
    vectors = np.fromfile(pool / "vectors.f32", dtype=np.float32).reshape(12, -1)
    (first,) = islice(loading.stream_examples(task, "candidates", "de", spec.workspace.data), 1)
    told = replace(first, passage=f"on the mat: {first.passage}")
    features = kind.encode([told], session.tokenizer, task, spec.max_length, False)
    assert np.allclose(session.predictor().outputs(features)[0], vectors[0], atol=1e-5)


def test_queries_and_candidates_have_the_adapters_of_their_languages(ranked, tmp_path):
    from adapters import XLMRobertaAdapterModel

    model = XLMRobertaAdapterModel.from_pretrained(ranked.workspace.backbone.path)
    for code in ("en", "de"):
        model.add_adapter(code, config="seq_bn[reduction_factor=2,init_weights='mam_adapter']")
        for key, value in model.named_parameters():
            if f".{code}." in key:
                value.data += 0.3 if code == "en" else -0.3
        model.save_adapter(str(tmp_path / code), code, with_head=False, use_safetensors=True)
        adopt(tmp_path / code, ranked.workspace.store, ranked.workspace.backbone, language=code)
    task, keys = ranked.workspace.task("lareqa"), set()
    for policy in ("swap", "keep-source", "none"):
        spec, before = ranked.evaluate(parse(f"{{lang}} > target @ {policy}"), task)
        execute(Plan(tuple(item for item in before if not item.run.is_done), ()), lambda *_: None)
        notes = evaluate(spec)["de"].notes
        said = {"swap": "language adapter {de}", "keep-source": "language adapter {en}"}
        assert said.get(policy, "without a language adapter") in notes
        keys.add(spec.run.key)
    pools = sorted((ranked.workspace.store.cache / "pools").glob("*/vectors.f32"))
    assert len(keys) == len(pools) == len({path.read_bytes() for path in pools}) == 3


def mention(language, number, word):
    """A row of Mewsli-X's mentions in the authors' form, whose entity is called as it is mentioned."""
    text = f"{language} one. {language} {word} sits on a mat. The end."
    starts = [0, text.index(f"{language} {word}"), text.index("The end")]
    ends = [starts[1] - 1, starts[2] - 1, len(text)]
    place = text.index(word)
    return {
        "context": {
            "language": language,
            "text": text,
            "sentence_spans": [{"start": s, "end": e} for s, e in zip(starts, ends, strict=True)],
        },
        "mentions": [
            {
                "example_id": f"{language}-{number}",
                "entity_id": f"Q{number}",
                "mention_span": {"start": place, "end": place + len(word), "text": word},
            }
        ],
    }


def test_mewslix_from_training_to_the_score_of_the_submission(planner, tmp_path):
    folder = tmp_path / "data/mewslix"
    folder.mkdir(parents=True)
    entities = [
        {"entity_id": f"Q{number}", "title": word, "description": f"{word} is {word}."}
        for number, word in enumerate(WORDS)
    ]
    english = [mention("en", number, word) for number, word in enumerate(WORDS)]
    files = {
        "candidate_set_entities": entities,
        "wikinews_mentions-test": [
            mention(language, number, word) for language in ("de", "ta") for number, word in enumerate(WORDS)
        ],
        "wikipedia_pairs-train": [
            {
                "contextual_mention": {"context": row["context"], "mention": row["mentions"][0]},
                "entity": entity,
            }
            for row, entity in zip(english, entities, strict=True)
        ],
    }
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    here = replace(planner, workspace=replace(planner.workspace, data=tmp_path / "data"))
    spec, before = here.evaluate(parse("adapter"), here.workspace.task("mewslix"))
    # One file for all languages: those that have no mention in it would be told so.
    spec = replace(spec, languages=("de", "ta"))
    execute(Plan(tuple(before), ()), lambda item, place, total: None)
    results = evaluate(spec)
    scored = score_folder(
        benchmarks.get("xtreme-r"), spec.run.path / "submission", spec.run.path / "labels"
    ).tasks["mewslix"]
    for language, result in results.items():
        found = read_predictions(spec.run.path / "submission", "mewslix", "passage_ranking", language)
        assert list(found) == [f"{language}-{number}" for number in range(len(WORDS))]
        ranks = [ids.index(f"Q{key.rpartition('-')[2]}") + 1 for key, ids in found.items()]
        assert result.values["mrr_at_20"] == pytest.approx(100 * sum(1 / rank for rank in ranks) / len(ranks))
        assert scored.languages[language].values["mrr_at_20"] == result.values["mrr_at_20"]
        assert "10 candidates" in result.notes
    assert scored.mean.value == pytest.approx(sum(r.values["mrr_at_20"] for r in results.values()) / 2)
    assert sorted(scored.missing) == ["ar", "en", "es", "fa", "ja", "pl", "ro", "tr", "uk"]
