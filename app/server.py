"""The composition root: the application with its configured implementations."""

from __future__ import annotations

import asyncio
import gc
import hmac
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from datetime import datetime
from functools import partial
from typing import Any

from anyio import move_on_after
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.audit.store import FILE, SQLiteAuditReader, connect_audit, require_writable
from app.auth.accounts import AccountDirectory, AccountSource
from app.auth.chain import CompositeAuthenticator
from app.auth.credentials import bearer
from app.auth.link_signing import LinkSigner
from app.auth.principal import STAFF, Principal
from app.auth.stores import connect_keys
from app.errors import ConfigurationError, Forbidden
from app.events.assignments import AssignmentInvalidator, AssignmentRecorder, assigned_accounts
from app.events.fanout import EventFanout, LogListener
from app.events.ingest import Ingestion
from app.events.invalidation import CacheInvalidator
from app.events.log import EventLog
from app.events.retention import run_retention
from app.events.stores import connect_events
from app.execution.document.limits import DocumentLimits
from app.execution.engine import Operation
from app.execution.plan.engine import PlanEngine
from app.execution.reference import ReferenceEngine
from app.execution.subscriptions import source_events
from app.gateway.admission.admission import AdmissionController
from app.gateway.admission.caller_limits import CallerLimits
from app.gateway.admission.cost_estimator import CostEstimator
from app.gateway.admission.redis_token_buckets import BUDGET_TIMEOUT, RedisTokenBuckets
from app.gateway.admission.token_buckets import MemoryTokenBuckets, TokenBuckets
from app.gateway.documents.stores import connect_documents
from app.gateway.documents.trusted_documents import TrustedDocuments
from app.gateway.downloads import DownloadEndpoint, download_route
from app.gateway.explain.explainer import Explainer
from app.gateway.http import GraphQLEndpoint
from app.gateway.http_caching import cache_policies
from app.gateway.request_audit import RequestAuditor
from app.gateway.service import GraphQLService
from app.gateway.websocket import WebSocketEndpoint
from app.intake.approvals import check_approvers
from app.intake.checks import OrderChecker
from app.intake.commands import IntakeCommands
from app.intake.engine import PostingEngine
from app.intake.price_proofs import make_price_proofs
from app.intake.store import IntakeStore
from app.intake.stores import connect_intakes
from app.protocol.compression import CompressionMiddleware
from app.protocol.error_responses import routing_error
from app.protocol.listener import listen
from app.protocol.middleware import SecurityMiddleware
from app.protocol.serving import make_server
from app.resolvers.loading.context import Context
from app.schema import build_schema, policy_of
from app.search.service import SearchService
from app.settings import ServerSettings, Settings, TelemetrySettings
from app.sources.source import Sources
from app.sources.values import utc_now
from app.sources.wiring import connect_all
from app.storage.redis import connect
from app.telemetry import SpanExport, metrics_text, observe_loop_lag
from app.web.console.budgets import ObservedBudgets
from app.web.console.collector import ConsoleCollector, EndpointSummary
from app.web.console.intake_queue import IntakeQueue
from app.web.console.intake_routes import IntakeQueueEndpoint
from app.web.console.operation_stats import ObservedEngine
from app.web.console.routes import console_routes
from app.web.console.timeline import Timeline
from app.web.health import Readiness, health_routes
from app.web.ide import ide_routes
from app.web.pages import page_routes
from app.webhooks import inbound_webhooks, webhook_route
from app.webhooks.outbound.deliveries import run_deliveries
from app.webhooks.outbound.endpoints import EndpointStore
from app.webhooks.outbound.stores import connect_endpoints
from app.workers.limits_per_worker import divide_limits
from app.workers.slot import WorkerRole, WorkerSlot

WARM_UP_TIMEOUT = 2.0
"""Seconds that a start waits for backends to be ready to read; a slow one must not hold up the others' fields."""

BACKGROUND_NICENESS = 5
"""Of the background worker: where processors are short, requests come first."""

GC_THRESHOLDS = (100_000, 20, 50)
"""Thresholds of the garbage collector: a response allocates thousands of objects and hardly a cycle."""


