"""Where the rows of a split are: the data folder, a copy of the hub's files, or the hub. Torch-free."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from adaptrans.errors import MissingDataError, UnknownNameError
from adaptrans.languages import get as get_language
from adaptrans.tasks.readers.files import FORMATS

if TYPE_CHECKING:
    from adaptrans.tasks.schema import FileSource, HubSource, Task


UNTRIED = "(read as the hub documents it, not yet tried on the hub)"
"""What is said of a hub source that nobody has tried."""

_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.parquet\Z")


@dataclass(frozen=True)
class Located:
    """The files of one split in one language.

    Args:
        source: How they are read, defaults filled in.
        files: Each file, with the English side of a bitext beside it, in reading order.
        format: Name of the reader.
        names: What the placeholders of patterns and options stand for.
        references: The file of the reference pairs of two corpora.
    """

    source: FileSource | HubSource
    files: tuple[tuple[Path, Path | None], ...]
    format: str
    names: Mapping[str, str]
    references: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """All files, the English sides and reference pairs included."""
        return [path for pair in (*self.files, (self.references,)) for path in pair if path is not None]


def find(task: Task, split: str, language: str, data: Path | None, *, fetch: bool = False) -> Located | None:
    """The files of a split that has its own data, or None.

    Looked for in this order: original files in the data folder, the hub's
    parquet files in the data folder under `organization/name`, the local hub
    cache, and with `fetch` the hub itself.

    Raises:
        MissingDataError: With `fetch`, if the hub was asked and could not answer.
    """
    if data is not None:
        for original in task.file_sources(split):
            located = _in_folder(original, language, data)
            if located is not None:
                return located
    hub = [source for source in task.hub_sources(split) if source.has(language)]
    for source in hub:
        for root in _hub_roots(source, data):
            located = _in_repository(source, language, root)
            if located is not None:
                return located
    if fetch and not is_offline():
        for source in hub:
            located = _from_hub(source, language)
            if located is not None:
                return located
    return None


def missing(task: Task, split: str, language: str, data: Path | None) -> MissingDataError:
    """What to say when `find` finds nothing: what was looked for, and what to fetch."""
    published = task.languages_of(split)
    if language not in published:
        return MissingDataError(
            f'{task.name}.{split} has no language "{language}"', remedy=f"it has {', '.join(published)}"
        )
    definition = task.split(split)
    if definition.holdout:
        return missing(task, definition.holdout.of, language, data)
    for part in definition.parts():
        origin = task.origin(part)
        if language in origin.languages_of(part.split) and part.language in (None, language):
            first = missing(origin, part.split, language, data)
            return MissingDataError(
                f"{task.name}.{split} is read from {part.task}: {first.message}", remedy=first.remedy
            )
    names = next(_placeholders(language))
    wanted = [
        str(PurePosixPath(filled(pattern, names)))
        for source in task.file_sources(split)
        if source.has(language)
        for pattern in (*source.path, *filter(None, (source.beside, source.references)))
    ]
    remedies = []
    if wanted:
        where = f"in {data}" if data else "in a folder given with --data"
        shown = wanted[0] if len(wanted) == 1 else f"{wanted[0]} (or one of the other names of its task file)"
        remedies.append(f"put {shown} from {task.homepage} {where}")
    for source in task.hub_sources(split)[:1]:
        state = " (the hub is switched off by HF_HUB_OFFLINE)" if is_offline() else ""
        target = f" to {data / str(source.repo)}" if data else ""
        doubt = "" if source.tried else f" {UNTRIED}"
        remedies.append(f"copy {source.repo} of the Hugging Face Hub{target}{doubt}{state}")
    return MissingDataError(
        f'no data for {task.name}.{split} in "{language}"', remedy=", or ".join(remedies) or task.homepage
    )


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


_PLACEHOLDER = re.compile(r"\{(lang|lang3|script|name|lower|first|second)\}")


def filled(text: str, names: Mapping[str, str]) -> str:
    """A text with its placeholders filled in; other braces are text.

    Example:
        >>> filled("{lang}/{part}.tsv", {"lang": "de"})
        'de/{part}.tsv'
    """
    return _PLACEHOLDER.sub(lambda match: names[match[1]], text)


def _placeholders(language: str) -> Iterator[dict[str, str]]:
    """What the placeholders stand for, once per three-letter code of the language.

    {lang}, {lang3}, {script}, {name}, {lower}; of a pair such as `de-en` also {first} and {second}.
    """
    first, _, second = language.partition("-")
    pair = {"lang": language, "first": first, "second": second or first}
    try:
        known = get_language(language)
    except UnknownNameError:
        yield {**pair, "lang3": language, "script": "*", "name": language, "lower": language}
        return
    for code in known.codes3 or (language,):
        names = {"script": known.script, "name": known.name, "lower": known.name.lower()}
        yield {**pair, "lang3": code, **names}


def _filled_in(
    patterns: Iterable[str], match: Callable[[str], list[Any]], language: str
) -> Iterator[tuple[dict[str, str], list[Any]]]:
    """What the placeholders stand for where every pattern has a match, and all matches in order."""
    for names in _placeholders(language):
        found = [match(filled(pattern, names)) for pattern in patterns]
        if all(found):
            yield names, [item for matches in found for item in matches]


def _in_folder(source: FileSource, language: str, data: Path) -> Located | None:
    if not source.has(language):
        return None
    for names, paths in _filled_in(source.path, lambda pattern: _matches(data, pattern), language):
        beside: list[Path | None] = [None] * len(paths)
        if source.beside is not None:
            beside = [*_matches(data, filled(source.beside, names))]
        own = _matches(data, filled(source.references, names)) if source.references else [None]
        if len(beside) != len(paths) or not own:
            continue
        pairs = tuple(zip(paths, beside, strict=True))
        located = Located(source, pairs, str(source.format), names, own[0])
        if not source.labeled_only or _has_tags(located):
            return located
    return None


def _matches(root: Path, pattern: str) -> list[Path]:
    """Files of a pattern, plain or gzipped, sorted; of a file in both forms the plain one."""
    # A file may have brackets in its name.
    for path in (root / pattern, root / f"{pattern}.gz"):
        if path.is_file():
            return [path]
    if not any(sign in pattern for sign in "*?["):
        return []
    if (whole := Path(pattern)).is_absolute():
        root, pattern = Path(whole.anchor), whole.relative_to(whole.anchor).as_posix()
    found: dict[str, Path] = {}
    for path in [*root.glob(pattern), *root.glob(f"{pattern}.gz")]:
        if path.is_file():
            found.setdefault(path.relative_to(root).as_posix().removesuffix(".gz"), path)
    return [found[name] for name in sorted(found, key=lambda name: (PurePosixPath(name).name, name))]


def _has_tags(located: Located) -> bool:
    """Whether the first sentence of the first file has a tag."""
    options = {key: value for key, value in located.source.options.items() if key == "prefix"}
    for row in FORMATS[located.format](located.files[0][0], **options):
        return row.values is not None and any(row.values.get("tags") or ())
    return False


def hub_cache() -> Path:
    """Where the hub's client keeps what it downloaded, found without importing it."""
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if cache:
        return Path(cache)
    return Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface") / "hub"


