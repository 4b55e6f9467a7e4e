"""The wire: `execute_kw` over `/jsonrpc`, or `/json/2` with a bearer token, and Odoo's errors.

Errors of `/jsonrpc` come with HTTP 200; their `debug` is a traceback, which is never decoded. Empty values are `false`
and times are in UTC without a zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from math import inf
from typing import Any, TypeVar, cast

import msgspec

from app.errors import SourceError, SourceMalformed, SourceRejected, SourceUnavailable
from app.http.call import SIGN_IN
from app.http.client import HTTPClient, HTTPResponse
from app.http.errors import error_for_status
from app.http.resilience.guard import SourceGuard
from app.http.sign_in import StaticCredentials
from app.settings import SourceSettings
from app.sources.custom_fields import NO_FIELDS, SCALARS, SourceField, SourceFields
from app.sources.odoo.options import OdooCredentials, OdooOptions
from app.sources.odoo.rows import OdooRow, number
from app.sources.odoo.versions import Names
from app.sources.timed_value import TimedValue
from app.sources.values import CustomValues

R = TypeVar("R", bound=OdooRow)
T = TypeVar("T")

Domain = list[Any]

ALL: Mapping[str, object] = {"active_test": False}
"""The context in which archived records are found too."""

TIME = "2026-12-01 12:00:00"
LONGEST_KEY = 200
LARGEST_ID = 2**31 - 1
ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)

BUSINESS_REFUSALS = frozenset(
    {
        "odoo.exceptions.UserError",
        "odoo.exceptions.ValidationError",
        "odoo.exceptions.MissingError",
        "odoo.exceptions.RedirectWarning",
        "odoo.exceptions.Warning",
        "odoo.exceptions.except_orm",
    }
)
"""The errors of rules and of records that there are not."""
DENIALS = {"odoo.exceptions.AccessDenied": 401, "odoo.exceptions.AccessError": 403}
"""The errors of permissions, with the HTTP status that they are like."""


class OdooError(msgspec.Struct, frozen=True):
    """What went wrong: the class of the error, and a text for people. The traceback beside them is left out."""

    name: str = ""
    message: str = ""


class RPCError(msgspec.Struct, frozen=True):
    """The error of a response of `/jsonrpc`."""

    data: OdooError = OdooError()


class OdooRPCResponse(msgspec.Struct, frozen=True):
    """A response of `/jsonrpc`."""

    result: msgspec.Raw = msgspec.Raw()
    error: RPCError | None = None


class OdooRefusal(msgspec.Struct, frozen=True):
    """A rule of Odoo's that refuses a call. `message` is for the log."""

    message: str


