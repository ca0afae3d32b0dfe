"""Cross-lingual transfer with intermediate tasks and adapters.

The commands are functions of the same names:

    >>> import adaptrans
    >>> sorted(adaptrans.__all__)[:4]
    ['AdaptransError', 'add_head', 'adopt', 'compare']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from adaptrans.errors import AdaptransError

if TYPE_CHECKING:
    from adaptrans.api import (
        add_head,
        adopt,
        compare,
        evaluate,
        intermediate,
        language,
        mine,
        predict,
        run,
        target,
    )
    from adaptrans.experiments.commands import workspace
    from adaptrans.exporting.transformers import export

__all__ = [
    "AdaptransError",
    "add_head",
    "adopt",
    "compare",
    "evaluate",
    "export",
    "intermediate",
    "language",
    "mine",
    "predict",
    "run",
    "target",
    "workspace",
]

_PLACES = {"export": "adaptrans.exporting.transformers", "workspace": "adaptrans.experiments.commands"}


def __getattr__(name: str) -> Any:
    """Import the functions of the API when they are first used."""
    if name in __all__:
        return getattr(import_module(_PLACES.get(name, "adaptrans.api")), name)
    raise AttributeError(f"module 'adaptrans' has no attribute {name!r}")
