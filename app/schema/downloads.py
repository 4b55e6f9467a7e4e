"""Signed links to documents."""

from __future__ import annotations

from datetime import datetime

import strawberry

from app.auth.policy import Rows, Scope
from app.schema.base import bound_to, field
from app.sources import downloads as records
from app.sources.freshness_contracts import CALLER


@bound_to(records.DocumentLink, requires=Scope.EVERYONE, rows=Rows.ACCOUNTS, volatility=CALLER)
@strawberry.type(description="A short-lived link to a document, for the caller that requested it.")
class DocumentLink:
    url: str = field("Path on the gateway; GET it with the credential of the caller.")
    file_name: str = field("Suggested name of the file.")
    media_type: str = field("Media type of the document.")
    expires_at: datetime = field("Time at which the link expires.")
