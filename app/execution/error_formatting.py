"""Errors as clients see them: a stable code, a public message, and an error id; the cause is logged."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from graphql import GraphQLError
from strawberry.exceptions import StrawberryInputCoercionError

from app.errors import BadUserInput, LimitExceeded, RequestError, SourceError, TradegraphError
from app.telemetry import limit_exceeded, report


def format_errors(errors: Iterable[GraphQLError]) -> list[dict[str, Any]]:
    """The `errors` of one response. A cause that failed many fields is logged once and has one id."""
    ids: dict[int, str] = {}
    return [format_error(error, ids) for error in errors]


def format_error(error: GraphQLError, ids: dict[int, str] | None = None) -> dict[str, Any]:
    """One error. `ids` holds the ids of causes that are already logged, by identity."""
    cause = _cause(error)
    formatted: dict[str, Any] = {"message": error.message}
    if error.locations:
        formatted["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    if error.path is not None:
        formatted["path"] = error.path
    formatted["extensions"] = extensions = {}
    if cause is None:
        extensions["code"] = (error.extensions or {}).get("code", BadUserInput.code)
        if extensions["code"] == LimitExceeded.code:
            extensions |= error.extensions or {}
            limit_exceeded(extensions["limit"]["name"], "refused")
        return formatted
    public = cause if isinstance(cause, TradegraphError) else TradegraphError()
    formatted["message"] = public.message
    extensions |= {"code": public.code, **public.extensions}
    if isinstance(public, SourceError):
        extensions["source"] = public.source
        if public.retry_after is not None:
            extensions["retryAfter"] = math.ceil(public.retry_after)
    if not isinstance(public, RequestError):
        extensions["errorId"] = _logged(cause, error, {} if ids is None else ids)
    return formatted


def format_request_error(error: TradegraphError) -> dict[str, Any]:
    """An error of the whole request, without path and locations."""
    if isinstance(error, LimitExceeded):
        limit_exceeded(error.name, "refused")
    return {"message": error.message, "extensions": {"code": error.code, **error.extensions}}


def _cause(error: GraphQLError) -> BaseException | None:
    """What went wrong inside, or None where the document or its input is to blame and the message can be shown.

    graphql-core raises GraphQLErrors of its own on both sides: those about the document hold its nodes, those about a
    value that a resolver returned do not, and may quote the value.
    """
    if "code" in (error.extensions or {}):
        return None
    cause: BaseException = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if not isinstance(cause, GraphQLError):
        return cause
    about_the_input = cause.nodes or cause.positions or isinstance(cause, StrawberryInputCoercionError)
    return None if about_the_input else cause


def _logged(cause: BaseException, error: GraphQLError, ids: dict[int, str]) -> str:
    if id(cause) not in ids:
        ids[id(cause)] = report(cause, path=".".join(map(str, error.path or ())))
    return ids[id(cause)]
