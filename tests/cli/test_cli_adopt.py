import json

import torch
from typer.testing import CliRunner

from adaptrans_cli.main import app


def test_an_adapter_of_the_plain_library_is_adopted_and_trained_upon(cli):
    from adapters import XLMRobertaAdapterModel

    torch.manual_seed(3)
    model = XLMRobertaAdapterModel.from_pretrained(cli.where[1])
    for name, config in (("sst-2", "seq_bn"), ("en", "seq_bn_inv[reduction_factor=2]")):
        model.add_adapter(name, config=config)
        model.save_adapter(str(cli.folder / name), name, with_head=False, use_safetensors=True)
    place = ["--backbone", cli.where[1], "--store", str(cli.folder / "store")]
    answer = CliRunner().invoke(app, ["adopt", str(cli.folder / "sst-2"), *place, "--json"])
    assert answer.exit_code == 0, answer.output
    adopted = json.loads(answer.stdout)
    assert adopted["name"] == f"sst-2#{adopted['run'].rpartition('-')[2]}"
    shown = CliRunner().invoke(app, ["adopt", str(cli.folder / "en"), *place, "--language", "en"]).stdout
    assert "seq_bn_inv[reduction_factor=2]; setups call it {lang}" in shown
    few = ["--max-steps", "1", "--device", "cpu", "--tasks", str(cli.folder / "tasks"), "--json"]
    for setup in (f"{adopted['name']} > target", f"{cli.folder}/sst-2 > target", "{lang} > target"):
        answer = CliRunner().invoke(app, ["target", "xnli", "--setup", setup, *cli.where, *few])
        assert answer.exit_code == 0, answer.output
    assert len(list((cli.folder / "store" / "runs" / "adopted").iterdir())) == 1
