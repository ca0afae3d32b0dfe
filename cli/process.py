"""The process of one command: it begins and ends without work that nobody waits for.

Importing torch, transformers and adapters makes two million objects. Python's collector walks through
them again and again while they are made, and when the interpreter ends it takes each of them apart.
Both together took a third of the processor time of a command that imports them and does little else.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

from adaptrans.utils.devices import WHILE_IMPORTING


def run(command: Callable[[], None]) -> NoReturn:
    """Run a command, and end the process with its exit code."""
    gc.set_threshold(*WHILE_IMPORTING)
    code: object = 0
    try:
        command()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        raise
    except BaseException:
        traceback.print_exc()
        code = 1
    finish(code)


def finish(code: object) -> NoReturn:
    """End the process as `sys.exit` does, but leave its memory to the system as it is.

    Where another thread still works, Python's own way is taken, which waits for it.

    Args:
        code: What `sys.exit` takes.
    """
    main = threading.main_thread()
    others = any(thread is not main and not thread.daemon for thread in threading.enumerate())
    if others or not (code is None or isinstance(code, int)):
        sys.exit(code)  # type: ignore[arg-type]
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        # Whoever read the output is gone, as `head` is; Python ends with this code then.
        code = 120
    os._exit(code or 0)
