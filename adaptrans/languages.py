"""Languages by code: names, family, script, resource class, whether XLM-R saw them. Torch-free.

The table is `languages.tsv`. Families and genera follow WALS, scripts are ISO
15924 codes. An empty cell means not known for certain.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adaptrans.errors import UnknownNameError

_TABLE = Path(__file__).with_name("languages.tsv")


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    Args:
        code: ISO 639-1 code, or ISO 639-3 where there is none in use: the code tasks use.
        iso3: ISO 639-3 code; for a macrolanguage its own (`zho`).
        others: Other codes in use, such as Tatoeba's `cmn` or a second ISO 639-1 code.
        name: English name.
        own_name: The language's name for itself.
        family: Language family.
        genus: Genus within the family.
        script: ISO 15924 code of the usual script.
        resource_class: 0 (left behind) to 5 (winners), None if not known.
            Source: Joshi et al. 2020, arXiv 2004.09095; outside XTREME-R their list lang2tax.txt by its
            names, as repeated in github.com/MaLA-LM/LangResourceAtlas.
        in_xlmr: Whether it is one of the 100 languages of XLM-R's CC-100.
            Source: Conneau et al. 2020, arXiv 1911.02116, appendix A.
        cc100_gib: Gigabytes (2^30) of its plain text in XLM-R's CC-100, romanised text apart, None if none.
            Source: the same, table 6, with Swedish as its authors corrected it (85.0 for 12.1; see
            github.com/mayhewsw/multilingual-data-stats); Chinese and Burmese are sums of two rows.
    """

    code: str
    iso3: str
    others: tuple[str, ...]
    name: str
    own_name: str
    family: str
    genus: str
    script: str
    resource_class: int | None
    in_xlmr: bool
    cc100_gib: float | None

    @property
    def codes3(self) -> tuple[str, ...]:
        """Every three-letter code of the language, ISO 639-3 first."""
        return (self.iso3, *(code for code in self.others if len(code) == 3))


@cache
def table() -> dict[str, Language]:
    """All languages by their `code`, in the order of the table."""
    with _TABLE.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {row["code"]: _language(**row) for row in rows}


def _language(others: str, resource_class: str, xlmr: str, cc100_gib: str, **texts: str) -> Language:
    return Language(
        others=tuple(code for code in others.split(",") if code),
        resource_class=int(resource_class) if resource_class else None,
        in_xlmr=xlmr == "yes",
        cc100_gib=float(cc100_gib) if cc100_gib else None,
        **texts,
    )


@cache
def _by_any_code() -> dict[str, Language]:
    found: dict[str, Language] = {}
    for language in table().values():
        for code in (language.code, language.iso3, *language.others):
            found.setdefault(code, language)
    return found


def get(code: str) -> Language:
    """The language of a two- or three-letter code.

    Raises:
        UnknownNameError: If no language has the code; the nearest is suggested.

    Example:
        >>> get("sw").name, get("cmn").code, get("yo").in_xlmr
        ('Swahili', 'zh', False)
    """
    try:
        return _by_any_code()[code]
    except KeyError:
        found = meant(code)
        named = found is not None and found.name.lower() == code.lower()
        remedy = f'the code of {code} is "{found.code}"' if named and found else None
        raise unknown("language", code, _by_any_code(), remedy=remedy) from None


_FORMER = {
    "in": "id", "ji": "yi", "jw": "jv", "mo": "ro",
    "alb": "sq", "arm": "hy", "baq": "eu", "bur": "my", "chi": "zh", "cze": "cs", "dut": "nl", "fre": "fr",
    "geo": "ka", "ger": "de", "gre": "el", "ice": "is", "mac": "mk", "may": "ms", "per": "fa", "rum": "ro",
    "slo": "sk", "wel": "cy",
}  # fmt: skip
"""Codes withdrawn from ISO 639-1, and the bibliographic ones of ISO 639-2; no task has any of them.

Source: the ISO 639-2 registration authority, www.loc.gov/standards/iso639-2/php/code_changes.php.
"""

# A language and what may follow it: a script (FLORES's deu_Latn), a region (pt_BR, es-419), an encoding.
_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z]{4})?(?:[-_](?:[A-Z]{2}|\d{3}))?(?:\.[A-Za-z0-9-]+)?\Z")


def meant(text: str) -> Language | None:
    """The language that a user means by any code of ISO 639, a locale, a code of FLORES or its English name.

    Example:
        >>> [meant(text).code for text in ("pes", "iw", "ger", "pt_BR", "deu_Latn", "zh-Hans-CN", "Thai")]
        ['fa', 'he', 'de', 'pt', 'de', 'zh', 'th']
        >>> meant("de-en"), meant("xyz")
        (None, None)
    """
    for language in table().values():
        if language.name.lower() == text.strip().lower():
            return language
    match = _LOCALE.match(text.strip())
    if match is None:
        return None
    code = match[1].lower()
    return _by_any_code().get(code) or _by_any_code().get(_FORMER.get(code, ""))


def unknown(noun: str, text: str, known: Iterable[str], *, remedy: str | None = None) -> UnknownNameError:
    """The error for a code that is not among some codes: it names the one that is meant, if any is.

    Codes are never guessed by their letters where they are those of a language: `pes` is not `es`.

    Args:
        noun: What the codes stand for.
        text: What the user wrote.
        known: The codes, such as the languages of a task.
        remedy: What else to do.

    Example:
        >>> print(unknown("language", "iw", ["de", "he", "vi"]))
        unknown language "iw"; did you mean "he"?
        >>> print(unknown("language", "pes", ["de", "es"]))
        unknown language "pes"; choose from de, es (pes is Persian)
    """
    codes, language = list(known), meant(text)
    if language is None:
        return UnknownNameError(noun, text, codes, remedy=remedy)
    own = (language.code, language.iso3, *language.others)
    near = next((code for code in own if code in codes), "")
    told = remedy if near else f"{text} is {language.name}" + (f"; {remedy}" if remedy else "")
    return UnknownNameError(noun, text, codes, remedy=told, near=near)
