# ruff: noqa: RET503 - a handler answers, and what it returns means nothing
"""A small server that speaks the part of the Hugging Face Hub's protocol that huggingface_hub uses.

Repositories with commits, branches, tags and large files, in memory; writes need the token. What a test
wants to see or disturb is in the attributes of `HubServer`.
"""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_" + "x" * 34
ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


class Repository:
    def __init__(self, private=False):
        self.private = private
        self.commits = {}
        self.branches = {}
        self.tags = {}
        self.pulls = []
        self.branches["main"] = self.commit({".gitattributes": ATTRIBUTES})

    def commit(self, files):
        names = json.dumps([[path, hashlib.sha1(text).hexdigest()] for path, text in sorted(files.items())])
        sha = hashlib.sha1(f"{len(self.commits)}{names}".encode()).hexdigest()
        self.commits[sha] = files
        return sha

    def resolve(self, revision):
        return (
            self.branches.get(revision)
            or self.tags.get(revision)
            or (revision if revision in self.commits else None)
        )


class HubServer(ThreadingHTTPServer):
    """Repositories by id; `log` of method and path; `before_commit` and `cut` to disturb."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = {}
        self.large = {}
        self.log = []
        self.resumed = []
        self.cut = {}
        self.before_commit = None
        self.lock = threading.Lock()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def seen(self, method, part):
        return [path for verb, path in self.log if verb == method and part in path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    # The answers

    def answer(self, status, value=None, headers=()):
        body = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers:
            self.send_header(name, text)
        if not any(name == "Content-Length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, code, status=404):
        self.answer(status, {"error": code}, [("X-Error-Code", code), ("X-Error-Message", code)])

    @property
    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    @property
    def allowed(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def handle_any(self):
        text = self.body if self.command in ("POST", "PUT", "DELETE") else b""
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        self.server.log.append((self.command, path))
        for verb, pattern, method in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in verb.split():
                with self.server.lock:
                    method(self, text, query, **match.groupdict())
                return
        self.missing("NoSuchRoute")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def repository(self, id):
        """The repository, or None after an answer that it is not there."""
        found = self.server.repositories.get(id)
        if found is None or (found.private and not self.allowed):
            self.missing("RepoNotFound", 404 if self.allowed else 401)
            return None
        if self.command in ("POST", "DELETE") and not self.allowed:
            self.answer(403, {"error": "the token may not write"})
            return None
        return found

    def commit_of(self, id, rev):
        found = self.repository(id)
        if found is None:
            return None, None
        sha = found.resolve(rev)
        if sha is None:
            self.missing("RevisionNotFound")
        return found, sha

    # The routes

    def whoami(self, text, query):
        if not self.allowed:
            return self.answer(401, {"error": "no token"})
        token = {"displayName": "t", "role": "write", "createdAt": "2026-01-01"}
        return self.answer(200, {"name": "ann", "type": "user", "auth": {"accessToken": token}})

    def validate(self, text, query):
        content = json.loads(text)["content"]
        errors = [] if content.startswith("---\n") else [{"message": "no metadata"}]
        self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def create(self, text, query):
        if not self.allowed:
            return self.answer(401, {"error": "no token"})
        values = json.loads(text)
        id = f"{values.get('organization') or 'ann'}/{values['name']}"
        if id in self.server.repositories:
            return self.answer(409, {"error": "there is one", "url": f"{self.server.endpoint}/{id}"})
        self.server.repositories[id] = Repository(bool(values.get("private")))
        return self.answer(200, {"url": f"{self.server.endpoint}/{id}", "name": id})

    def models(self, text, query):
        author, tags = query.get("author", [""])[0], query.get("filter", [])
        found = []
        for id, repository in self.server.repositories.items():
            card = self.card(repository)
            visible = not repository.private or self.allowed
            if visible and id.startswith(f"{author}/") and set(tags) <= set(card.get("tags", [])):
                found.append({"id": id, "modelId": id, "tags": card["tags"], "cardData": card})
        self.answer(200, found)

    def card(self, repository):
        import yaml

        text = repository.commits[repository.branches["main"]].get("README.md", b"").decode()
        return yaml.safe_load(text.split("---")[1]) if text.startswith("---") else {}

    def info(self, text, query, id, rev="main"):
        found, sha = self.commit_of(id, rev)
        if sha:
            siblings = [{"rfilename": path} for path in sorted(found.commits[sha])]
            self.answer(200, {"id": id, "modelId": id, "sha": sha, "siblings": siblings, "tags": []})

    def refs(self, text, query, id):
        found = self.repository(id)
        if found:
            tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": s} for n, s in found.tags.items()]
            heads = [
                {"name": n, "ref": f"refs/heads/{n}", "targetCommit": s} for n, s in found.branches.items()
            ]
            self.answer(200, {"tags": tags, "branches": heads, "converts": []})

    def tree(self, text, query, id, rev):
        found, sha = self.commit_of(id, rev)
        if sha:
            files = [
                {"type": "file", "path": path, "size": len(value), "oid": hashlib.sha1(value).hexdigest()}
                for path, value in sorted(found.commits[sha].items())
            ]
            self.answer(200, files)

    def preupload(self, text, query, id, rev):
        _, sha = self.commit_of(id, rev)
        if sha:
            files = [
                {
                    "path": item["path"],
                    "uploadMode": "lfs" if item["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for item in json.loads(text)["files"]
            ]
            self.answer(200, {"files": files})

    def batch(self, text, query, id):
        objects = []
        for item in json.loads(text)["objects"]:
            upload = {"href": f"{self.server.endpoint}/large/{item['oid']}", "header": {}}
            new = item["oid"] not in self.server.large
            objects.append({**item, **({"actions": {"upload": upload}} if new else {})})
        self.answer(200, {"transfer": "basic", "objects": objects})

    def upload(self, text, query, oid):
        if self.server.cut.pop("upload", None):
            return self.answer(403, {"error": "the link has run out"})
        if hashlib.sha256(text).hexdigest() != oid:
            return self.answer(400, {"error": "other bytes"})
        self.server.large[oid] = text
        return self.answer(200)

    def commit(self, text, query, id, rev):
        found, sha = self.commit_of(id, rev)
        if not sha:
            return None
        if self.server.before_commit:
            self.server.before_commit(found)
            sha = found.resolve(rev)
        lines = [json.loads(line) for line in text.splitlines()]
        files = dict(found.commits[sha])
        for line in lines:
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit", sha) != sha:
                return self.answer(412, {"error": "A commit has happened since."})
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                files.pop(value["path"])
        made = found.commit(files)
        if "create_pr" in query:
            found.pulls.append(made)
        else:
            found.branches[rev] = made
        url = f"{self.server.endpoint}/{id}/commit/{made}"
        self.answer(
            200,
            {
                "commitUrl": url,
                "commitOid": made,
                "pullRequestUrl": f"{self.server.endpoint}/{id}/discussions/1",
            },
        )

    def branch(self, text, query, id, name):
        found = self.repository(id)
        if found:
            taken = name in found.branches
            found.branches.setdefault(name, found.branches["main"])
            self.answer(409 if taken else 200, {})

    def tag(self, text, query, id, rev):
        found, sha = self.commit_of(id, rev)
        if sha:
            name = json.loads(text)["tag"]
            if name in found.tags:
                return self.answer(409, {"error": "Tag reference exists already"})
            found.tags[name] = sha
            self.answer(200, {})

    def untag(self, text, query, id, rev):
        found = self.repository(id)
        if found:
            found.tags.pop(rev, None)
            self.answer(200, {})

    def file(self, text, query, id, rev, path):
        found, sha = self.commit_of(id, rev)
        if not sha:
            return None
        value = found.commits[sha].get(path)
        if value is None:
            return self.missing("EntryNotFound")
        start = 0
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if asked:
            start = int(asked[1])
            self.server.resumed.append((path, start))
        headers = [
            ("X-Repo-Commit", sha),
            ("ETag", f'"{hashlib.sha256(value).hexdigest()}"'),
            ("Accept-Ranges", "bytes"),
        ]
        if asked:
            headers.append(("Content-Range", f"bytes {start}-{len(value) - 1}/{len(value)}"))
        stop = self.server.cut.get(path) if self.command == "GET" else None
        if stop is not None:
            # The connection breaks after so many bytes, once.
            del self.server.cut[path]
            headers.append(("Content-Length", str(len(value) - start)))
            self.close_connection = True
            return self.answer(206 if asked else 200, value[start : start + stop], headers)
        headers.append(("Content-Length", str(len(value) - start)))
        return self.answer(206 if asked else 200, value[start:], headers)


ID = r"(?P<id>[^/]+/[^/]+)"
ROUTES = [
    ("GET", "/api/whoami-v2", Handler.whoami),
    ("POST", "/api/validate-yaml", Handler.validate),
    ("POST", "/api/repos/create", Handler.create),
    ("GET", "/api/models", Handler.models),
    ("GET", f"/api/models/{ID}", Handler.info),
    ("GET", f"/api/models/{ID}/revision/(?P<rev>.+)", Handler.info),
    ("GET", f"/api/models/{ID}/refs", Handler.refs),
    ("GET", f"/api/models/{ID}/tree/(?P<rev>.+)", Handler.tree),
    ("POST", f"/api/models/{ID}/preupload/(?P<rev>.+)", Handler.preupload),
    ("POST", f"/api/models/{ID}/commit/(?P<rev>.+)", Handler.commit),
    ("POST", f"/api/models/{ID}/branch/(?P<name>.+)", Handler.branch),
    ("POST", f"/api/models/{ID}/tag/(?P<rev>.+)", Handler.tag),
    ("DELETE", f"/api/models/{ID}/tag/(?P<rev>.+)", Handler.untag),
    ("POST", rf"/{ID}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT", "/large/(?P<oid>[0-9a-f]{64})", Handler.upload),
    ("GET HEAD", f"/{ID}/resolve/(?P<rev>[^/]+)/(?P<path>.+)", Handler.file),
]
