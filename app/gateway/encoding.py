"""Answers as JSON."""

from __future__ import annotations

import orjson

from app.gateway.service import Answer, unexpected


def encoded(answer: Answer) -> bytes:
    """The body of an answer, made once however many it is sent to. One that JSON cannot hold becomes an answer that
    says that the server failed."""
    if answer.text is None:
        try:
            answer.text = orjson.dumps(answer.body, option=orjson.OPT_UTC_Z)
        except TypeError as error:  # a scalar that serializes to what JSON does not have
            replaced = unexpected(error)
            answer.status, answer.body = replaced.status, replaced.body
            answer.text = orjson.dumps(answer.body, option=orjson.OPT_UTC_Z)
    return answer.text
