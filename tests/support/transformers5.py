"""A fresh process under another version of transformers than the one that is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

VERSION = "5.24.0"


def cache() -> Path:
    """Where the package is kept between runs of the tests."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "adaptrans-tests"


def folder() -> Path:
    """A folder with transformers 5 and what it needs, without torch; made once, from PyPI.

    The test that asks for it is skipped, with the reason, where PyPI is out of reach.
    """
    place = cache() / f"transformers-{VERSION}-py{sys.version_info.major}.{sys.version_info.minor}"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        pytest.skip(f"transformers {VERSION} has no place to be kept: {error}")
    with FileLock(f"{place}.lock"):
        if (place / "transformers").is_dir():
            return place
        half = place.with_name(f".{place.name}")
        shutil.rmtree(half, ignore_errors=True)
        quiet = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
        wanted = ["--target", str(half), f"transformers=={VERSION}"]
        command = [sys.executable, "-m", "pip", "install", *quiet, *wanted]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if answer.returncode != 0:
            reason = (answer.stderr.strip().splitlines() or ["pip failed"])[-1]
            pytest.skip(f"transformers {VERSION} cannot be fetched from PyPI: {reason[:200]}")
        half.rename(place)
    return place


def run(code: str, *arguments: object, packages: Path | None = None) -> None:
    """Run Python in a process of its own.

    Args:
        code: What is run.
        *arguments: Its `sys.argv[1:]`.
        packages: Folder of packages that win over the installed ones.
    """
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    env |= {"PYTHONPATH": str(packages)} if packages else {}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert answer.returncode == 0, answer.stderr[-3000:]