def create_app(
    settings: Settings, *, clock: Callable[[], datetime] = utc_now, slot: WorkerSlot | None = None
) -> Gateway:
    """The gateway for these settings, in its slot if it is one of several workers. Connects to nothing yet; raises
    ConfigurationError for what cannot work."""
    policy = policy_of(schema := build_schema(settings))
    search = SearchService(settings, connect_all(settings, clock), events := connect_events(settings), clock)
    sources, timeline = search.sources, Timeline(search.sources)
    trail, export, accounts = (
        connect_audit(settings),
        make_export(settings.telemetry),
        make_accounts(settings, sources, events, clock),
    )
    authentication = CompositeAuthenticator(settings, connect_keys(settings), accounts)
    ledger = SQLiteAuditReader(settings.data_dir / FILE) if settings.audit.enabled else None
    intakes, commands, posting = connect_intake(settings, sources, clock)
    feed, signer, proofs = (
        EventFanout(events, listeners=log_listeners(sources, accounts)),
        make_link_signer(settings),
        make_price_proofs(settings),
    )

    def make_context(principal: Principal, operation: Operation) -> Context:
        return Context(
            principal,
            policy.permissions(principal.roles),
            sources,
            clock(),
            operation.selection,
            feed=feed,
            events=events,
            ledger=ledger,
            intake=commands,
            link_signer=signer,
            price_proofs=proofs,
        )

    core, limits = schema._schema, document_limits(settings)  # noqa: SLF001 - no other way to graphql-core's
    plans = PlanEngine(core, limits=limits)
    explainer = Explainer(settings, sources, plans, policy)
    buckets = ObservedBudgets(make_token_buckets(settings))

    engine = plans if settings.engine == "plan" else ReferenceEngine(core, limits=limits)
    documents = TrustedDocuments(engine, connect_documents(settings), settings.documents, clock=clock)
    admission = AdmissionController(
        CallerLimits(settings.limits, settings.budgets, demo=settings.demo),
        CostEstimator(explainer, core, sources.connected).of,
        buckets,
        enforce_limits=settings.limits.mode == "enforce",
        enforce_budgets=settings.budgets.mode == "enforce",
    )
    watched = ObservedEngine(engine)
    service = GraphQLService(
        watched,
        make_context,
        documents=documents,
        explain=explainer.explain_to_staff,
        events=partial(source_events, core),
        admission=admission,
        timeout=settings.server.request_timeout,
        max_in_flight=settings.server.max_in_flight,
        clock=clock,
        cache_policy=cache_policies(settings, core, plans, policy),
    )
    auditor = RequestAuditor(settings.audit, trail.record) if trail else None
    endpoint = GraphQLEndpoint(service, authentication, max_body_bytes=settings.server.max_body_bytes, auditor=auditor)
    sockets = WebSocketEndpoint(
        service,
        authentication,
        auditor=auditor,
        connect=admission.connect,
        max_unacknowledged=settings.server.connections.max_unacknowledged,
    )

    partner_endpoints, ingestion = (
        connect_endpoints(settings),
        Ingestion(settings, sources, events, clock, *intakes),
    )
    observer = ConsoleCollector(
        settings,
        sources,
        service,
        watched,
        buckets,
        timeline,
        events,
        partial(summarize_endpoints, partner_endpoints),
        slot.number if slot else None,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if trail is not None:
            trail.start()
        try:
            async with (
                export_spans(export),
                monitor_event_loop(),
                timeline.running(),
                run_retention(events),
                feed.running(),
                sources.running(),
                slot.serving() if slot else nullcontext(),
            ):
                with move_on_after(WARM_UP_TIMEOUT):
                    await asyncio.gather(warm_sources(feed, sources), authentication.warm())
                async with (
                    search.running(),
                    background_work(
                        slot,
                        ingestion.running(),
                        run_deliveries(settings, events, feed, service, accounts),
                        posting,
                    ),
                ):
                    yield
        finally:
            for opened_here in (sources, documents, events, buckets, partner_endpoints, *intakes):
                await opened_here.close()
            await authentication.aclose()
            if trail is not None:
                await asyncio.to_thread(trail.stop)

    routes: list[BaseRoute] = [
        Route("/graphql", endpoint),
        download_route(
            DownloadEndpoint(
                settings.downloads,
                signer,
                authentication,
                admission,
                lambda principal: policy.permissions(principal.roles),
                sources.connected,
                clock,
                auditor,
            )
        ),
        webhook_route(inbound_webhooks(settings, sources), ingestion.webhook_received, clock),
        *health_routes(
            Readiness(sources.ping, master_sources(settings), sources.held),
            slot.metrics if slot else process_metrics,
            partial(may_read_metrics, settings.telemetry.metrics_token, authentication),
        ),
        *(ide_routes() if settings.ide else []),
        *(
            IntakeQueueEndpoint(
                None if commands is None else IntakeQueue(commands, sources, timeline, clock),
                authentication,
                lambda principal: policy.permissions(principal.roles),
                auditor,
            ).routes()
            + console_routes(observer, watched, authentication, explainer.explain)
            if settings.console
            else []
        ),
        *(page_routes("track") + page_routes("sales") if settings.demo else []),
    ]
    return Gateway(
        endpoint,
        sockets,
        settings.server,
        end_streams=feed.stop,
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: routing_error},
    )


