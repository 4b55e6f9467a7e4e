"""Adding, publishing and retiring: what changes in the store, decided from what is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import msgspec

from app.gateway.documents.publishing.checks import Checker, Problem, Verdict
from app.gateway.documents.publishing.manifests import Found
from app.gateway.documents.stores.records import DocumentStore, State, StoredDocument, id_of


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose documents: a client, in one version of its application, and whom to call."""

    client: str
    version: str = ""
    contact: str = ""
    roles: tuple[str, ...] = ("partner",)


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem, and where people find it."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class Refused(Exception):
    """Nothing was changed; these are the reasons."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


class Shelf:
    """The documents of a store, and what is done with them. Each change is kept whole or not at all."""

    def __init__(self, store: DocumentStore, checker: Checker, now: Callable[[], datetime]) -> None:
        self._store = store
        self._checker = checker
        self._now = now

    async def add(self, found: Iterable[Found], owner: Owner) -> list[StoredDocument]:
        """Keep documents as drafts; one that is there already keeps its state and gets what is new of the rest."""
        since = await self._store.generation()
        known = {(one.version, one.id): one for one in await self._store.all(owner.client)}
        taken = {alias: one.id for one in known.values() for alias in one.aliases}
        faults: list[Fault] = []
        made: dict[str, StoredDocument] = {}
        for one in found:
            verdict = self._checker.valid(one.text)
            faults += [Fault(_place(one, problem), problem.message) for problem in verdict.problems]
            id_ = id_of(one.text)
            if one.alias is not None and taken.setdefault(one.alias, id_) != id_:
                cure = "is the id of another document of this client; retire that client version or make new ids"
                faults.append(Fault(_place(one), f"{one.alias} {cure}"))
            before = made.get(id_) or known.get((owner.version, id_)) or self._draft(one.text, owner)
            made[id_] = _with(before, one, owner, verdict)
        if faults:
            raise Refused(faults)
        await self._store.put(list(made.values()), since=since)
        return list(made.values())

    def _draft(self, text: str, owner: Owner) -> StoredDocument:
        return StoredDocument(
            id=id_of(text),
            client=owner.client,
            version=owner.version,
            text=text,
            roles=owner.roles,
            created=self._now(),
        )

    async def publish(self, wanted: Callable[[StoredDocument], bool], client: str) -> list[StoredDocument]:
        """Publish those of a client that are wanted, if all of them pass."""
        since = await self._store.generation()
        chosen = [one for one in await self._store.all(client) if wanted(one)]
        faults: list[Fault] = []
        passed: list[StoredDocument] = []
        for one in chosen:
            verdict = await self._checker.check(one)
            faults += faults_of(one, verdict)
            changes = {"state": State.PUBLISHED, "published": self._now(), "retires": None, "cost": verdict.cost}
            passed.append(msgspec.structs.replace(one, **changes))
        if faults:
            raise Refused(faults)
        await self._store.put(passed, since=since)
        return passed

    async def retire(self, wanted: Callable[[StoredDocument], bool], client: str, day: date) -> list[StoredDocument]:
        """Refuse those of a client that are wanted from a day on; until then they are answered, with that day."""
        since = await self._store.generation()
        chosen = [one for one in await self._store.all(client) if wanted(one) and one.state is not State.DRAFT]
        retired = [msgspec.structs.replace(one, state=State.RETIRED, retires=day) for one in chosen]
        await self._store.put(retired, since=since)
        return retired

    async def check(self, client: str | None, today: date) -> tuple[int, list[Fault]]:
        """Check anew what is answered today: how many documents, and what is wrong with them."""
        answered = [one for one in await self._store.all(client) if is_answered(one, today)]
        return len(answered), [fault for one in answered for fault in faults_of(one, await self._checker.check(one))]


def is_answered(one: StoredDocument, today: date) -> bool:
    """Whether a server runs it on that day."""
    return one.state is State.PUBLISHED or (one.retires is not None and today < one.retires)


def faults_of(one: StoredDocument, verdict: Verdict) -> list[Fault]:
    """What is wrong with a document of the store."""
    label = f"{one.client} {one.name} ({one.id[:19]})"
    return [Fault(_within(label, problem), problem.message) for problem in verdict.problems]


def _with(before: StoredDocument, one: Found, owner: Owner, verdict: Verdict) -> StoredDocument:
    return msgspec.structs.replace(
        before,
        operations=verdict.operations,
        aliases=tuple(dict.fromkeys([*before.aliases, *([one.alias] if one.alias else [])])),
        contact=owner.contact or before.contact,
        roles=owner.roles,
    )


def _place(one: Found, problem: Problem | None = None) -> str:
    if one.is_file:
        return _within(str(one.file), problem)
    return _within(f"{one.file}:{one.line} in the document", problem) if problem else f"{one.file}:{one.line}"


def _within(label: str, problem: Problem | None) -> str:
    return f"{label}:{problem.line}:{problem.column}" if problem and problem.line else label
