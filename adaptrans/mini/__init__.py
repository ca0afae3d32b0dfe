"""The bundled encoder: a small XLM-R of our own, so that the main job runs with no hub at all.

`--backbone mini` names it. The model card beside this file says what it was made of,
how, and under which license; `tools/mini_pretraining` makes it.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
"""Folder that transformers loads as XLM-R."""

LONGEST = 512
"""Pieces of its longest input, as many as of XLM-R's, base and large. Source: their `config.json`."""
