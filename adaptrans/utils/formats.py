"""Versions of all that is stored, in one place: of formats, and of rules by which results come about.

Raise one when what is written, or what a rule gives, changes: what was stored before is then computed again
or refused in one line, never read wrongly.
"""

ARTIFACT = 1
"""`manifest.json` of a trained artifact; another one is refused."""

PACKAGE = 2
"""What is pushed to a hub; another one is refused."""

HUB_INDEX = 2
"""Records of a hub on a file system or an object store."""

RECIPE = 5
"""Training and evaluation; part of the key of every run."""

MLM_MASKS = 2
"""Which subword tokens of a text are masked; part of the key of a language adapter."""

FEW_SHOT_DRAW = 1
"""Which examples are drawn; part of the draw itself and of the key of a few-shot run."""

SUBSET_DRAW = "hash of the place, 1"
"""Which part of the data a limit takes; part of the key of a run with a limit."""

READING = 3
"""How rows of data files become examples; part of the key of encodings."""

INTERVALS = 2
"""How the interval of a stored score was made; an older one is made anew."""

COMPARISON = 5
"""Stored tables of comparisons; an older one is computed again."""

BITEXT_SEARCH = 2
"""Stored neighbors of bitext mining; older ones are searched again."""
