"""`python -m sample_suite`: write the sample suite, or check what is written. Torch-free."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from adaptrans.samples import DATA
from sample_suite import suite


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 1 if a check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m sample_suite", description="write the sample suite")
    parser.add_argument(
        "--out", type=Path, default=DATA, help="folder to write to (default: the package's own)"
    )
    parser.add_argument(
        "--seed", type=int, default=suite.SEED, help="seed of all draws (default: %(default)s)"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; name files that would change")
    options = parser.parse_args(arguments)
    if options.check:
        changed = suite.stale(options.out, options.seed)
        for name in changed:
            print(f"{options.out / name}.gz: differs; run python -m sample_suite", file=sys.stderr)
        return int(bool(changed))
    number, size = suite.write(options.out, options.seed)
    print(f"{number} files, {size:,} bytes, in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