@asynccontextmanager
async def background_work(slot: WorkerSlot | None, *work: AbstractAsyncContextManager[None]) -> AsyncIterator[None]:
    """Do this work for as long as this lasts, unless there is a background worker for it."""
    async with AsyncExitStack() as stack:
        if slot is None or slot.role is not WorkerRole.REQUESTS:
            for one in work:
                await stack.enter_async_context(one)
        yield


def connect_intake(
    settings: Settings, sources: Sources, clock: Callable[[], datetime]
) -> tuple[Sequence[IntakeStore], IntakeCommands | None, AbstractAsyncContextManager[None]]:
    """The store of intakes, its commands and its engine; nothing where no source takes orders. Raises
    ConfigurationError for approvers who may not approve."""
    targets = sources.order_targets
    if targets is None:
        return (), None, nullcontext()
    check_approvers(settings)
    store = connect_intakes(settings)
    engine = PostingEngine(store, targets, OrderChecker(sources, settings.intake, clock), settings.intake, clock)
    commands = IntakeCommands(store, sources, settings.intake, clock)
    return (store,), commands, run_intake(engine, commands)


@asynccontextmanager
async def run_intake(engine: PostingEngine, commands: IntakeCommands) -> AsyncIterator[None]:
    """Post orders as long as this lasts; reconciliations under way are cancelled at its end."""
    async with engine.running():
        try:
            yield
        finally:
            await commands.reconciliations.close()


async def summarize_endpoints(store: EndpointStore) -> list[EndpointSummary]:
    """Partners' endpoints with what waits for them and what was given up."""
    return [
        EndpointSummary(
            id=one.id,
            client=one.client,
            state=one.state.value,
            waiting=len(await store.pending(one.id)),
            dead=len(await store.dead_letters(one.id)),
            reason=one.reason,
        )
        for one in await store.all()
    ]


async def warm_sources(feed: EventFanout, sources: Sources) -> None:
    """Warm the sources once the reader of the event log has its position: it drops what was cached before."""
    await feed.positioned.wait()
    await sources.warm()


def make_accounts(
    settings: Settings, sources: Sources, events: EventLog, clock: Callable[[], datetime]
) -> AccountDirectory | None:
    """The directory of assigned accounts; None if credentials name all accounts. Raises ConfigurationError."""
    if settings.auth.accounts == "token":
        return None
    domain = settings.domains.accounts
    if domain is None:
        cure = "needs [domains.accounts] with the `master` that assigns accounts; or use 'token'"
        raise ConfigurationError("auth.accounts", settings.auth.accounts, cure)
    recorder = AssignmentRecorder(events, domain.master, clock)
    read = partial(assigned_accounts, sources.accounts)
    return AccountDirectory(settings.auth, AccountSource(domain.master, read, recorder.observe))


def log_listeners(sources: Sources, accounts: AccountDirectory | None) -> list[LogListener]:
    """What this worker does about the events of the log before its subscribers get them."""
    cache = CacheInvalidator(sources)
    return [cache] if accounts is None else [cache, AssignmentInvalidator(accounts.expire)]


async def may_read_metrics(
    token: SecretStr | None, authentication: CompositeAuthenticator, authorization: str | None
) -> None:
    """Let the scraper in by its token, and operations and platform staff by theirs; raises for all others."""
    given = bearer(authorization)
    if token is not None and hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
        return
    principal = await authentication.authenticate(authorization)
    if not principal.roles & STAFF:
        raise Forbidden("Metrics require the metrics token or the role operations or admin.")


async def process_metrics() -> bytes:
    """The metrics of this process."""
    return metrics_text()


