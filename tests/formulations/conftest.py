"""Trained NLI and QA models of the tiny encoder, shared by the tests of formulations."""

import pytest

from adaptrans.modeling.heads import HeadSpec
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.model import SetupModel
from adaptrans.modeling.setup.parser import parse

NLI = ("entailment", "neutral", "contradiction")


def trained(base, folder, name, kind, labels=(), method="seq_bn"):
    """An artifact with a head of its own, as a run leaves it."""
    head = HeadSpec(name, kind, labels)
    setup = "full" if method == "full" else "adapter"
    model = SetupModel.from_setup(
        base, parse(setup), target=name, head=head, method=method, parents={}, seed=3
    )
    model.save(folder, {"kind": kind})
    return read_manifest(folder).folder


@pytest.fixture(scope="session")
def nli(base, tmp_path_factory):
    return trained(base, tmp_path_factory.mktemp("nli") / "artifact", "mnli", "classification", NLI, "full")


@pytest.fixture(scope="session")
def qa(base, tmp_path_factory):
    return trained(base, tmp_path_factory.mktemp("qa") / "artifact", "squad", "span_qa", (), "full")
