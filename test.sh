#!/usr/bin/env bash
# Install everything that the tests need in .venv-test, and run them. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")"
./install.sh .venv-test dev
exec .venv-test/bin/python -m pytest "$@"
