"""Returns in the `rest` contract: by id and number, requests and decisions."""

from __future__ import annotations

from app.sources.rest.contract_rows import ContractOperation, ReturnRow, found
from app.sources.return_writer import NewReturn, ReturnDecision, WrittenReturn
from app.sources.values import Record


class ReturnsRead(Record):
    """Returns by the system's own ids."""

    ids: tuple[str, ...]


class ReturnNumbersRead(Record):
    """Returns by number."""

    numbers: tuple[str, ...]


class ReturnKeysRead(Record):
    """Returns by the keys that they were requested with."""

    keys: tuple[str, ...]


class DecidedReturn(Record):
    """The return of this id was decided on."""

    id: str = ""


RETURNS_BY_ID = ContractOperation(
    port="billing",
    path="/v1/returns/by-id",
    summary="Returns by id",
    request=ReturnsRead,
    answer=found(str, ReturnRow),
)
RETURNS_BY_NUMBER = ContractOperation(
    port="billing",
    path="/v1/returns/by-number",
    summary="Returns by number",
    request=ReturnNumbersRead,
    answer=found(str, ReturnRow),
)
REQUEST_RETURN = ContractOperation(
    port="return_writer",
    path="/v1/return-submissions/request",
    summary="Create a return; of a key that is known, the return that it has",
    request=NewReturn,
    answer=WrittenReturn,
    write=True,
)
FIND_RETURNS = ContractOperation(
    port="return_writer",
    path="/v1/return-submissions/find",
    summary="Returns by the keys they were requested with",
    request=ReturnKeysRead,
    answer=found(str, WrittenReturn),
)
DECIDE_RETURN = ContractOperation(
    port="return_writer",
    path="/v1/return-submissions/decide",
    summary="Approve, reject or cancel a return that has this version",
    request=ReturnDecision,
    answer=DecidedReturn,
    write=True,
)

OPERATIONS = (RETURNS_BY_ID, RETURNS_BY_NUMBER, REQUEST_RETURN, FIND_RETURNS, DECIDE_RETURN)