class OdooClient:
    """Typed reads of Odoo's models, and calls of their methods."""

    def __init__(
        self,
        name: str,
        settings: SourceSettings,
        options: OdooOptions,
        credentials: OdooCredentials,
        fields: SourceFields = NO_FIELDS,
    ) -> None:
        self.source = name
        self._fields = fields
        self.names = Names(options.version)
        self._database = options.database
        self._credentials = credentials
        self._uid = TimedValue(self._authenticate, inf)
        sign_in = None
        if credentials.api_key:
            bearer = {"authorization": f"bearer {credentials.api_key}", "x-odoo-database": options.database}
            sign_in = StaticCredentials(bearer)
        self._http = HTTPClient(name, settings, sign_in=sign_in)

    @property
    def guard(self) -> SourceGuard:
        return self._http.guard

    async def aclose(self) -> None:
        await self._http.aclose()

    async def search(
        self,
        model: str,
        row: type[R],
        domain: Domain,
        *,
        order: str = "id",
        limit: int | None = None,
        offset: int = 0,
        context: Mapping[str, object] | None = None,
        names: Mapping[str, str] | None = None,
        call: str,
    ) -> list[R]:
        """The records that match a domain, with the fields of `row`. An order is that of the model's own fields;
        `names` are fields that a deployment has chosen, by the attribute that they are read as.
        """
        named = {name: found for name in _fields(row) if (found := self.names.field(model, name)) is not None}
        named |= names or {}
        own = self._fields.of(row.shows)
        arguments = {
            "domain": self._translated(model, domain),
            "fields": list(dict.fromkeys([*named.values(), *(one.key for one in own)])),
            "order": order,
            "offset": offset,
            **({} if limit is None else {"limit": limit}),
            **({} if context is None else {"context": context}),
        }
        found = await self._execute(model, "search_read", arguments, call=call)
        if not isinstance(found, list):
            raise SourceMalformed(self.source, detail=f"{call}: search_read returned no list")
        flags = _flags(row)
        try:
            values = [
                {name: value for name, key in named.items() if (value := record[key]) is not False or name in flags}
                for record in found
            ]
            if own:
                for value, record in zip(values, found, strict=True):
                    value["custom"] = self._fields.of_values(
                        [(one, _own_value(one, record.get(one.key))) for one in own]
                    )
            kind = cast("type[R]", _with_custom(row)) if own else row
            return msgspec.convert(values, list[kind])
        except (msgspec.ValidationError, TypeError, KeyError) as error:
            raise SourceMalformed(self.source, detail=f"{call}: {type(error).__name__}: {error}"[:500]) from None

    async def count(self, model: str, domain: Domain, *, context: Mapping[str, object] | None = None, call: str) -> int:
        """How many records match."""
        arguments = {"domain": self._translated(model, domain), **({} if context is None else {"context": context})}
        found = await self._execute(model, "search_count", arguments, call=call, positional=("domain",))
        if not isinstance(found, int):
            raise SourceMalformed(self.source, detail=f"{call}: search_count returned no number")
        return found

    async def create(self, model: str, values: Mapping[str, object], *, call: str) -> int | OdooRefusal:
        """Create a record with the records below it in one transaction, and return its id, or the rule that refuses it.
        Raises SourceError."""
        arguments = {"vals_list": [values]} if self._credentials.api_key else {"vals": values}
        found = await self._write(model, "create", arguments, call, positional=("vals",))
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
        if isinstance(found, OdooRefusal) or (isinstance(found, int) and found):
            return found
        raise SourceMalformed(self.source, detail=f"{call}: create returned no id")

    async def press(self, model: str, method: str, id: int, *, call: str) -> OdooRefusal | None:
        """Call a method of one record, as a button does; a rule that refuses it is returned. Raises SourceError."""
        found = await self._write(model, method, {"ids": [id]}, call, positional=("ids",))
        return found if isinstance(found, OdooRefusal) else None

    async def _write(
        self, model: str, method: str, arguments: Mapping[str, object], call: str, positional: Sequence[str]
    ) -> Any:
        try:
            return await self._execute(model, method, arguments, call=call, positional=positional, safe=False)
        except _CallRefused as refused:
            return OdooRefusal(message=refused.message)

    async def _execute(
        self,
        model: str,
        method: str,
        arguments: Mapping[str, object],
        *,
        call: str,
        positional: Sequence[str] = (),
        safe: bool = True,
    ) -> Any:
        name = self.names.model(model)
        if self._credentials.api_key:
            return await self._json2(name, method, arguments, call, safe=safe)
        args = [arguments[one] for one in positional]
        named = {one: value for one, value in arguments.items() if one not in positional}
        uid = await self._uid.get()
        login = [self._database, uid, self._credentials.password]
        return await self._rpc("object", "execute_kw", [*login, name, method, args, named], call, safe=safe)

    async def _authenticate(self) -> int:
        login = [self._database, self._credentials.login, self._credentials.password, {}]
        uid = await self._rpc("common", "authenticate", login, SIGN_IN)
        if uid is False:
            raise SourceRejected(self.source, status=401, detail="the login was refused")
        if not isinstance(uid, int):
            raise SourceMalformed(self.source, detail="authenticate returned no id of a user")
        return uid

    async def _rpc(self, service: str, method: str, args: Sequence[object], call: str, *, safe: bool = True) -> Any:
        body = {
            "jsonrpc": "2.0",
            "method": "call",
            "id": 1,
            "params": {"service": service, "method": method, "args": args},
        }
        response = await self._http.request(
            "POST",
            "/jsonrpc",
            content=ENCODER.encode(body),
            headers={"Content-Type": "application/json"},
            call=call,
            safe=safe,
        )
        answer = response.decode(OdooRPCResponse)
        if answer.error is not None:
            raise self._error(answer.error.data, call, safe=safe)
        if not bytes(answer.result):
            raise SourceMalformed(self.source, detail=f"{call}: a response without a result")
        return _DECODER.decode(answer.result)

    async def _json2(self, model: str, method: str, arguments: Mapping[str, object], call: str, *, safe: bool) -> Any:
        response = await self._http.request(
            "POST",
            f"/json/2/{model}/{method}",
            content=ENCODER.encode(arguments),
            headers={"Content-Type": "application/json"},
            call=call,
            safe=safe,
            accept=(400, 401, 403, 404, 409, 422),
        )
        if response.status >= 300:
            raise self._error_of(response, model, method, call, safe=safe)
        try:
            return _DECODER.decode(response.body)
        except msgspec.DecodeError as error:
            raise SourceMalformed(self.source, detail=f"{call}: {error}") from None

    def _error_of(self, response: HTTPResponse, model: str, method: str, call: str, *, safe: bool) -> Exception:
        try:
            found = response.decode(OdooError)
        except SourceError:
            found = OdooError()
        if found.name in BUSINESS_REFUSALS and response.status not in (401, 403):
            return self._error(found, call, safe=safe)
        what = f"{model}/{method} {found.name}"
        return error_for_status(self.source, what, response.status, response.headers, b"")

    def _error(self, error: OdooError, call: str, *, safe: bool) -> Exception:
        """The error for one of Odoo's. What is no rule of its own may quote anything, so its text is left out."""
        if error.name in BUSINESS_REFUSALS:
            message = f"{error.name.rpartition('.')[2]}: {error.message.splitlines()[0] if error.message else ''}"[:500]
            return (
                SourceRejected(self.source, status=400, detail=f"{call}: {message}") if safe else _CallRefused(message)
            )
        if error.name in DENIALS:
            return SourceRejected(self.source, status=DENIALS[error.name], detail=f"{call}: {error.name}")
        return SourceUnavailable(self.source, detail=f"{call}: {error.name}"[:200])

    def _translated(self, model: str, domain: Domain) -> Domain:
        """The domain in the names of the version. A term is a list of field, operator and value."""
        return [self._term(model, term) if isinstance(term, list) else term for term in domain]

    def _term(self, model: str, term: list[Any]) -> list[Any]:
        path, operator, value = term
        first, dot, rest = path.partition(".")
        return [f"{self.names.field(model, first) or first}{dot}{rest}", operator, value]


