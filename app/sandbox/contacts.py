"""The sandbox's contacts: a buyer at each account, and some of accounts payable, receiving and management."""

from __future__ import annotations

from typing import Any

from app.sandbox.accounts import Account

_FIRST = ("Ana", "Ben", "Carla", "Deepak", "Elena", "Femi", "Grace", "Hugo", "Irene", "Jamal", "Keiko", "Luis")
_LAST = ("Alvarez", "Brandt", "Chen", "Dietrich", "Edwards", "Fontaine", "Garcia", "Hansen", "Ito", "Jackson", "Khan")
_ROLES = (("PURCHASING", "Buyer"), ("ACCOUNTS_PAYABLE", "A/P clerk"), ("RECEIVING", "Dock lead"),
          ("MANAGEMENT", "Plant manager"))  # fmt: skip


def contact_rows(account: Account) -> list[dict[str, Any]]:
    """One to four contacts, the buyer first; one account in fifty has a role that the gateway does not know."""
    count = account.index % 4 + 1
    domain = f"{account.number.lower()}.example.com"
    rows = [_contact(account, ordinal, domain) for ordinal in range(count)]
    if account.index % 50 == 12:
        rows[-1] |= {"role": "SAFETY", "rawRole": "Safety officer"}
    return rows


def _contact(account: Account, ordinal: int, domain: str) -> dict[str, Any]:
    role, title = _ROLES[ordinal]
    first = _FIRST[(account.index + ordinal) % len(_FIRST)]
    last = _LAST[(account.index * 3 + ordinal) % len(_LAST)]
    row: dict[str, Any] = {
        "id": f"{account.index:04d}-{ordinal}", "customer": account.number, "name": f"{first} {last}", "role": role,
        "rawRole": title, "phone": f"+1 555 {account.index:03d} {1000 + ordinal}",
        "email": f"{first}.{last}@{domain}".lower(), "isPrimary": ordinal == 0,
    }  # fmt: skip
    return row | ({"location": account.row["shipTos"][0]["id"]} if role == "RECEIVING" else {})
