"""The commands of `adaptrans hub`, as the how-to shows them."""

import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from adaptrans.errors import ArtifactError
from adaptrans.hub.verification.checks import REASONS

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs/how-to/share.md"


@pytest.fixture
def command(trained, tmp_path, monkeypatch, tiny_backbone):
    """`command("push", ...)`: output of a command in a folder of its own, `code=` its exit code."""
    from adaptrans_cli.main import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments, code=0):
        arguments = [str(tiny_backbone) if item == "BASE" else item for item in map(str, arguments)]
        done = CliRunner().invoke(app, ["hub", *arguments], catch_exceptions=True)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stdout

    return run


def test_the_commands_of_the_how_to(command, trained):
    store = ("--store", trained.store.root)
    lines = re.findall(r"^adaptrans hub (.+)$", HOW_TO.read_text(encoding="utf-8"), re.MULTILINE)
    local = [
        line.replace("2c705bd48071", trained.target.key).split() for line in lines if "hf://" not in line
    ]
    assert {line[0] for line in local} == {"push", "list", "show", "verify", "pull"}
    for line in local:
        more = store if line[0] == "push" else ("--store", "other") if line[0] == "pull" else ()
        out = command(*line, *more)
        assert out
    again = ("push", trained.target.name, "shared/xnli-stack", "--license", "apache-2.0", *store)
    assert "already there: xnli-stack@v1" in command(*again)


def test_json_of_every_command(command, trained):
    store = ("--store", trained.store.root)
    pushed = json.loads(command("push", trained.target.path, "hub/stack", *store, "--json"))
    assert (pushed["name"], pushed["version"], pushed["new"]) == ("stack", 1, True)
    assert len(pushed["parents"]) == 1
    rows = json.loads(command("list", "hub", "--json"))
    assert {row["task"] for row in rows} == {"nli@1", "xnli@1"}
    shown = json.loads(command("show", "hub/stack", "--json"))
    assert shown["manifest"] == pushed["manifest"]
    assert json.loads(command("verify", "hub/stack", "--json")) == {
        "address": "hub/stack",
        "sound": True,
        "refusals": [],
    }
    pulled = json.loads(command("pull", "hub/stack", "--store", "other", "--backbone", "BASE", "--json"))
    assert (pulled["key"], pulled["new"]) == (trained.target.key, True)
    assert command("verify", pulled["folder"]).strip().endswith("is sound")


def test_verify_explains_and_ends_with_1(command, trained):
    command("push", trained.nli.key, "hub/nli", "--store", trained.store.root)
    (weights,) = Path("hub").rglob("adapter.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    out = command("verify", "hub/nli", code=1)
    assert "[hash] adapters/nli/adapter.safetensors" in out
    assert REASONS["hash"] in out
    with pytest.raises(ArtifactError, match="see adaptrans hub verify; nothing of it was loaded"):
        command("pull", "hub/nli", "--store", "other")


def test_a_size_limit_is_kept(command, trained):
    command("push", trained.nli.key, "hub/nli", "--store", trained.store.root)
    with pytest.raises(ArtifactError, match=r"\[size\] manifest.json: claims \d+ bytes, the limit is 10"):
        command("pull", "hub/nli", "--store", "other", "--max-size", "0.00000001")


def test_a_foreign_adapter_is_pulled(command, hub_server, tiny_backbone, tmp_path):
    from adapters import AutoAdapterModel
    from support.hub_server import Repository

    model = AutoAdapterModel.from_pretrained(str(tiny_backbone))
    model.add_adapter("sw", config="seq_bn_inv")
    model.save_adapter(str(tmp_path / "sw"), "sw", with_head=False)
    repository = hub_server.repositories["AdapterHub/NAME"] = Repository()
    files = {path.name: path.read_bytes() for path in (tmp_path / "sw").iterdir()}
    repository.branches["main"] = repository.commit(files)
    lines = re.findall(r"^adaptrans hub (pull hf://.+)$", HOW_TO.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) == 2
    with pytest.raises(ArtifactError, match="add --allow-bin"):
        command(*lines[0].split(), "--store", "store")
    assert "runs/language/sw.adopted" in command(*lines[1].split(), "--store", "store")


def test_a_plain_script_predicts_with_a_pulled_stack(command, trained, tiny_backbone, capsys, logits_of):
    from adaptrans.modeling.model import SetupModel
    from adaptrans.runs.store import Store

    command("push", trained.target.key, "hub/stack", "--store", trained.store.root)
    command("pull", "hub/stack", "--store", "other")
    store = Store(Path("other"))
    script = re.search(r"```python\n(.+?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert len([line for line in script.splitlines() if line and "import" not in line]) <= 10
    names = {
        "BASE": str(tiny_backbone),
        "NLI": str(store.find(trained.nli.key).artifact),
        "XNLI": str(store.find(trained.target.key).artifact),
    }
    with torch.no_grad():
        exec(script, names)
        ours = SetupModel.load(trained.target.artifact, trained.workspace.backbone)(names["inputs"])
    theirs = names["model"](**names["inputs"], head="xnli").logits
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert "tensor" in capsys.readouterr().out


def test_the_code_of_the_card_loads_the_stack(command, trained, tiny_backbone, logits_of):
    from adaptrans.runs.store import Store

    command("push", trained.nli.key, "hub/nli", "--store", trained.store.root)
    command("push", trained.target.key, "hub/stack", "--store", trained.store.root)
    command("pull", "hub/stack", "--store", "other")
    store = Store(Path("other"))
    target, nli = (store.find(run.key).artifact for run in (trained.target, trained.nli))
    text = (target / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.+?)```", text, re.DOTALL)[1]
    for name, folder in {"FOLDER_OF/nli": nli, "FOLDER": target, "BASE": tiny_backbone}.items():
        code = code.replace(name, str(folder))
    names = {}
    with torch.no_grad():
        exec(code, names)
        ids = torch.randint(4, 900, (3, 11), generator=torch.Generator().manual_seed(3))
        theirs = names["model"].eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    assert torch.allclose(theirs, logits_of(trained.target, trained.workspace.backbone), atol=1e-6)
    for note in trained.target.result()["notes"]:
        assert note in text


def test_the_pages_name_every_reason_and_key():
    from adaptrans.hub.package import Package

    reasons = (ROOT / "docs/explanation/sharing.md").read_text(encoding="utf-8").rpartition("## Reasons")[2]
    assert set(REASONS) <= {item.strip() for item in reasons.replace("\n", " ").partition(":")[2].split(",")}
    format_page = (ROOT / "docs/reference/artifact.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in format_page for name in Package.model_fields)
