"""Invoices and proofs of delivery of the sandbox as PDF: one page of plain text."""

from __future__ import annotations

from typing import Any

import msgspec

from app.sandbox.store import SandboxStore
from app.sources.downloads import DocumentKind

_FONT = "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"


def document(store: SandboxStore, kind: str, id_: str, customer: str) -> bytes | None:
    """The document of this customer; None if there is none."""
    keys = {DocumentKind.INVOICE.value: "invoices.id", DocumentKind.PROOF_OF_DELIVERY.value: "shipments.id"}
    stored = store.one(keys[kind], [id_]).get(id_) if kind in keys else None
    row: dict[str, Any] = {} if stored is None else msgspec.json.decode(stored)
    if row.get("customer") != customer:
        return None
    if kind == DocumentKind.INVOICE:
        total = row["total"]
        return pdf([f"Invoice {row['number']}", f"Customer {customer}", f"Date {row['invoicedOn']}",
                    f"Total {total['amount']} {total['currency']}"])  # fmt: skip
    proof = row.get("proofOfDelivery")
    if proof is None:
        return None
    return pdf([f"Proof of delivery {id_}", f"Customer {customer}", f"Tracking number {row['trackingNumber']}",
                f"Signed by {proof.get('signedBy', '-')} at {proof.get('at', '-')}"])  # fmt: skip


def pdf(lines: list[str]) -> bytes:
    """A PDF of one page with these lines; texts are Latin-1."""
    texts = [line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in lines]
    content = "BT /F1 12 Tf 16 TL 72 720 Td " + " ".join(f"({text}) Tj T*" for text in texts) + " ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources {_FONT} >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
    )
    body, offsets = "%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    tail = (
        f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n"
    )
    return f"{body}{tail}%%EOF\n".encode("latin-1", "replace")
