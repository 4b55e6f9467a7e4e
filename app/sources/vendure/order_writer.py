"""Orders in: a draft order is created, labelled with the gateway's key, filled, and placed on account.

A draft can be labelled only once it exists. What a crash leaves between the two calls is an empty draft without a key,
which is deleted later. Where the key's custom field is unique, no second order of a key gets as far as its lines.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from app.auth.principal import Principal
from app.errors import SourceError, SourceMalformed
from app.settings.resilience import ORDER_SUBMISSIONS
from app.sources.order_writer import (
    NewOrder,
    OrderNotAccepted,
    SimulatedLine,
    WrittenOrder,
    after_creation,
    before_creation,
    remarks,
)
from app.sources.vendure import draft_orders as drafts
from app.sources.vendure.client import PAGE, VendureClient, chunks, sendable
from app.sources.vendure.options import VendureOptions
from app.sources.vendure.order_records import OrderMapping
from app.telemetry import log

CALL: Final = ORDER_SUBMISSIONS

DRAFT, ARRANGING_PAYMENT, PLACED = "draft", "arranging_payment", "placed"
STEPS = (DRAFT, ARRANGING_PAYMENT, PLACED)
STEP_OF: Final = {"Draft": DRAFT, "ArrangingPayment": ARRANGING_PAYMENT}

LINES_PER_CALL = 20
"""Vendure prices the whole order anew for each line that is added."""

SWEEP_INTERVAL = 600.0
"""Seconds between two searches for empty drafts."""


class VendureOrderWriter:
    """The writer of one shop. An order that a rule refuses is deleted, or cancelled without its key."""

    steps = STEPS

    def __init__(
        self, client: VendureClient, options: VendureOptions, max_seconds: float, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._options = options
        self._clock = clock
        self._documents = drafts.DraftDocuments(options)
        self._mapping = OrderMapping(client.name, options)
        self._swept_at = float("-inf")
        self.unique_key = options.unique_order_keys
        self.max_seconds = max_seconds

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, tuple[WrittenOrder, ...]]:
        """Also deletes empty drafts, which are what brings look-ups about."""
        found: dict[str, tuple[WrittenOrder, ...]] = {}
        for chunk in chunks(sendable(keys)):
            answer = await self._client.run(
                self._documents.find, {"keys": chunk}, into=drafts.FoundAnswer, call=f"{CALL}.by_key"
            )
            for one in answer.orders.items:
                key = one.custom_fields.key
                if key is not None and key in chunk:
                    found[key] = (*found.get(key, ()), _written(key, one))
        await self._delete_empty_drafts()
        return found

    async def post(self, principal: Principal, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        if found is not None and found.step == ARRANGING_PAYMENT:
            with after_creation(self._client.name):
                return await self._place_order(found, drafts.PAY, {})
        with before_creation():
            content = await self._content(order)
        if found is None:
            return await self._post_new(order, content)
        with after_creation(self._client.name):
            missing = await self._missing_items(content, found.id)
            if missing is not None:
                return await self._complete(order, content, found, missing)
            await self._delete(found.id)
            return await self._post_new(order, content)

    async def simulate(self, principal: Principal, order: NewOrder) -> Sequence[SimulatedLine] | None:
        return None

    async def cancel(self, principal: Principal, order: WrittenOrder, reason: str) -> None:
        state = await self._state(order.id)
        if state is None or any(one.state != "Cancelled" for one in state.fulfillments or ()):
            raise OrderNotAccepted(detail=f"order {order.id} is unknown, or goods were picked for it")
        if state.state == "Draft":
            await self._delete(order.id)
        elif state.state != "Cancelled":
            await self._cancel(order.id, reason)

    # The steps

    async def _content(self, order: NewOrder) -> drafts.DraftContent:
        skus = sendable([line.sku for line in order.lines])
        if len(skus) > PAGE:
            raise OrderNotAccepted(held=True, detail=f"an order of more than {PAGE} items")
        answer = await self._client.run(
            self._documents.read,
            {"customer": order.customer, "skus": skus, "take": len(skus)},
            into=drafts.ContentAnswer,
            call=f"{CALL}.content",
        )
        return drafts.content(order, answer, self._options, self._mapping)

    async def _post_new(self, order: NewOrder, content: drafts.DraftContent) -> WrittenOrder:
        created = await self._client.write(drafts.CREATE, {}, into=drafts.CreateAnswer, call=f"{CALL}.create")
        draft = WrittenOrder(key=order.key, id=created.order.id, number=created.order.code, step=DRAFT)
        with after_creation(self._client.name):
            return await self._complete(order, content, draft, content.items)

    async def _complete(
        self, order: NewOrder, content: drafts.DraftContent, draft: WrittenOrder, items: Sequence[drafts.DraftItem]
    ) -> WrittenOrder:
        header = self._documents.header(order, content, draft.id, remarks(order, dated=True))
        for start in range(0, max(len(items), 1), LINES_PER_CALL):
            piece = items[start : start + LINES_PER_CALL]
            document, variables = self._documents.fill(draft.id, piece, header if start == 0 else {})
            results = await self._client.write(document, variables, into=drafts.Results, call=f"{CALL}.fill")
            await self._require(draft.id, results, {f"line{item.number}": item.number for item in piece})
        method = await self._checked(content, draft.id)
        return await self._place_order(draft, drafts.PLACE, {"method": method.id})

    async def _missing_items(self, content: drafts.DraftContent, id: str) -> list[drafts.DraftItem] | None:
        """The lines that a draft lacks, which are added in order; None where it has others than the order's."""
        draft = (await self._client.run(drafts.CHECK, {"id": id}, into=drafts.CheckAnswer, call=f"{CALL}.check")).order
        present = Counter[str]()
        for line in draft.lines if draft is not None else ():
            present[line.product_variant.sku] += line.quantity
        missing: list[drafts.DraftItem] = []
        for item in content.items:
            if present[item.sku] >= item.quantity:
                present[item.sku] -= item.quantity
            else:
                missing.append(item)
        return None if any(present.values()) else missing

    async def _checked(self, content: drafts.DraftContent, id: str) -> drafts.ShippingMethod:
        """How the draft is shipped, if its lines cost what the order says: Vendure has prices of its own."""
        draft = await self._client.run(drafts.CHECK, {"id": id}, into=drafts.CheckAnswer, call=f"{CALL}.check")
        priced, expected = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
        counted = Counter[str]()
        for line in draft.order.lines if draft.order is not None else ():
            priced[line.product_variant.sku, line.prorated_unit_price] += line.quantity
            counted[line.product_variant.sku] += line.quantity
        for item in content.items:
            counted[item.sku] -= item.quantity
            if item.price is not None:
                expected[item.sku, item.price] += item.quantity
        if any(counted.values()):
            raise SourceMalformed(self._client.name, detail=f"draft {id} has other quantities than the order")
        unpriced = {item.sku for item in content.items if item.price is None}
        wrong = [
            item.number
            for item in content.items
            if item.price is not None
            and item.sku not in unpriced
            and priced[item.sku, item.price] != expected[item.sku, item.price]
        ]
        if wrong:
            await self._withdraw(id)
            raise OrderNotAccepted(lines=wrong, held=True, detail="Vendure's prices are not those of the order")
        for method in draft.methods:
            if self._options.shipping_method in (None, method.code):
                return method
        await self._withdraw(id)
        raise OrderNotAccepted(held=True, detail=f"not shipped by {self._options.shipping_method or 'any method'}")

    async def _place_order(self, order: WrittenOrder, document: str, variables: Mapping[str, object]) -> WrittenOrder:
        payment = {"orderId": order.id, "method": self._options.payment_method, "metadata": {}}
        results = await self._client.write(
            document, {"id": order.id, "payment": payment, **variables}, into=drafts.Results, call=f"{CALL}.place"
        )
        await self._require(order.id, results, {})
        return msgspec.structs.replace(order, step=PLACED)

    # Refusals

    async def _require(self, id: str, results: drafts.Results, lines: Mapping[str, int]) -> None:
        """Raises OrderNotAccepted where a result is an error of Vendure's, once the order is withdrawn."""
        refused = {name: one.error_code for name, one in results.items() if one is not None and one.error_code}
        if not refused:
            return
        await self._withdraw(id)
        numbers = [lines[name] for name in refused if name in lines]
        detail = ", ".join(f"{name}: {code}" for name, code in refused.items())
        raise OrderNotAccepted(lines=numbers, held=True, detail=detail)

    async def _withdraw(self, id: str) -> None:
        state = await self._state(id)
        if state is not None and state.state == "Draft":
            await self._delete(id)
        elif state is not None and state.state == "ArrangingPayment":
            await self._client.write(
                self._documents.clear_key, {"id": id}, into=drafts.Results, call=f"{CALL}.clear_key"
            )
            await self._cancel(id, "refused")

    async def _state(self, id: str) -> drafts.OrderState | None:
        return (await self._client.run(drafts.STATE, {"id": id}, into=drafts.StateAnswer, call=f"{CALL}.state")).order

    async def _delete(self, id: str) -> None:
        await self._client.write(drafts.DELETE, {"id": id}, into=drafts.DeleteAnswer, call=f"{CALL}.delete")

    async def _cancel(self, id: str, reason: str) -> None:
        variables = {"input": {"orderId": id, "cancelShipping": True, "reason": reason}}
        results = await self._client.write(drafts.CANCEL, variables, into=drafts.Results, call=f"{CALL}.cancel")
        for one in results.values():
            if one is not None and one.error_code:
                raise OrderNotAccepted(detail=f"cancel: {one.error_code}")

    # Empty drafts

    async def _delete_empty_drafts(self) -> None:
        """Delete drafts without key, customer and lines, once they are so old that nobody works on them."""
        now = time.monotonic()
        if now - self._swept_at < SWEEP_INTERVAL:
            return
        self._swept_at = now
        before = self._clock() - timedelta(seconds=self._options.draft_max_age)
        try:
            answer = await self._client.run(
                self._documents.empty, {"before": before.isoformat()}, into=drafts.EmptyAnswer, call=f"{CALL}.drafts"
            )
            empty = [one.id for one in answer.orders.items if one.customer is None and not one.lines]
            for id in empty:
                await self._delete(id)
        except SourceError as error:
            log.warning("empty_drafts_not_deleted", source=self._client.name, detail=error.detail)
        else:
            if empty:
                log.info("empty_drafts_deleted", source=self._client.name, orders=len(empty))


def _written(key: str, order: drafts.FoundOrder) -> WrittenOrder:
    return WrittenOrder(key=key, id=order.id, number=order.code, step=STEP_OF.get(order.state, PLACED))
