"""Encoding of responses as JSON."""

from __future__ import annotations

import orjson

from app.gateway.response import Response, internal_error_response


def encode_response(response: Response) -> bytes:
    """The encoded body of a response, encoded once for all its recipients. A body that JSON cannot represent becomes an
    internal error."""
    if response.text is None:
        try:
            response.text = orjson.dumps(response.body, option=orjson.OPT_UTC_Z)
        except TypeError as error:  # a scalar that serializes to what JSON does not have
            replaced = internal_error_response(error)
            response.status, response.body = replaced.status, replaced.body
            response.text = orjson.dumps(response.body, option=orjson.OPT_UTC_Z)
    return response.text
