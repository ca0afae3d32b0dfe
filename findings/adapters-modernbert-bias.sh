#!/usr/bin/env bash
# adapters 1.3.0 with transformers 4.57.6: adapters.init() changes what a ModernBERT computes.
# Its layer for query, key and value together has no bias; init() replaces it by one with a bias of random numbers, so
# the outputs differ before any adapter is added, and differ again with every seed. With that bias taken out they are
# equal.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    torch==2.13.0 transformers==4.57.6 adapters==1.3.0
cd "$folder"
"$folder/venv/bin/python" - 2>"$folder/stderr" <<'PYTHON' || { cat "$folder/stderr" >&2; exit 1; }
import sys

import adapters
import torch
import transformers
from transformers import ModernBertConfig, ModernBertModel

CONFIG = ModernBertConfig(
    vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2, attn_implementation="eager",
    reference_compile=False,
)  # fmt: skip
IDS = torch.tensor([[1, 5, 6, 7, 2]])


def output(model):
    with torch.no_grad():
        return model(IDS)[0]


torch.manual_seed(0)
model = ModernBertModel(CONFIG).eval()
before = output(model)
without = {name for name, layer in model.named_modules() if getattr(layer, "bias", 0) is None}
adapters.init(model)
after = output(model)
gained = [name for name in without if model.get_submodule(name).bias is not None]
largest = max(float(model.get_submodule(name).bias.detach().abs().max()) for name in gained) if gained else 0.0
for name in gained:
    model.get_submodule(name).bias = None
restored = output(model)
print(f"adapters {adapters.__version__}, transformers {transformers.__version__}")
print(f"layers that gained a bias: {', '.join(sorted(gained)) or 'none'}; its largest value {largest:.3g}")
print(f"largest difference of outputs after init(): {float((after - before).abs().max()):.3g}")
print(f"once the bias is taken out: {float((restored - before).abs().max()):.3g}")
changed = gained and float((after - before).abs().max()) > 1e-3 and torch.equal(restored, before)
sys.exit(0 if changed else 1)
PYTHON
