"""Trained runs to share: an adapter of an intermediate task, and a target adapter on top of it, scored."""

from dataclasses import replace

import pytest
from support.smalldata import NLI, XNLI


@pytest.fixture(scope="session")
def places(tiny_backbone, small_data):
    """`places(store_folder)`: a workspace over the small data."""
    from adaptrans.modeling.backbone import identify
    from adaptrans.runs.store import Store
    from adaptrans.runs.workspace import Workspace
    from adaptrans.tasks import catalogue

    tasks = {}
    for name, values in (("nli", NLI), ("xnli", XNLI)):
        tasks[name] = catalogue.resolve(values, name=name, known=tasks)

    def make(folder):
        return Workspace(identify(tiny_backbone), small_data, Store(folder), tasks, (), "cpu")

    return make


@pytest.fixture(scope="session")
def planners():
    """`planners(workspace)`: a planner of short float32 runs."""
    from adaptrans.experiments.plan import Planner
    from adaptrans.runs.training_args import EvaluationConfig, training_config

    config = training_config({"epochs": 1, "batch_size": 8, "precision": "fp32", "max_length": 64})
    evaluation = EvaluationConfig(precision="fp32", samples=200)
    return lambda where: Planner(where, lambda task, whole: config, lambda task: evaluation)


@pytest.fixture(scope="session")
def trained(places, planners, tmp_path_factory):
    """A store with `nli > target` on xnli, trained and scored: never write into it.

    `trained.store`, `trained.nli`, `trained.target` (runs), `trained.scores` (by language).
    """
    from adaptrans.evaluation.evaluator import evaluate
    from adaptrans.modeling.setup.parser import parse

    where = places(tmp_path_factory.mktemp("trained") / "store")
    spec, before = planners(where).evaluate(parse("nli > target"), where.task("xnli"))
    runs = [item.execute() for item in before]

    class Trained:
        store, workspace = where.store, where
        nli, target = runs
        scores = evaluate(spec)

    return Trained


@pytest.fixture
def fresh(places, tmp_path):
    """A workspace with an empty store."""
    return places(tmp_path / "fresh")


@pytest.fixture(scope="session")
def rescored(planners):
    """`rescored(workspace, run)`: scores of a pulled run by language, with its predictions."""
    from adaptrans.evaluation.evaluator import evaluate
    from adaptrans.modeling.setup.parser import parse

    def make(where, run):
        config = run.config()
        planner = replace(planners(where), method=config["method"], seed=config["seed"])
        return evaluate(planner.evaluation_of(parse(config["setup"]), where.task("xnli"), run, {}))

    return make


@pytest.fixture(scope="session")
def logits_of():
    """`logits_of(run, backbone)`: what its model answers to fixed tokens."""
    import torch

    from adaptrans.modeling.model import SetupModel

    def make(run, backbone):
        ids = torch.randint(4, 900, (3, 11), generator=torch.Generator().manual_seed(3))
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        with torch.no_grad():
            return SetupModel.load(run.artifact, backbone)(batch)

    return make


@pytest.fixture
def hub_server(monkeypatch, tmp_path):
    """A Hugging Face Hub on loopback that HF_ENDPOINT and a token point to."""
    import threading

    import huggingface_hub
    from support.hub_server import TOKEN, HubServer

    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    # What huggingface_hub makes of the environment once, when it is imported; and nothing of the user's own.
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", server.endpoint)
    template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "tokens"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    huggingface_hub.utils.reset_sessions()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
