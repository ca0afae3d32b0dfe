"""The Hugging Face Hub: one repository for each artifact, a git tag for each version. Torch-free.

Everything goes through huggingface_hub: tokens come from its usual places, HF_ENDPOINT and HF_HUB_OFFLINE
are honoured. A version is one commit, which is whole or not there, and then its tag.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from adaptrans.errors import AdaptransError, ArtifactError
from adaptrans.hub.base import (
    Entry,
    NoPackage,
    PushOptions,
    PushResult,
    Remote,
    concurrent_push,
    name_taken,
    version_of,
)
from adaptrans.hub.model_card import LIBRARY, SUMMARY
from adaptrans.hub.package import LARGEST_TEXT, NAME, File, Package, PackageRow
from adaptrans.hub.verification.checks import Refusal, Refused

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# What the hub itself puts into every repository.
OWN_FILES = (".gitattributes",)


@contextlib.contextmanager
def _translate_errors(what: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into an error of one line with what to do."""
    import requests
    from huggingface_hub import errors

    try:
        yield
    except AdaptransError:
        raise
    except errors.OfflineModeIsEnabled:
        raise ArtifactError(f"{what}: HF_HUB_OFFLINE is set", remedy="run it without --offline") from None
    except errors.GatedRepoError as error:
        raise ArtifactError(f"{what}: {_line(error)}", remedy="ask for access on its page") from error
    except (errors.RepositoryNotFoundError, errors.LocalTokenNotFoundError) as error:
        raise ArtifactError(
            f"{what}: there is none, or it is private: {_line(error)}",
            remedy="check the name, or give a token with adaptrans hub login",
        ) from error
    except (errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise ArtifactError(f"{what}: {_line(error)}", remedy="see adaptrans hub show") from error
    except errors.HfHubHTTPError as error:
        denied = error.response is not None and error.response.status_code in (401, 403)
        remedy = "give a token that may write with adaptrans hub login" if denied else "try again later"
        raise ArtifactError(f"{what}: {_line(error)}", remedy=remedy) from error
    except (requests.exceptions.RequestException, OSError, ValueError, RuntimeError) as error:
        raise ArtifactError(
            f"{what}: {_line(error)}", remedy="check the network; the same command goes on where it stopped"
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _no_package(what: str) -> NoPackage:
    return NoPackage(
        f"{what} has no {NAME}, so it is no artifact of adaptrans",
        remedy="an adapter of the adapters library is pulled with --backbone",
    )


class HuggingFaceHub:
    """The repositories of a user or an organization.

    Args:
        place: `hf://USER`.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.user = place.removeprefix("hf://")

    @property
    def api(self) -> HfApi:
        """The client, with the token and the endpoint of the environment."""
        from huggingface_hub import HfApi

        return HfApi(library_name=LIBRARY)

    def repository(self, name: str) -> str:
        """The repository of an artifact."""
        return f"{self.user}/{name}"

    def find(self, name: str, revision: str | None) -> Entry:
        """See `Hub.find`; a branch or a commit is found too."""
        with _translate_errors(f"{self.place}/{name}"):
            tags = self._tags(name)
            if revision is None:
                versions = [number for tag in tags if (number := version_of(tag))]
                if not versions:
                    head = self.api.repo_info(self.repository(name)).siblings or ()
                    if NAME not in {item.rfilename for item in head}:
                        raise _no_package(f"{self.place}/{name}")
                    raise ArtifactError(
                        f"{self.place}/{name} has no version of an artifact",
                        remedy="push it again, which goes on, or name a branch or a commit after @",
                    )
                revision = f"v{max(versions)}"
            commit = tags.get(revision)
            if commit is None:
                commit = str(self.api.repo_info(self.repository(name), revision=revision).sha)
        same = [tag for tag, sha in tags.items() if sha == commit]
        numbers = [number for tag in same if (number := version_of(tag))]
        names = tuple(sorted(tag for tag in same if not version_of(tag)))
        return Entry(name, max(numbers, default=0), commit, None, names)

    def state(self, name: str, revision: str | None) -> Entry:
        """A state of any repository, artifact or not; that of its main branch by default."""
        with _translate_errors(f"{self.place}/{name}"):
            return Entry(name, 0, str(self.api.repo_info(self.repository(name), revision=revision).sha))

    def _tags(self, name: str) -> dict[str, str]:
        """Commits by tag."""
        refs = self.api.list_repo_refs(self.repository(name))
        return {ref.name: ref.target_commit for ref in refs.tags}

    def rows(self) -> list[PackageRow]:
        """See `Hub.rows`; one row for each repository, from the metadata of its card."""
        with _translate_errors(self.place):
            found = list(self.api.list_models(author=self.user, filter=LIBRARY, cardData=True, limit=None))
        rows = []
        for model in found:
            values = model.card_data.to_dict().get(SUMMARY) if model.card_data is not None else None
            # A repository may say of itself what it wants; what is no row is left out.
            with contextlib.suppress(ValidationError, TypeError):
                name = model.id.rpartition("/")[2]
                rows.append(PackageRow.model_validate({**values, "name": name, "version": 0, "size": 0}))  # type: ignore[dict-item]
        return sorted(rows, key=lambda row: row.name)

    def manifest(self, entry: Entry) -> bytes:
        """See `Hub.manifest`."""
        what = f"{self.place}/{entry}"
        with _translate_errors(what):
            size = next((item.size for item in self.listing(entry) if item.path == NAME), None)
            if size is None:
                raise _no_package(what)
            if size > LARGEST_TEXT:
                raise Refused(what, [Refusal("size", NAME, f"is larger than {LARGEST_TEXT} bytes")])
            path = self.api.hf_hub_download(self.repository(entry.name), NAME, revision=entry.revision)
            return Path(path).read_bytes()

    def listing(self, entry: Entry) -> list[Remote]:
        """See `Hub.listing`."""
        from huggingface_hub.hf_api import RepoFile

        with _translate_errors(f"{self.place}/{entry}"):
            found = self.api.list_repo_tree(
                self.repository(entry.name), recursive=True, revision=entry.revision
            )
            return [
                Remote(item.path, item.size)
                for item in found
                if isinstance(item, RepoFile) and item.path not in OWN_FILES
            ]

    def fetch(self, entry: Entry, file: File, folder: Path) -> None:
        """See `Hub.fetch`; huggingface_hub keeps what it has in `.cache` of the folder until it is whole."""
        if (folder / file.path).is_file():
            return
        with _translate_errors(f"{self.place}/{entry}: {file.path}"):
            self.api.hf_hub_download(
                self.repository(entry.name), file.path, revision=entry.revision, local_dir=str(folder)
            )

    def push(self, folder: Path, package: Package, how: PushOptions) -> PushResult:
        """See `Hub.push`; files that the hub has are not sent again."""
        name, hashed = package.name, package.digest()
        repository = self.repository(name)
        with _translate_errors(f"{self.place}/{name}"):
            self.api.create_repo(repository, exist_ok=True, private=how.private or None)
            if how.branch:
                self.api.create_branch(repository, branch=how.branch, exist_ok=True)
            tags = self._tags(name)
            versions = sorted(number for tag in tags if (number := version_of(tag)))
            head = self.api.repo_info(repository, revision=how.branch or "main")
            there = {item.rfilename for item in head.siblings or ()}
            same = NAME in there and self._hash(name, str(head.sha)) == hashed
            if same and (how.branch or str(head.sha) in tags.values()):
                return PushResult(self._tagged(self.find(name, str(head.sha)), how), new=False)
            if versions and not same and not (how.new_version or how.pull_request or how.branch):
                raise name_taken(name, versions[-1])
            version = versions[-1] + 1 if versions else 1
            commit = str(head.sha)
            if not same:
                made = self._commit(folder, package, head, there, how, version)
                if how.pull_request:
                    return PushResult(Entry(name, 0, made.oid, hashed), new=True, link=made.pr_url)
                commit = made.oid
            if how.branch:
                return PushResult(Entry(name, 0, commit, hashed), new=not same)
            self._tag_version(name, version, commit)
            return PushResult(self._tagged(self.find(name, f"v{version}"), how), new=True)

    def _hash(self, name: str, commit: str) -> str:
        return hashlib.sha256(self.manifest(Entry(name, 0, commit))).hexdigest()

    def _commit(
        self, folder: Path, package: Package, head: Any, there: set[str], how: PushOptions, version: int
    ) -> Any:
        """One commit with exactly the files of the package."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete
        from huggingface_hub.errors import HfHubHTTPError

        paths = [NAME, *(file.path for file in package.files)]
        operations: list[Any] = [CommitOperationAdd(path, str(folder / path)) for path in paths]
        stale = sorted(there - set(paths) - set(OWN_FILES))
        operations += [CommitOperationDelete(path) for path in stale]
        try:
            return self.api.create_commit(
                self.repository(package.name),
                operations,
                commit_message=how.message or f"{package.name}: {package.setup} on {package.task}",
                parent_commit=str(head.sha),
                revision=how.branch,
                create_pr=how.pull_request,
            )
        except HfHubHTTPError as error:
            # The branch is no longer where it was when this push began.
            if error.response is not None and error.response.status_code in (409, 412):
                raise concurrent_push(package.name, version) from error
            raise

    def _tag_version(self, name: str, version: int, commit: str) -> None:
        from huggingface_hub.errors import HfHubHTTPError

        try:
            self.api.create_tag(self.repository(name), tag=f"v{version}", revision=commit)
        except HfHubHTTPError as error:
            if error.response is None or error.response.status_code != 409:
                raise
            if self._tags(name).get(f"v{version}") != commit:
                raise concurrent_push(name, version) from error

    def _tagged(self, entry: Entry, how: PushOptions) -> Entry:
        """The version with the tag that it was pushed with, if any."""
        if how.tag is None or how.tag in entry.tags:
            return entry
        repository, tags = self.repository(entry.name), self._tags(entry.name)
        if how.tag in tags:
            former = [tag for tag, sha in tags.items() if sha == tags[how.tag] and version_of(tag)]
            self.api.delete_tag(repository, tag=how.tag)
            how.tell(f"tag {how.tag} of {entry.name} moved from {', '.join(former)} to v{entry.version}")
        self.api.create_tag(repository, tag=how.tag, revision=entry.revision)
        return replace(entry, tags=(*entry.tags, how.tag))


def login(token: str | None = None) -> str:
    """Ask for a token of the Hugging Face Hub and keep it where huggingface_hub does.

    Args:
        token: The token; asked for where None.

    Returns:
        The name of the user it belongs to.
    """
    from huggingface_hub import login as ask

    with _translate_errors("login"):
        ask(token=token, add_to_git_credential=False)
        return str(HuggingFaceHub("hf://").api.whoami()["name"])
