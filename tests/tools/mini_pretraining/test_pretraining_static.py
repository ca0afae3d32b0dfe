import shutil

import numpy as np
import pytest
import torch
from mini_pretraining import checkpoint, journal, network, run, static
from mini_pretraining.config import parse

from adaptrans.errors import ArtifactError, ConfigError, TrainingError

STATIC = {
    "steps": 40,
    "sentences": {"count": 16},
    "words": {"count": 8},
    "contexts": {"count": 16},
}


@pytest.fixture
def plan(values):
    return parse({**values, "static": STATIC, "steps": 2, "save_every": 1}, "tiny")


def embeddings(model) -> torch.Tensor:
    return model.roberta.embeddings.word_embeddings.weight


def test_stage_brings_translations_together(shared, plan):
    _, _, tokenizer, data = shared
    model = network.make(plan, tokenizer.get_vocab_size())
    drawn = static.draws(data, plan)
    assert list(drawn) == ["sentences", "words", "contexts"]
    stage = static.start(model)
    losses = [static.step_once(stage, drawn, data.special, plan) for _ in range(40)]
    assert losses[-1]["sentences"] < 0.5 * losses[0]["sentences"]
    assert losses[-1]["words"] < losses[0]["words"]
    static.put(stage, model, 0.1)
    assert float(embeddings(model).detach().std(dim=1).mean()) == pytest.approx(0.1, rel=0.02)
    assert embeddings(model).mean(dim=1).abs().max() < 1e-5


def test_pooled_equals_the_mean_of_the_framed_text(shared, plan):
    data = shared[3]
    rows = torch.randn(data.special.vocabulary, 8)
    found = static.draws(data, plan)
    bags = [draw(np.random.default_rng(3)) for draw in found.values()]
    for vectors, held in zip(static.pooled(rows, bags, data.special), bags, strict=True):
        first = [data.special.start, *held.ids[: held.offsets[1]].tolist(), data.special.end]
        assert torch.allclose(vectors[0], rows[first].mean(0), atol=1e-5)
        assert len(vectors) == len(held.offsets) - 1


class Killed(Exception):
    pass


def killed_at(monkeypatch, step: int):
    original = static.step_once

    def step_once(stage, *arguments):
        if stage.step == step:
            raise Killed
        return original(stage, *arguments)

    monkeypatch.setattr(static, "step_once", step_once)


def test_stage_killed_and_resumed_equals_the_undisturbed(tmp_path, text_folder, plan, monkeypatch):
    straight = run.prepare(plan, text_folder, tmp_path / "a")
    run.train(straight, quiet=True)
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a" / run.TOKENIZER, tmp_path / "b")
    with monkeypatch.context() as patched:
        killed_at(patched, 23)
        ticks = iter(range(10_000))
        with pytest.raises(Killed):
            run.train(
                run.prepare(plan, text_folder, tmp_path / "b"), quiet=True, clock=lambda: next(ticks) / 4
            )
    assert (tmp_path / "b" / static.STATE).is_file()
    assert checkpoint.latest(tmp_path / "b") is None
    again = run.prepare(plan, text_folder, tmp_path / "b")
    run.train(again, quiet=True)
    assert not (tmp_path / "b" / static.STATE).exists()
    for one, two in zip(straight.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, two)
    for name, value in straight.average.items():
        assert torch.equal(value, again.average[name])


def test_interrupt_keeps_the_place_in_the_stage(tmp_path, text_folder, plan, monkeypatch):
    original = static.step_once

    def step_once(stage, *arguments):
        if stage.step == 5:
            raise KeyboardInterrupt
        return original(stage, *arguments)

    going = run.prepare(plan, text_folder, tmp_path)
    monkeypatch.setattr(static, "step_once", step_once)
    run.train(going, quiet=True)
    stage = static.start(going.model)
    static.restore(stage, tmp_path)
    assert stage.step == 5


def test_damaged_state_names_the_file(tmp_path, shared, plan):
    (tmp_path / static.STATE).write_bytes(b"no tensors")
    stage = static.start(network.make(plan, shared[2].get_vocab_size()))
    with pytest.raises(ArtifactError, match=r"static\.safetensors.*delete it to begin the stage anew"):
        static.restore(stage, tmp_path)


def test_stage_is_logged(tmp_path, text_folder, plan, monkeypatch):
    monkeypatch.setattr(static, "LOG_EVERY", 20)
    run.train(run.prepare(plan, text_folder, tmp_path), quiet=True)
    logged = [record for record in journal.read(tmp_path) if "static" in record]
    assert [record["static"] for record in logged] == [20, 40]
    assert set(logged[0]["losses"]) == {"sentences", "words", "contexts"}


def test_loss_that_is_not_a_number(shared, plan):
    stage = static.start(network.make(plan, shared[2].get_vocab_size()))
    stage.embeddings.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"static stage, step 0.*lower static\.rate"):
        static.step_once(stage, static.draws(shared[3], plan), shared[3].special, plan)


def test_not_together_with_a_trained_model(values):
    further = {key: value for key, value in values.items() if key not in ("model", "tokenizer")}
    with pytest.raises(ConfigError, match="which static: would replace"):
        parse({**further, "from": "somewhere", "static": STATIC}, "tiny")
