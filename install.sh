#!/usr/bin/env bash
# ./install.sh FOLDER [EXTRA]: a virtual environment with adaptrans in it, at the tested versions.
# Safe to run again: nothing is done when the environment is up to date.
set -euo pipefail
cd "$(dirname "$0")"
folder=${1:-.venv}
extra=${2:+[$2]}
stamp="$folder/adaptrans-installed"
wanted=$(cat pyproject.toml constraints.txt install.sh | cksum)$extra
if [ -x "$folder/bin/python" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi
[ -x "$folder/bin/python" ] || "${PYTHON:-python3}" -m venv "$folder"
echo "installing adaptrans and what it needs in $folder" >&2
pip() { "$folder/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
# torch first: with it there, nothing else asks for another build of it.
pip install --constraint constraints.txt torch
pip install --constraint constraints.txt --editable ".$extra"
echo "$wanted" >"$stamp"
