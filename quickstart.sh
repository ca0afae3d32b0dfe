#!/usr/bin/env bash
# Install adaptrans in .venv and run the main job on what is bundled, offline. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")"
./install.sh .venv
exec env HF_HUB_OFFLINE=1 .venv/bin/adaptrans quickstart "$@"
