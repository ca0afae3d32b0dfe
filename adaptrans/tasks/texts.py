"""What may come out of JSON and parquet and is no usable text, and JSON that is none. Torch-free."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adaptrans.errors import DataError

# Escapes that can make a NUL or half a character; most texts have none, and are not looked through.
_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


def parsed_json(
    text: str,
    path: Path,
    line: int | None = None,
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """The value of a JSON text.

    Args:
        text: The text.
        path: Its file, for messages.
        line: Its line, where it is not the whole file.
        pairs: What makes an object of its keys and values.

    Raises:
        DataError: If it is not valid, with the line and column.
    """
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        message = f"not valid JSON: {error.msg} at column {error.colno}"
        raise DataError(message, path, line or error.lineno) from None
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits, or thousands of brackets.
        raise DataError(f"not valid JSON: {error}", path, line or 1) from None


def may_be_damaged(text: str) -> bool:
    """Whether a JSON text has escapes for which `damage` should be asked.

    Example:
        >>> may_be_damaged('{"a": "b"}'), may_be_damaged('{"a": "\\\\u0000"}')
        (False, True)
    """
    return _ESCAPE.search(text) is not None


def damage(value: Any) -> str | None:
    """What is wrong with a text, or with the texts inside lists and mappings; None if nothing is.

    Example:
        >>> damage({"words": ["good", "bad\\0"]}), damage(["good", 1, None])
        ('holds a NUL character', None)
    """
    if isinstance(value, str):
        if "\0" in value:
            return "holds a NUL character"
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            return f"holds {value[error.start]!a}, which is half a character"
        return None
    inside: Any = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | list | tuple):
        return None
    return next(filter(None, map(damage, inside)), None)
