"""Documents as clients' tools write them: plain files, and the manifests of Apollo, Relay and graphql-codegen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.gateway.documents.stores.document_store import document_id

APOLLO = "apollo-persisted-query-manifest"
SUFFIXES = {".graphql", ".gql"}
HASH = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
ALIAS = re.compile(r"[A-Za-z0-9._~-]{1,200}|x-[A-Za-z0-9._~-]{0,100}:[A-Za-z0-9._~:-]{1,90}")


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A document, and where it was found. `alias` is an id that its tool gave it, other than the hash of its text."""

    text: str
    file: Path
    line: int = 1
    alias: str | None = None

    @property
    def is_file(self) -> bool:
        """Whether lines of the document are lines of the file."""
        return self.file.suffix in SUFFIXES


class UnreadableManifest(Exception):
    """A file that is no document and no manifest; the message names it, the line and the cure."""


def read_documents(paths: Iterable[Path]) -> list[FoundDocument]:
    """The documents in files and folders, in order; from folders only files of GraphQL."""
    return [found for path in paths for file in _files(path) for found in read_file(file)]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    if not files:
        raise UnreadableManifest(f"{path}: has no .graphql files; name a manifest in it by its file")
    return files


def read_file(file: Path) -> list[FoundDocument]:
    """The documents of one file."""
    try:
        text = file.read_bytes().decode()
    except UnicodeDecodeError:
        raise UnreadableManifest(f"{file}: is not UTF-8; save it as such") from None
    except OSError as error:
        raise UnreadableManifest(f"{file}: cannot be read ({error.strerror}); check the path") from None
    if file.suffix in SUFFIXES:
        return [FoundDocument(text, file)]
    try:
        manifest = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise UnreadableManifest(
            f"{file}:{line}: is neither .graphql nor JSON; name a document or a manifest"
        ) from None
    return [_found(file, text, id_, body) for id_, body in _entries(file, manifest)]


def _entries(file: Path, manifest: Any) -> Iterator[tuple[Any, Any]]:
    """Ids and texts: a list of operations is Apollo's, an object of texts by id Relay's and graphql-codegen's."""
    if not isinstance(manifest, Mapping):
        raise UnreadableManifest(
            f"{file}:1: is not a manifest; Apollo's, Relay's and graphql-codegen's are JSON objects"
        )
    if "format" not in manifest:
        yield from manifest.items()
        return
    operations = manifest.get("operations")
    if manifest["format"] != APOLLO or manifest.get("version") != 1 or not isinstance(operations, list):
        raise UnreadableManifest(
            f"{file}:1: is of another format than {APOLLO!r}, version 1; make it with Apollo's tool"
        )
    for one in operations:
        entry = one if isinstance(one, Mapping) else {}
        yield entry.get("id"), entry.get("body")


def _found(file: Path, text: str, id_: Any, body: Any) -> FoundDocument:
    if not isinstance(id_, str) or not isinstance(body, str):
        raise UnreadableManifest(
            f"{file}:1: has an entry without a string id and a string of GraphQL; make the manifest anew"
        )
    line = text[: max(text.find(json.dumps(id_)), 0)].count("\n") + 1
    hashed = HASH.fullmatch(id_)
    if hashed:
        if f"sha256:{hashed[1]}" != document_id(body):
            raise UnreadableManifest(f"{file}:{line}: {id_} is not the SHA-256 of its text; make the manifest anew")
        return FoundDocument(body, file, line)
    if not ALIAS.fullmatch(id_):
        cure = "use letters, digits and '.', '_', '~', '-', at most 200"
        raise UnreadableManifest(f"{file}:{line}: {id_[:60]!r} cannot be the id of a document; {cure}")
    return FoundDocument(body, file, line, id_)
