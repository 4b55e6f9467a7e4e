"""Responses of backends that speak GraphQL."""

from __future__ import annotations

from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from app.http.response import HTTPResponse

T = TypeVar("T")


class GraphQLData(msgspec.Struct, Generic[T], frozen=True):
    """A response without errors."""

    data: T


def decode_data(response: HTTPResponse, into: type[T]) -> T:
    """The `data` of a response, as `into`. Raises SourceMalformed."""
    return response.decode(_data_of(into)).data


def may_have_errors(response: HTTPResponse) -> bool:
    """Whether the body names errors at all, so that few responses are decoded twice."""
    return b'"errors"' in response.body


@cache
def _data_of(into: Any) -> Any:
    return GraphQLData[into]
