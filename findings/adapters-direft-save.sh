#!/usr/bin/env bash
# adapters 1.3.0: a DiReFT adapter answers differently once it was saved and loaded again.
# Its configuration has subtract_projection = False, which save_adapter leaves out of adapter_config.json;
# load_adapter then takes True. NoReFT, whose value is True, comes back as it was.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    torch==2.13.0 transformers==4.57.6 adapters==1.3.0
cd "$folder"
"$folder/venv/bin/python" - 2>"$folder/stderr" <<'PYTHON' || { cat "$folder/stderr" >&2; exit 1; }
import json
import sys
from pathlib import Path

import adapters
import torch
from adapters import DiReftConfig, NoReftConfig, RobertaAdapterModel
from transformers import RobertaConfig

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
BASE = RobertaConfig(vocab_size=50, max_position_embeddings=40, **SIZES)
IDS = torch.tensor([[0, 5, 6, 7, 2]])


def output(model):
    with torch.no_grad():
        return model(IDS)[0]


def saved_and_loaded(config, folder):
    """Largest difference of the outputs, before a hand-set False and after it, and the keys of the file."""
    torch.manual_seed(0)
    model = RobertaAdapterModel(BASE).eval()
    model.add_adapter("a", config=config)
    model.set_active_adapters("a")
    before = output(model)
    model.save_adapter(folder, "a")
    again = RobertaAdapterModel(BASE).eval()
    again.base_model.load_state_dict(model.base_model.state_dict(), strict=False)
    again.load_adapter(folder, load_as="a", set_active=True)
    after = output(again)
    for module in again.modules():
        if hasattr(module, "subtract_projection"):
            module.subtract_projection = False
    keys = json.loads(Path(folder, "adapter_config.json").read_text())["config"]
    return [float((found - before).abs().max()) for found in (after, output(again))], sorted(keys)


direft, keys = saved_and_loaded(DiReftConfig(), "direft")
noreft, _ = saved_and_loaded(NoReftConfig(), "noreft")
print(f"adapters {adapters.__version__}, largest difference of outputs after saving and loading:")
print(f"  DiReFT {direft[0]:.3g}; {direft[1]:.3g} once subtract_projection is set to False by hand")
print(f"  NoReFT {noreft[0]:.3g}")
print(f"  keys of DiReFT's adapter_config.json: {', '.join(keys)}")
lost = "subtract_projection" not in keys and direft[0] > 1e-3 and direft[1] == 0 and noreft[0] == 0
sys.exit(0 if lost else 1)
PYTHON