class _CallRefused(Exception):
    """A write that a rule refuses."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@cache
def _fields(row: type[OdooRow]) -> tuple[str, ...]:
    return tuple(one.encode_name for one in msgspec.structs.fields(row))


@cache
def _with_custom(row: type[R]) -> type[R]:
    """The row with the values of a deployment's own fields, which are no fields of Odoo's."""
    added = [("custom", CustomValues | None, None)]
    return cast("type[R]", msgspec.defstruct(row.__name__, added, bases=(row,), frozen=True, kw_only=True))


def _own_value(field: SourceField, value: Any) -> Any:
    """A value of a deployment's own field: an empty one is false, a relation is an id and a name, and a time is in UTC
    without its zone."""
    if value is False and field.type is not bool:
        return None
    if isinstance(value, Decimal):
        return number(value)
    if field.type == SCALARS["DateTime"] and isinstance(value, str) and len(value) == len(TIME):
        return f"{value.replace(' ', 'T')}Z"
    if isinstance(value, list) and [type(one) for one in value] == [int, str]:
        return value[1] if field.type == SCALARS["String"] else value[0]
    return value


@cache
def _flags(row: type[OdooRow]) -> frozenset[str]:
    return frozenset(one.encode_name for one in msgspec.structs.fields(row) if one.type in (bool, "bool"))


def usable(keys: Iterable[str]) -> list[str]:
    """The keys that a record could have, each once."""
    return [key for key in dict.fromkeys(keys) if 0 < len(key) <= LONGEST_KEY and _is_text(key)]


def record_ids(keys: Iterable[str]) -> list[int]:
    """The keys that are ids of records, each once."""
    plain = (key for key in dict.fromkeys(keys) if key.isascii() and key.isdigit() and len(key) <= 10)
    return [number for number in map(int, plain) if 0 < number <= LARGEST_ID]


def containing(text: str) -> str:
    """A pattern for `ilike`: anything that contains the text itself, wildcards taken literally."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _is_text(key: str) -> bool:
    return "\0" not in key and not any("\ud800" <= char <= "\udfff" for char in key)
