"""Quote requests and answers over the `rest` contract: one call each, with a key that the system keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.auth.principal import Principal
from app.sources.quote_writer import NewQuote, QuoteAnswer, QuoteNotAccepted, QuoteRefusal, WrittenQuote
from app.sources.rest import quote_operations
from app.sources.rest.client import RESTClient
from app.sources.rest.contract_orders import Refusal


@dataclass(frozen=True, slots=True)
class RestQuoteWriter:
    """The writer of one system."""

    client: RESTClient
    unique_key: bool

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, WrittenQuote]:
        rows = await self.client.read_keys(
            quote_operations.FIND_QUOTES, keys, lambda chunk: quote_operations.QuoteKeysRead(keys=chunk)
        )
        return dict(rows)

    async def request(self, principal: Principal, quote: NewQuote) -> WrittenQuote:
        written = await self.client.write(quote_operations.REQUEST_QUOTE, quote)
        if isinstance(written, Refusal):
            raise _not_accepted(written)
        return written

    async def answer(self, principal: Principal, answer: QuoteAnswer) -> None:
        answered = await self.client.write(quote_operations.ANSWER_QUOTE, answer)
        if isinstance(answered, Refusal):
            raise _not_accepted(answered)


def _not_accepted(refusal: Refusal) -> QuoteNotAccepted:
    known = refusal.code in QuoteRefusal.__members__
    lines = [problem.line_number for problem in refusal.problems if problem.line_number is not None]
    detail = f"{refusal.code}: {refusal.detail or refusal.title}"
    return QuoteNotAccepted(QuoteRefusal(refusal.code) if known else QuoteRefusal.RULE, lines=lines, detail=detail)
