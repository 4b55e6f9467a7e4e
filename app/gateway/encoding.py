"""Answers as JSON."""

from __future__ import annotations

import orjson

from app.gateway.response import Response, internal_error_response


def encode_response(response: Response) -> bytes:
    """The body of an answer, made once however many it is sent to. One that JSON cannot hold becomes an answer that
    says that the server failed."""
    if response.text is None:
        try:
            response.text = orjson.dumps(response.body, option=orjson.OPT_UTC_Z)
        except TypeError as error:  # a scalar that serializes to what JSON does not have
            replaced = internal_error_response(error)
            response.status, response.body = replaced.status, replaced.body
            response.text = orjson.dumps(response.body, option=orjson.OPT_UTC_Z)
    return response.text
