#!/usr/bin/env bash
# transformers 5.24.0: a tokenizer.json whose tokenizer_config.json names XLMRobertaTokenizerFast is not read as
# it is. The tokenizer is built anew around its vocabulary, and the normalizer of the file is replaced.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check transformers==5.24.0
cd "$folder"
"$folder/venv/bin/python" - 2>"$folder/stderr" <<'PYTHON' || { cat "$folder/stderr" >&2; exit 1; }
import json
import sys
from pathlib import Path

import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

VOCABULARY = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁hello", -1.0), ("<mask>", 0.0)]
TEXT = "HELLO"

written = Tokenizer(models.Unigram(VOCABULARY, unk_id=3, byte_fallback=False))
written.normalizer = normalizers.Lowercase()
written.pre_tokenizer = pre_tokenizers.Metaspace()
folder = Path("tokenizer")
folder.mkdir()
written.save(str(folder / "tokenizer.json"))


def read_as(name):
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    found = transformers.AutoTokenizer.from_pretrained(folder)
    return found.encode(TEXT, add_special_tokens=False), type(found.backend_tokenizer.normalizer).__name__


own = written.encode(TEXT).ids
plain, plain_normalizer = read_as("PreTrainedTokenizerFast")
named, named_normalizer = read_as("XLMRobertaTokenizerFast")
print(f"transformers {transformers.__version__}, {TEXT!r} with a file whose normalizer is Lowercase:")
print(f"  tokenizers                        {own}")
print(f"  named PreTrainedTokenizerFast     {plain}, normalizer {plain_normalizer}")
print(f"  named XLMRobertaTokenizerFast     {named}, normalizer {named_normalizer}")
sys.exit(0 if own == plain and named != own and named_normalizer != "Lowercase" else 1)
PYTHON
