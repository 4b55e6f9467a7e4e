"""Scope, logs and metrics."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
import time

import pytest

from app import telemetry
from app.errors import SourceUnavailable


def lines(out: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def sample(metrics: telemetry.Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


# The scope


def test_scope_is_set_inside_and_reset_outside():
    with telemetry.open_scope(request_id="a", correlation_id="b") as opened:
        assert telemetry.current() is opened
        assert (opened.request_id, opened.correlation_id, opened.deadline) == ("a", "b", None)
        assert telemetry.remaining() is None
    assert telemetry.scope.get() is None


def test_scope_without_correlation_takes_its_request_id():
    with telemetry.open_scope() as opened:
        assert opened.correlation_id == opened.request_id
        assert len(opened.request_id) == 32


def test_outside_of_a_scope_nothing_is_shared():
    telemetry.current().calls.append(("erp", "x"))
    assert telemetry.current().calls == []


def test_remaining_counts_down_and_below_zero():
    before = time.monotonic()
    with telemetry.open_scope(timeout=60) as opened:
        assert opened.deadline is not None
        assert opened.deadline >= before + 60
        left = telemetry.remaining()
        assert left is not None
        assert 0 < left <= 60
    with telemetry.open_scope(timeout=-1):
        left = telemetry.remaining()
        assert left is not None
        assert left < 0


async def test_tasks_started_in_a_scope_share_its_calls():
    async def call(name: str) -> None:
        telemetry.current().calls.append(("erp", name))

    with telemetry.open_scope() as opened:
        await asyncio.gather(asyncio.create_task(call("a")), asyncio.create_task(call("b")))
    assert opened.calls == [("erp", "a"), ("erp", "b")]


@pytest.mark.parametrize("text", ["", "a b", "a\r\nX-Admin: 1", "é", "x" * 129, "a\0", '"', None])
def test_hostile_id_is_replaced(text):
    assert telemetry.safe_id(text) is None
    with telemetry.open_scope(request_id=text, correlation_id=text) as opened:
        assert opened.request_id != text
        assert opened.correlation_id == opened.request_id


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n", False),
        ("", False),
        (None, False),
    ],
)
def test_only_a_well_formed_traceparent_is_accepted(text, kept):
    assert telemetry.safe_traceparent(text) == (text if kept else None)


# Logs


def test_log_lines_carry_the_ids(out):
    with telemetry.open_scope(request_id="req", correlation_id="cor") as opened:
        opened.operation = "SalesView"
        telemetry.log.info("read", source="erp")
    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "read",
        "source": "erp",
        "level": "info",
        "request_id": "req",
        "correlation_id": "cor",
        "operation": "SalesView",
    }


def test_reported_error_joins_error_id_code_and_detail(out):
    with telemetry.open_scope(request_id="req"):
        error_id = telemetry.report(SourceUnavailable("erp", detail="GET /x answered 500"), path="customer")
    (line,) = lines(out)
    assert (line["error_id"], line["request_id"], line["code"]) == (error_id, "req", "SOURCE_UNAVAILABLE")
    assert (line["detail"], line["path"], line["level"]) == ("GET /x answered 500", "customer", "warning")
    assert "exception" not in line


def test_unexpected_error_brings_its_traceback(out):
    try:
        raise KeyError("sku")
    except KeyError as error:
        telemetry.report(error)
    (line,) = lines(out)
    assert (line["code"], line["level"], line["error"]) == ("INTERNAL", "error", "KeyError: 'sku'")
    assert line["exception"].endswith("KeyError: 'sku'")


PRIVATE_KEY = "-----BEGIN RSA " + "PRIVATE KEY-----"
SECRET_KEYS = [
    *["authorization", "Authorization", "token", "access_token", "vendure-auth-token", "password", "client_secret"],
    *["api_key", "apiKey", "API-Key", "cookie", "Set-Cookie", "credentials", "private_key", "session_id"],
]


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_values_of_secret_keys_are_hidden_at_any_depth(out, key):
    telemetry.log.info("sign in", **{key: "hush"}, request={"headers": [{key: {"inner": "hush"}}]})
    assert "hush" not in out.getvalue()
    assert lines(out)[0][key] == "[hidden]"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"password": "hush hush", "user": "joe"}', '{"password": [hidden], "user": "joe"}'),
        ("{'api_key': 'hush', 'n': 1}", "{'api_key': [hidden], 'n': 1}"),
        ("?access_token=hush&page=2", "?access_token=[hidden]&page=2"),
        ("Authorization: Bearer hushhush0123", "Authorization: [hidden] [hidden]"),
        ("sent Bearer hushhush0123 to it", "sent Bearer [hidden] to it"),
        ("Token key_hush0123456789", "Token [hidden]"),
        ("key tg_0123456789ab_hush" + 45 * "x" + " leaked", "key tg_0123456789ab_[hidden] leaked"),
        ("read eyJhbGciOiJ9.hush.hush_x- whole", "read eyJ[hidden] whole"),
        ("redis://:hush@cache.example.com/0", "redis://:[hidden]@cache.example.com/0"),
        ("https://joe:hush@erp.example.com/", "https://joe:[hidden]@erp.example.com/"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJodXNoIjoxfQ.hush-hush", "eyJ[hidden]"),
        ("tg_0123456789ab_hushhush", "tg_0123456789ab_[hidden]"),
        ("whsec_hush", "whsec_[hidden]"),
        ("https://hushhush@erp.example.com/", "https://[hidden]@erp.example.com/"),
        (
            f"{PRIVATE_KEY}\nhush\n-----END RSA PRIVATE KEY-----",
            f"{PRIVATE_KEY}[hidden]-----END RSA PRIVATE KEY-----",
        ),
        ("Expected `str`, got `int` - at `$.id`", "Expected `str`, got `int` - at `$.id`"),
        ("GET /v1/orders/SO-1 answered 500", "GET /v1/orders/SO-1 answered 500"),
    ],
)
def test_secrets_within_texts_are_hidden(out, text, kept):
    telemetry.log.info("said", detail=text)
    assert lines(out)[0]["detail"] == kept
    assert "hush" not in out.getvalue()


def test_own_credentials_are_hidden_wherever_they_stand(out):
    telemetry.configure_logs(stream=out, hide=["hush-hush", "abc"])
    try:
        telemetry.log.info("said", detail="no such user: hush-hush", plain="hush-hush", short="abc")
    finally:
        telemetry.configure_logs(stream=out)
    (line,) = lines(out)
    assert (line["detail"], line["plain"], line["short"]) == ("no such user: [hidden]", "[hidden]", "abc")


def test_secret_in_a_traceback_is_hidden(out):
    try:
        raise RuntimeError("password=hush")
    except RuntimeError as error:
        telemetry.report(error)
    assert "hush" not in out.getvalue().replace("password=[hidden]", "")


def test_lines_of_libraries_take_the_same_form_and_rules(out):
    logging.getLogger("uvicorn.error").warning("closing %s", "token=hush")
    logging.getLogger("httpx").debug("not this")
    (line,) = lines(out)
    assert (line["event"], line["logger"], line["level"]) == ("closing token=[hidden]", "uvicorn.error", "warning")


def test_line_break_in_a_value_makes_no_second_line(out):
    telemetry.log.info("raw", value='x\n{"event": "forged"}')
    assert len(lines(out)) == 1


def test_level_and_form_follow_the_settings(out):
    stream = io.StringIO()
    telemetry.configure_logs(form="console", level="warning", stream=stream)
    telemetry.log.info("quiet")
    telemetry.log.warning("loud", password="hush")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()
    assert "hush" not in stream.getvalue()


# Metrics


def test_requests_are_counted_by_operation_and_outcome():
    metrics = telemetry.Metrics()
    metrics.request_done("SalesView", "ok", 0.02)
    metrics.request_done(None, "failed", 0.02)
    assert sample(metrics, "tradegraph_requests_total", operation="SalesView", outcome="ok") == 1
    assert sample(metrics, "tradegraph_requests_total", operation="anonymous", outcome="failed") == 1
    assert sample(metrics, "tradegraph_request_seconds_bucket", operation="SalesView", le="0.025") == 1


def test_names_beyond_the_bound_are_other():
    metrics = telemetry.Metrics(operations=200)
    for number in range(500):
        metrics.request_done(f"Op{number}", "ok", 0)
    metrics.request_done("Op0", "ok", 0)
    assert sample(metrics, "tradegraph_requests_total", operation="Op0", outcome="ok") == 2
    assert sample(metrics, "tradegraph_requests_total", operation="Op200", outcome="ok") is None
    assert sample(metrics, "tradegraph_requests_total", operation="other", outcome="ok") == 300


def test_over_long_operation_name_is_cut():
    metrics = telemetry.Metrics()
    metrics.request_done("x" * 10_000, "ok", 0)
    assert sample(metrics, "tradegraph_requests_total", operation="x" * 64, outcome="ok") == 1


def test_unknown_status_is_counted_each_time_and_new_once():
    metrics = telemetry.Metrics(statuses=2)
    told = [metrics.unknown_status("erp", "order", raw) for raw in ("odd", "odd", "odder", "oddest")]
    assert told == [True, False, True, False]
    name = "tradegraph_unknown_statuses_total"
    counted = {raw: sample(metrics, name, source="erp", field="order", raw=raw) for raw in ("odd", "odder", "other")}
    assert counted == {"odd": 2, "odder": 1, "other": 1}


def test_unknown_status_is_logged_once(out):
    for _ in range(3):
        telemetry.unknown_status("test_unknown_status_is_logged_once", "order", "odd")
    (line,) = lines(out)
    assert (line["event"], line["field"], line["raw"]) == ("unknown_status", "order", "odd")


def test_disagreement_is_counted_whatever_the_order_of_sources():
    telemetry.disagreement("order.test", ["b", "a"])
    telemetry.disagreement("order.test", ["a", "b"])
    assert sample(telemetry.metrics(), "tradegraph_disagreements_total", field="order.test", sources="a,b") == 2


def test_text_is_in_the_format_of_prometheus():
    telemetry.backend_call("erp", "text", "ok", 0.1)
    text = telemetry.metrics_text().decode()
    assert 'tradegraph_backend_calls_total{call="text",outcome="ok",source="erp"} 1.0\n' in text
    assert "_created" not in text


def test_import_does_nothing():
    code = (
        "import structlog, logging, prometheus_client as p; before = len(list(p.REGISTRY.collect()));"
        "import app.telemetry as t, app.http.client;"
        "assert t.metrics.cache_info().currsize == 0; assert not logging.root.handlers;"
        "assert not structlog.is_configured(); assert len(list(p.REGISTRY.collect())) == before"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
