"""Return requests and decisions over the `rest` contract: one call each, with a key that the system keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.auth.principal import Principal
from app.sources.rest import return_operations
from app.sources.rest.client import RESTClient
from app.sources.rest.contract_orders import Refusal
from app.sources.return_writer import NewReturn, ReturnDecision, ReturnNotAccepted, ReturnRefusal, WrittenReturn


@dataclass(frozen=True, slots=True)
class RestReturnWriter:
    """The writer of one system."""

    client: RESTClient
    max_seconds: float

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, WrittenReturn]:
        rows = await self.client.read_keys(
            return_operations.FIND_RETURNS, keys, lambda chunk: return_operations.ReturnKeysRead(keys=chunk)
        )
        return dict(rows)

    async def request(self, principal: Principal, given: NewReturn) -> WrittenReturn:
        written = await self.client.write(return_operations.REQUEST_RETURN, given)
        if isinstance(written, Refusal):
            raise _not_accepted(written)
        return written

    async def decide(self, principal: Principal, decision: ReturnDecision) -> None:
        decided = await self.client.write(return_operations.DECIDE_RETURN, decision)
        if isinstance(decided, Refusal):
            raise _not_accepted(decided)


def _not_accepted(refusal: Refusal) -> ReturnNotAccepted:
    known = refusal.code in ReturnRefusal.__members__
    lines = [problem.line_number for problem in refusal.problems if problem.line_number is not None]
    detail = f"{refusal.code}: {refusal.detail or refusal.title}"
    return ReturnNotAccepted(ReturnRefusal(refusal.code) if known else ReturnRefusal.RULE, lines=lines, detail=detail)