def _hub_roots(source: HubSource, data: Path | None) -> Iterator[Path]:
    """Folders that hold a local copy of a hub repository."""
    if data is not None and (data / str(source.repo)).is_dir():
        yield data / str(source.repo)
    store = hub_cache() / f"datasets--{str(source.repo).replace('/', '--')}"
    revision = source.revision or "main"
    reference = store / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    if (store / "snapshots" / commit).is_dir():
        yield store / "snapshots" / commit


def _in_repository(source: HubSource, language: str, root: Path) -> Located | None:
    def whole(pattern: str) -> list[Path]:
        found = _matches(root, pattern)
        return found if _is_whole([path.name for path in found]) else []

    for names, paths in _filled_in(source.files, whole, language):
        return Located(source, tuple((path, None) for path in paths), "parquet", names)
    return None


def _is_whole(names: list[str]) -> bool:
    """Whether no shard of a file in several shards is absent."""
    shards = [match for match in map(_SHARD.search, names) if match]
    return not shards or len(shards) == sum(int(total) for total in {match[2] for match in shards})


def _from_hub(source: HubSource, language: str) -> Located | None:
    """Download the files of one language, if the repository has them."""
    from huggingface_hub import HfApi, hf_hub_download

    place = f"{source.repo} on the Hugging Face Hub"
    try:
        listed = HfApi().list_repo_files(str(source.repo), repo_type="dataset", revision=source.revision)
        listed = sorted(listed)
        for names, chosen in _filled_in(source.files, lambda p: fnmatch.filter(listed, p), language):
            paths = [
                hf_hub_download(str(source.repo), name, repo_type="dataset", revision=source.revision)
                for name in chosen
            ]
            return Located(source, tuple((Path(path), None) for path in paths), "parquet", names)
    except Exception as error:
        # The client raises a dozen kinds of error for "no network", "no such repository", "no right to".
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MissingDataError(
            f"{place} could not be read: {reason}",
            remedy=f"check the network, or copy its files to DATA/{source.repo}",
        ) from error
    return None
