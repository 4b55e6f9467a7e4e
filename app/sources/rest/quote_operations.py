"""Quotes in the `rest` contract."""

from __future__ import annotations

from app.sources.quote_writer import NewQuote, QuoteAnswer, WrittenQuote
from app.sources.quotes import QuoteQuery
from app.sources.rest.contract_rows import ContractOperation, QuoteRow, Window, found
from app.sources.values import Record


class QuotesRead(Record):
    """Quotes by `numbers` or `ids`: one of them."""

    numbers: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


class QuotesSearch(Record):
    """A page of the quotes of each customer."""

    customers: tuple[str, ...]
    query: QuoteQuery


class QuoteKeysRead(Record):
    """Quotes by the keys that they were requested with."""

    keys: tuple[str, ...]


class AnsweredQuote(Record):
    """The quote of this id was declined, or waits for another offer."""

    id: str = ""


QUOTES = ContractOperation(
    port="quotes",
    path="/v1/quotes/read",
    summary="Quotes by number or id",
    request=QuotesRead,
    answer=found(str, QuoteRow),
)
QUOTES_BY_CUSTOMER = ContractOperation(
    port="quotes",
    path="/v1/quotes/by-customer",
    summary="A page of each customer's quotes",
    request=QuotesSearch,
    answer=found(str, Window[QuoteRow]),
)
QUOTE_SEARCH = ContractOperation(
    port="quotes",
    path="/v1/quotes/search",
    summary="A page of the quotes of the named customers, or of all",
    request=QuoteQuery,
    answer=Window[QuoteRow],
)

REQUEST_QUOTE = ContractOperation(
    port="quote_writer",
    path="/v1/quote-submissions/request",
    summary="Create a quote; of a key that is known, the quote that it has",
    request=NewQuote,
    answer=WrittenQuote,
    write=True,
)
FIND_QUOTES = ContractOperation(
    port="quote_writer",
    path="/v1/quote-submissions/find",
    summary="Quotes by the keys they were requested with",
    request=QuoteKeysRead,
    answer=found(str, WrittenQuote),
)
ANSWER_QUOTE = ContractOperation(
    port="quote_writer",
    path="/v1/quote-submissions/answer",
    summary="Decline or renegotiate a quote that has this version",
    request=QuoteAnswer,
    answer=AnsweredQuote,
    write=True,
)

OPERATIONS = (QUOTES, QUOTES_BY_CUSTOMER, QUOTE_SEARCH, REQUEST_QUOTE, FIND_QUOTES, ANSWER_QUOTE)