def make_token_buckets(settings: Settings) -> TokenBuckets:
    """The configured store of token buckets."""
    if settings.budgets.store == "memory":
        return MemoryTokenBuckets()
    return RedisTokenBuckets(connect(settings.redis, timeout=BUDGET_TIMEOUT))


def make_link_signer(settings: Settings) -> LinkSigner | None:
    """The signer of links to documents, if a secret is configured."""
    secrets = [secret.get_secret_value().encode() for secret in settings.downloads.secrets]
    return LinkSigner(secrets, settings.downloads.lifetime) if secrets else None


def make_export(telemetry: TelemetrySettings) -> SpanExport | None:
    """The export of traces, if configured. Raises ConfigurationError where its packages are not installed."""
    if telemetry.otlp_endpoint is None:
        return None
    return SpanExport(
        telemetry.otlp_endpoint,
        headers={name: value.get_secret_value() for name, value in telemetry.otlp_headers.items()},
        service_name=telemetry.service_name,
        sampling_ratio=telemetry.sampling_ratio,
        resource_attributes=telemetry.resource_attributes,
    )


@asynccontextmanager
async def monitor_event_loop() -> AsyncIterator[None]:
    """Measure the event loop's lag as long as this lasts."""
    watch = asyncio.create_task(observe_loop_lag())
    try:
        yield
    finally:
        watch.cancel()


@asynccontextmanager
async def export_spans(export: SpanExport | None) -> AsyncIterator[None]:
    """Send traces away as long as this lasts, and those that are left at its end."""
    if export is None:
        yield
        return
    export.start()
    try:
        yield
    finally:
        await asyncio.to_thread(export.stop)


def document_limits(settings: Settings) -> DocumentLimits:
    """What a document may ask for at most."""
    most = settings.limits
    return DocumentLimits(
        tokens=settings.server.max_tokens,
        depth=most.max_depth,
        aliases=most.max_aliases,
        root_fields=most.max_root_fields,
        fields=most.max_fields,
        directives=most.max_directives,
        directives_per_place=most.max_directives_per_place,
        list_items=most.max_list_items,
        introspection_depth=most.max_introspection_depth,
    )


class Gateway(Starlette):
    """Starlette behind the edge, with a shorter way to the endpoints, which let no exception through for middleware to
    see. `end_streams` ends what would never end by itself."""

    def __init__(
        self,
        endpoint: ASGIApp,
        sockets: ASGIApp,
        server: ServerSettings,
        *,
        end_streams: Callable[[], Awaitable[None]],
        **given: Any,
    ) -> None:
        super().__init__(**given)
        self.router.redirect_slashes = False
        self.end_streams = end_streams
        self._endpoint = endpoint
        self._sockets = sockets
        inside = CompressionMiddleware(self._inside) if server.compression else self._inside
        self._boundary = SecurityMiddleware(inside, server)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._boundary(scope, receive, send)

    def _inside(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] in {"http", "websocket"} and scope["path"] == "/graphql":
            return (self._endpoint if scope["type"] == "http" else self._sockets)(scope, receive, send)
        return super().__call__(scope, receive, send)


def master_sources(settings: Settings) -> frozenset[str]:
    """The sources that are master of some data."""
    named = {domain.master for domain in settings.domains.configured().values()}
    return frozenset(named | {route.source for route in settings.routes})


def run(
    settings: Settings, *, started: Callable[[], None] = lambda: None, listener: socket.socket | None = None
) -> None:
    """Serve until SIGINT or SIGTERM. Raises ConfigurationError before anything is served."""
    _serve(settings, create_app(settings), started, [listener or listen(settings)])


def run_worker(settings: Settings, slot: WorkerSlot, workers: int, listener: socket.socket) -> None:
    """Run as one of so many workers; the background worker accepts no connection."""
    sockets = [listener]
    if slot.role is WorkerRole.BACKGROUND:
        os.nice(BACKGROUND_NICENESS)
        listener.close()
        sockets = []
    _serve(settings, create_app(divide_limits(settings, workers), slot=slot), slot.ready, sockets)


def _serve(settings: Settings, app: Gateway, started: Callable[[], None], sockets: list[socket.socket]) -> None:
    if settings.audit.enabled:
        require_writable(settings.data_dir / FILE)  # A gateway that cannot keep its audit does not start.
    gc.collect()
    gc.freeze()  # What is there now stays: the schema, the modules.
    gc.set_threshold(*GC_THRESHOLDS)
    make_server(settings, app, started, app.end_streams).run(sockets=sockets)
