"""Reads of the `rest` contract about customers' accounts: receivables, contacts, purchases."""

from __future__ import annotations

from app.sources.accounts import AccountAssignment
from app.sources.items import CustomerItemKey
from app.sources.purchases import OrderGuideQuery
from app.sources.receivables import OpenItemQuery, StatementPeriod
from app.sources.rest.contract_rows import (
    AccountStatementRow,
    ContactRow,
    ContractOperation,
    OpenItemRow,
    OrderGuideRow,
    PurchaseHistoryRow,
    ReceivablesRow,
    Window,
    found,
)
from app.sources.values import Record


class ByCustomer(Record):
    """A read by customer number."""

    customers: tuple[str, ...]


class OpenItemsSearch(Record):
    """A page of the open items of each customer."""

    customers: tuple[str, ...]
    query: OpenItemQuery


class AccountStatementsRead(Record):
    """The account statement of each customer between two days."""

    customers: tuple[str, ...]
    period: StatementPeriod


class PurchaseHistoryRead(Record):
    """The purchase history of items, each of one customer."""

    items: tuple[CustomerItemKey, ...]


class OrderGuidesSearch(Record):
    """A page of the order guide of each customer."""

    customers: tuple[str, ...]
    query: OrderGuideQuery


class AccountsRead(Record):
    """A read by salesperson."""

    salespeople: tuple[str, ...]


RECEIVABLES = ContractOperation(
    port="receivables",
    path="/v1/receivables/read",
    summary="Balance, ageing and last payment by customer number",
    request=ByCustomer,
    answer=found(str, ReceivablesRow),
)
OPEN_ITEMS = ContractOperation(
    port="receivables",
    path="/v1/open-items/by-customer",
    summary="A page of each customer's open items, oldest due date first",
    request=OpenItemsSearch,
    answer=found(str, Window[OpenItemRow]),
)
ACCOUNT_STATEMENTS = ContractOperation(
    port="receivables",
    path="/v1/account-statements/read",
    summary="Account statements by customer number, between two days",
    request=AccountStatementsRead,
    answer=found(str, AccountStatementRow),
)
CONTACTS = ContractOperation(
    port="contacts",
    path="/v1/contacts/by-customer",
    summary="Contacts by customer number, primary ones first",
    request=ByCustomer,
    answer=found(str, tuple[ContactRow, ...]),
)
PURCHASE_HISTORY = ContractOperation(
    port="purchases",
    path="/v1/purchase-history/read",
    summary="Number of orders and the last three, by customer and item",
    request=PurchaseHistoryRead,
    answer=found(CustomerItemKey, PurchaseHistoryRow),
)
ORDER_GUIDES = ContractOperation(
    port="purchases",
    path="/v1/order-guides/by-customer",
    summary="A page of each customer's order guide",
    request=OrderGuidesSearch,
    answer=found(str, Window[OrderGuideRow]),
)

ACCOUNTS = ContractOperation(
    port="accounts",
    path="/v1/accounts/read",
    summary="The customers assigned to salespeople, by person, team or branch",
    request=AccountsRead,
    answer=found(str, AccountAssignment),
)

DOWNLOADS = "downloads"
"""The port of documents as PDF: `/v1/documents/KIND/read` answers a DocumentRead with the document."""

DOCUMENTS = "/v1/documents/{kind}/read"


class DocumentRead(Record):
    """A document by its id, of this customer."""

    id: str
    customer: str


OPERATIONS = (RECEIVABLES, OPEN_ITEMS, ACCOUNT_STATEMENTS, CONTACTS, PURCHASE_HISTORY, ORDER_GUIDES, ACCOUNTS)
