"""Adding, publishing and retiring of trusted documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import msgspec

from app.gateway.documents.publishing.checks import DocumentCheck, DocumentChecker, DocumentProblem
from app.gateway.documents.publishing.manifests import FoundDocument
from app.gateway.documents.stores.document_store import DocumentState, DocumentStore, StoredDocument, document_id


@dataclass(frozen=True, slots=True)
class DocumentOwner:
    """The owner of documents: a client, a version of its application, and a contact."""

    client: str
    version: str = ""
    contact: str = ""
    roles: tuple[str, ...] = ("partner",)


@dataclass(frozen=True, slots=True)
class LocatedProblem:
    """A problem with its location in a file."""

    location: str
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


class PublishingRefused(Exception):
    """The store was not changed, for these reasons."""

    def __init__(self, problems: Sequence[LocatedProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class DocumentPublisher:
    """Adds, publishes, retires and removes documents of a store. Each change is stored whole or not at all."""

    def __init__(self, store: DocumentStore, checker: DocumentChecker, now: Callable[[], datetime]) -> None:
        self._store = store
        self._checker = checker
        self._now = now

    async def add(self, found: Iterable[FoundDocument], owner: DocumentOwner) -> list[StoredDocument]:
        """Store documents as drafts; a known document retains its state, and its other attributes are updated."""
        since = await self._store.generation()
        known = {(one.version, one.id): one for one in await self._store.all(owner.client)}
        id_of_alias = {alias: one.id for one in known.values() for alias in one.aliases}
        problems: list[LocatedProblem] = []
        made: dict[str, StoredDocument] = {}
        for one in found:
            result = self._checker.valid(one.text)
            problems += [LocatedProblem(_location(one, problem), problem.message) for problem in result.problems]
            id_ = document_id(one.text)
            if one.alias is not None and id_of_alias.setdefault(one.alias, id_) != id_:
                cure = "is the id of another document of this client; retire that client version or make new ids"
                problems.append(LocatedProblem(_location(one), f"{one.alias} {cure}"))
            before = made.get(id_) or known.get((owner.version, id_)) or self._draft(one.text, owner)
            made[id_] = _with(before, one, owner, result)
        if problems:
            raise PublishingRefused(problems)
        await self._store.put(list(made.values()), since=since)
        return list(made.values())

    def _draft(self, text: str, owner: DocumentOwner) -> StoredDocument:
        return StoredDocument(
            id=document_id(text),
            client=owner.client,
            version=owner.version,
            text=text,
            roles=owner.roles,
            created=self._now(),
        )

    async def publish(self, selected: Callable[[StoredDocument], bool], client: str) -> list[StoredDocument]:
        """Publish the selected documents of a client, if all of them pass their checks."""
        since = await self._store.generation()
        matching = [one for one in await self._store.all(client) if selected(one)]
        problems: list[LocatedProblem] = []
        passed: list[StoredDocument] = []
        for one in matching:
            result = await self._checker.check(one)
            problems += located_problems(one, result)
            changes = {"state": DocumentState.PUBLISHED, "published": self._now(), "retires": None, "cost": result.cost}
            passed.append(msgspec.structs.replace(one, **changes))
        if problems:
            raise PublishingRefused(problems)
        await self._store.put(passed, since=since)
        return passed

    async def remove_drafts(self, selected: Callable[[StoredDocument], bool], client: str) -> list[StoredDocument]:
        """Remove the selected drafts of a client. What was published is retired instead, so that it stays known."""
        since = await self._store.generation()
        drafts = [one for one in await self._store.all(client) if selected(one) and one.state is DocumentState.DRAFT]
        await self._store.remove(drafts, since=since)
        return drafts

    async def retire(self, selected: Callable[[StoredDocument], bool], client: str, day: date) -> list[StoredDocument]:
        """Retire the selected documents of a client from a day on; until then responses announce that day."""
        since = await self._store.generation()
        matching = [
            one for one in await self._store.all(client) if selected(one) and one.state is not DocumentState.DRAFT
        ]
        retired = [msgspec.structs.replace(one, state=DocumentState.RETIRED, retires=day) for one in matching]
        await self._store.put(retired, since=since)
        return retired

    async def check(self, client: str | None, today: date) -> tuple[int, list[LocatedProblem]]:
        """Check all served documents again: their number, and their problems."""
        answered = [one for one in await self._store.all(client) if is_served(one, today)]
        return len(answered), [
            fault for one in answered for fault in located_problems(one, await self._checker.check(one))
        ]


def is_served(one: StoredDocument, today: date) -> bool:
    """Whether a document is served on that day."""
    return one.state is DocumentState.PUBLISHED or (one.retires is not None and today < one.retires)


def located_problems(one: StoredDocument, result: DocumentCheck) -> list[LocatedProblem]:
    """The problems of a stored document, located."""
    label = f"{one.client} {one.name} ({one.id[:19]})"
    return [LocatedProblem(_position(label, problem), problem.message) for problem in result.problems]


def _with(before: StoredDocument, one: FoundDocument, owner: DocumentOwner, result: DocumentCheck) -> StoredDocument:
    return msgspec.structs.replace(
        before,
        operations=result.operations,
        aliases=tuple(dict.fromkeys([*before.aliases, *([one.alias] if one.alias else [])])),
        contact=owner.contact or before.contact,
        roles=owner.roles,
    )


def _location(one: FoundDocument, problem: DocumentProblem | None = None) -> str:
    if one.is_file:
        return _position(str(one.file), problem)
    return _position(f"{one.file}:{one.line} in the document", problem) if problem else f"{one.file}:{one.line}"


def _position(label: str, problem: DocumentProblem | None) -> str:
    return f"{label}:{problem.line}:{problem.column}" if problem and problem.line else label
