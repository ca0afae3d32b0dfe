"""The public language adapters of MAD-X for XLM-R, as a table. Torch-free, and nothing is fetched.

Source: the repositories of the organisation AdapterHub on the Hugging Face Hub, trained by Pfeiffer et al.
(2020, https://arxiv.org/abs/2005.00052) on Wikipedia with a bottleneck of half the width and an invertible
part, published under apache-2.0. They hold `pytorch_adapter.bin` alone.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import adaptrans
from adaptrans import languages

TABLE = Path(adaptrans.__file__).with_name("language_adapters.tsv")
METHOD = "seq_bn_inv[reduction_factor=2]"
LICENCE = "apache-2.0"


@dataclass(frozen=True, slots=True)
class LanguageAdapter:
    """One public language adapter.

    Args:
        language: Code of the language.
        backbone: The encoder that it was made for, without its organisation.
        id: Repository on the Hugging Face Hub.
    """

    language: str
    backbone: str
    id: str

    @property
    def name(self) -> str:
        """English name of the language."""
        return languages.get(self.language).name


@cache
def public_language_adapters() -> tuple[LanguageAdapter, ...]:
    """All that are known, by backbone and language.

    Example:
        >>> found = public_language_adapters()
        >>> [sum(row.backbone == name for row in found) for name in ("xlm-roberta-base", "xlm-roberta-large")]
        [29, 16]
        >>> found[0]  # doctest: +ELLIPSIS
        LanguageAdapter(language='ar', ..., id='AdapterHub/xlm-roberta-base-ar-wiki_pfeiffer')
    """
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(LanguageAdapter(**row) for row in csv.DictReader(file, delimiter="\t"))


def public_for(backbone: str) -> tuple[LanguageAdapter, ...]:
    """Those made for a backbone, by its name with or without an organisation, or folder.

    Example:
        >>> [row.language for row in public_for("FacebookAI/xlm-roberta-large")][:3]
        ['ar', 'cdo', 'en']
    """
    last = backbone.rstrip("/").rpartition("/")[2]
    return tuple(row for row in public_language_adapters() if row.backbone == last)
