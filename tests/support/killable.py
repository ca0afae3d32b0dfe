"""Commands that can be killed at any moment, and that do not pay for their imports each time.

Run as `python killable.py`: loads what commands load, then obeys lines of JSON on standard input. A folder
and arguments: the command is carried out in that folder, in a process forked from here that leads a group of
its own; answers with its number. Its output is in the folder's files `out` and `err`. `null`: waits for it
and answers with how it ended.
"""

import json
import os
import sys
from pathlib import Path


def serve() -> None:
    # What a training and an evaluation import; no tensor is computed before the fork.
    import torch.utils.tensorboard  # noqa: F401

    import adaptrans.evaluation.inference
    import adaptrans.training.train  # noqa: F401

    child = 0
    for line in sys.stdin:
        asked = json.loads(line)
        if asked is None:
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        child = os.fork()
        if child:
            print(child, flush=True)
        else:
            os.setsid()
            carry_out(Path(asked["folder"]), asked["arguments"])


def carry_out(folder: Path, arguments: list[str]) -> None:
    """Carry out a command in this process, and end it."""
    code = 1
    try:
        os.chdir(folder)
        os.environ["ADAPTRANS_CACHE"] = str(folder / "cache")
        for name, number in (("out", 1), ("err", 2)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        from adaptrans_cli import main

        sys.argv = ["adaptrans", *arguments]
        main.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
