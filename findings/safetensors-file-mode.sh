#!/usr/bin/env bash
# safetensors 0.8.0: save_file gives files mode 0600, whatever the umask says.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 safetensors==0.8.0
cd "$folder"
umask 022
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from pathlib import Path

import numpy
import safetensors
from safetensors.numpy import save, save_file

tensors = {"weight": numpy.zeros(3, dtype=numpy.float32)}
save_file(tensors, "by_save_file.safetensors")
Path("by_open.safetensors").write_bytes(save(tensors))
modes = {name: oct(Path(f"{name}.safetensors").stat().st_mode & 0o777) for name in ("by_save_file", "by_open")}
same = Path("by_save_file.safetensors").read_bytes() == Path("by_open.safetensors").read_bytes()
print(f"safetensors {safetensors.__version__}, umask 022: {modes}, same bytes: {same}")
sys.exit(0 if modes == {"by_save_file": "0o600", "by_open": "0o644"} and same else 1)
PYTHON
