#!/usr/bin/env bash
# Install everything that the tests need in .venv-test, and run them. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")"
./install.sh .venv-test dev
# One thread for each process of tests, or they wait for each other.
export OMP_NUM_THREADS=1
exec .venv-test/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile "$@"
