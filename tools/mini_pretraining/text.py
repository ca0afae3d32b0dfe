"""Reading of text folders: monolingual text, parallel corpora, dictionaries [no torch].

Layout: `mono/<language>.txt.gz`, `parallel/<corpus>/<language>.gz` aligned by line and
empty where a language lacks the segment, `dictionary/<name>/<source>-<target>.tsv.gz`.
Files may also be uncompressed, without the `.gz`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adaptrans.errors import ConfigError, DataError, MissingDataError, UnknownNameError
from adaptrans.languages import unknown
from adaptrans.tasks.readers.files import read_lines
from mini_pretraining.config import SAMPLES, PretrainConfig, Text

WHOLE = "mono"
"""Name of the source of monolingual text when the configuration names no parts."""


@dataclass(frozen=True, slots=True)
class Mono:
    """Lines of one language from one source."""

    language: str
    source: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parallel:
    """A corpus of tuples: line i of each language says the same, or is empty."""

    name: str
    lines: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Word or phrase pairs of one dictionary in one direction."""

    name: str
    source: str
    target: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TextFolder:
    """All that a configuration reads."""

    mono: tuple[Mono, ...] = ()
    parallel: tuple[Parallel, ...] = ()
    dictionary: tuple[Dictionary, ...] = field(default=())


def locate(folder: Path) -> Path:
    """The text folder itself, given it or the data folder around it.

    Raises:
        MissingDataError: If neither holds text.
    """
    for candidate in (folder, folder / "text"):
        if any((candidate / part).is_dir() for part in ("mono", "parallel")):
            return candidate
    raise MissingDataError(
        f"no text in {folder}", remedy="name a folder with mono/<language>.txt.gz or parallel/<corpus>/"
    )


def _lines(path: Path) -> list[str]:
    """Lines of a text file, gzip or plain, without line ends."""
    return [line for _, line in read_lines(path)]


def _file(stem: Path) -> Path | None:
    for path in (stem.with_name(stem.name + ".gz"), stem):
        if path.is_file():
            return path
    return None


def _language(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".txt")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def known_languages(folder: Path) -> set[str]:
    """Languages that have a file in `mono/` or in a corpus of `parallel/`."""
    folders = [folder / "mono"]
    if (folder / "parallel").is_dir():
        folders += [path for path in (folder / "parallel").iterdir() if path.is_dir()]
    return {_language(path) for part in folders for path in _files(part)}


def _check_languages(folder: Path, languages: Sequence[str]) -> None:
    known = known_languages(folder)
    for language in languages:
        if language not in known:
            raise unknown("language", language, known, remedy=f"text in {folder}")


def _mono(folder: Path, language: str, text: Text) -> Iterable[Mono]:
    parts = {WHOLE: (1, None)} if text.mono is None else text.mono.get(language, {})
    path = _file(folder / "mono" / f"{language}.txt")
    if path is None:
        if text.mono is None or not parts:
            return
        raise MissingDataError(
            f"no {folder / 'mono' / language}.txt.gz", remedy=f"take {language} out of text.mono"
        )
    lines = _lines(path) if parts else []
    for source, (first, last) in parts.items():
        if (last or first) > len(lines):
            raise ConfigError(
                f"text.mono.{language}.{source}: lines {first} to {last or 'the end'}, "
                f"but {path} has {len(lines)}"
            )
        kept = tuple(line.strip() for line in lines[first - 1 : last] if line.strip())
        yield Mono(language, source, kept)


def _folder(folder: Path, part: str, name: str) -> Path:
    path = folder / part / name
    if not path.is_dir():
        known = [p.name for p in (folder / part).iterdir()] if (folder / part).is_dir() else []
        raise UnknownNameError(f"{part} source", name, known, remedy=f"folders of {folder / part}")
    return path


def _parallel(folder: Path, name: str, languages: Sequence[str]) -> Parallel:
    found: dict[str, tuple[str, ...]] = {}
    first: tuple[Path, int] | None = None
    for path in _files(_folder(folder, "parallel", name)):
        if _language(path) not in languages:
            continue
        lines = _lines(path)
        first = first or (path, len(lines))
        if len(lines) != first[1]:
            raise DataError(
                f"{len(lines)} lines, but {first[0].name} has {first[1]}: the corpus is not aligned",
                path,
                remedy="line i of every language must say the same; leave a line empty where one lacks it",
            )
        found[_language(path)] = tuple(line.strip() for line in lines)
    return Parallel(name, found)


def _dictionary(folder: Path, name: str, languages: Sequence[str]) -> Iterable[Dictionary]:
    for path in _files(_folder(folder, "dictionary", name)):
        source, _, target = path.name.removesuffix(".gz").removesuffix(".tsv").partition("-")
        if source not in languages or target not in languages:
            continue
        pairs = []
        for number, line in read_lines(path):
            columns = line.split("\t")
            if len(columns) != 2 or not all(column.strip() for column in columns):
                raise DataError(f"expected word TAB translation, found {len(columns)} columns", path, number)
            pairs.append((columns[0].strip(), columns[1].strip()))
        yield Dictionary(name, source, target, tuple(pairs))


def _samples(count: int, config: PretrainConfig) -> Parallel:
    """Fresh sentences like those of the sample suite, in the languages it has."""
    from sample_suite.unlabeled import parallel

    lines = parallel(count, seed=config.seed)
    return Parallel(SAMPLES, {name: found for name, found in lines.items() if name in config.languages})


def read(folder: Path, config: PretrainConfig) -> TextFolder:
    """Read what a configuration names, for its languages.

    Args:
        folder: A text folder, see `locate`.
        config: Languages and sources.

    Raises:
        UnknownNameError: A language or source that the folder does not have.
        DataError: A damaged file, or a corpus that is not aligned.
        ConfigError: A line range beyond the file.
        MissingDataError: A language without any text.
    """
    languages, text = config.languages, config.text
    _check_languages(folder, languages)
    mono = tuple(part for language in languages for part in _mono(folder, language, text))
    parallel = tuple(_parallel(folder, name, languages) for name in text.parallel)
    if text.samples:
        parallel += (_samples(text.samples, config),)
    dictionary = tuple(found for name in text.dictionary for found in _dictionary(folder, name, languages))
    lacking = set(languages) - {part.language for part in mono if part.lines}
    lacking -= {language for corpus in parallel for language, lines in corpus.lines.items() if any(lines)}
    if lacking:
        raise MissingDataError(
            f"no text of the sources named for {', '.join(sorted(lacking))}",
            remedy="take the language out, or add a source that has it",
        )
    return TextFolder(mono, parallel, dictionary)


def inventory(text: TextFolder) -> list[dict[str, str | int]]:
    """What is read: one row per source and language, with lines and characters.

    Example:
        >>> inventory(TextFolder(mono=(Mono("sw", "news", ("habari",)),)))
        [{'part': 'mono', 'source': 'news', 'language': 'sw', 'lines': 1, 'characters': 6}]
    """
    rows: list[dict[str, str | int]] = []

    def add(part: str, source: str, language: str, lines: Sequence[str]) -> None:
        counted = {"lines": sum(map(bool, lines)), "characters": sum(map(len, lines))}
        rows.append({"part": part, "source": source, "language": language, **counted})

    for block in text.mono:
        add("mono", block.source, block.language, block.lines)
    for corpus in text.parallel:
        for language, lines in corpus.lines.items():
            add("parallel", corpus.name, language, lines)
    for found in text.dictionary:
        words = [target for _, target in found.pairs]
        add("dictionary", found.name, f"{found.source}-{found.target}", words)
    return rows
