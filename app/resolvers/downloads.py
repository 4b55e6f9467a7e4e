"""Signed links to documents. A link costs no backend call."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.auth.link_signing import SignedLink
from app.errors import NotSupported
from app.resolvers.loading.context import Context
from app.sources.billing import Invoice
from app.sources.downloads import PDF, DocumentKind, DocumentLink
from app.sources.shipments import Shipment

PATH = "/downloads/"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


async def of_invoices(rows: Sequence[Invoice], ctx: Context) -> list[DocumentLink | None | Exception]:
    """Edge: invoices as PDF; None for drafts, and where no customer is named."""
    return [_link(ctx, DocumentKind.INVOICE, row, row.number) for row in rows]


async def of_proofs(rows: Sequence[Shipment], ctx: Context) -> list[DocumentLink | None | Exception]:
    """Edge: proofs of delivery as PDF; None where the source reports none."""
    return [
        _link(ctx, DocumentKind.PROOF_OF_DELIVERY, row, f"POD-{row.id}" if row.proof_of_delivery else None)
        for row in rows
    ]


def _link(
    ctx: Context, kind: DocumentKind, row: Invoice | Shipment, name: str | None
) -> DocumentLink | None | Exception:
    signer, source = ctx.link_signer, ctx.sources.connected.get(row.source)
    if name is None or row.customer is None:
        return None
    if signer is None or source is None or source.downloads is None:
        return NotSupported(f"'{row.source}' has no documents to download, or downloads are not configured.")
    principal, expires = ctx.principal, signer.expiry(ctx.now)
    file_name = f"{_UNSAFE.sub('_', name)[:100]}.pdf"
    link = SignedLink(
        kind.value,
        row.source,
        row.id,
        row.customer,
        file_name,
        principal.tenant,
        principal.subject,
        int(expires.timestamp()),
    )
    return DocumentLink(url=PATH + signer.sign(link), file_name=file_name, media_type=PDF, expires_at=expires)
