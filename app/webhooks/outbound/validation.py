"""Checks an endpoint's document before the endpoint is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from graphql import FieldNode, GraphQLSchema, OperationType
from graphql.execution.values import get_variable_values

from app.execution.engine import Request, RequestRefused
from app.execution.plan.engine import PlanEngine
from app.gateway.documents.published import latest_version
from app.gateway.documents.stores.document_store import StoredDocument

DELIVERABLE_STREAMS = frozenset({"shipmentUpdates", "orderUpdates", "intakeUpdates", "quoteUpdates", "returnUpdates"})
"""The streams of which each event is kept; hints of stock are not."""


def document_fault(
    schema: GraphQLSchema, versions: Sequence[StoredDocument], variables: Mapping[str, Any], today: date
) -> str | None:
    """Why a document, in the versions that its client has published, cannot be delivered by; None if it can."""
    document = latest_version(versions)
    if document is None or (document.retires is not None and document.retires <= today):
        return "is not published for this client; see ./run documents list"
    try:
        operation = PlanEngine(schema).prepare(Request(document.text, None, dict(variables)))
    except RequestRefused as refused:
        return f"cannot be run: {refused.errors[0].message}"
    if operation.kind is not OperationType.SUBSCRIPTION:
        return "is not a subscription"
    fields = [one.name.value for one in operation.definition.selection_set.selections if isinstance(one, FieldNode)]
    if not fields or fields[0] not in DELIVERABLE_STREAMS:
        return f"waits for something else than {' or '.join(sorted(DELIVERABLE_STREAMS))}"
    values = get_variable_values(schema, operation.definition.variable_definitions or (), dict(variables))
    return f"does not take these variables: {values[0].message}" if isinstance(values, list) else None
