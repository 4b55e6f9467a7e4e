"""Orders in: errors of commands and codes of problems that an order may have."""

from __future__ import annotations

from app.errors.base import RequestError


class KeyReused(RequestError):
    """A key stands for another input already."""

    code = "KEY_REUSED"
    http_status = 422
    default = "This key was used with another input. Send the same input, or a new key."


class VersionConflict(RequestError):
    """The record was changed after the version that the caller has read."""

    code = "VERSION_CONFLICT"
    http_status = 409
    default = "The record has changed. Read it again and decide on its current version."


class IntakeBusy(RequestError):
    """The order is being posted at this moment."""

    code = "INTAKE_BUSY"
    http_status = 409
    default = "The order is being posted. Retry in a few seconds."


class InvalidTransition(RequestError):
    """The decision does not apply to the state of the intake."""

    code = "INVALID_TRANSITION"
    http_status = 409


class OrderChangePending(RequestError):
    """A change of an order was sent, and its outcome is not known yet."""

    code = "ORDER_CHANGE_PENDING"
    http_status = 409
    default = "The outcome of this change is not known yet. Send it again, with the same key, in some seconds."


class SelfApproval(RequestError):
    """The approver has submitted the order, or requested the return."""

    code = "SELF_APPROVAL"
    http_status = 403
    default = "You submitted this order. Another approver must decide on it."


class ApprovalNotAllowed(RequestError):
    """The caller does not approve at the tier that the order waits for."""

    code = "APPROVAL_NOT_ALLOWED"
    http_status = 403
    default = "Your role may not decide at the tier that this order waits for."


class QuoteExpired(RequestError):
    """The offer of the quote has ended."""

    code = "QUOTE_EXPIRED"
    http_status = 409
    default = "The quote has expired. Request a new one, or renegotiate it."


class QuoteRefused(RequestError):
    """The source refused a request for a quote, or the answer to one."""

    code = "QUOTE_REFUSED"
    http_status = 422
    default = "The source refused this quote."


class ReturnRefused(RequestError):
    """The source refused a return, or a decision on one."""

    code = "RETURN_REFUSED"
    http_status = 422
    default = "The source refused this return."


class OrderProblem(RequestError):
    """What is wrong with an order. Problems are in the payload of a command, with the line that they are about."""

    code = "ORDER_PROBLEM"
    cure: str | None = None


class DuplicatePO(OrderProblem):
    """Another order of the customer has the same purchase order number."""

    code = "DUPLICATE_PO"
    default = "The customer has used this purchase order number before."
    cure = "Release the order if it is another one, or set allowDuplicatePo."


class CustomerUnknown(OrderProblem):
    """There is no such customer."""

    code = "CUSTOMER_UNKNOWN"
    default = "The customer does not exist."


class CustomerBlocked(OrderProblem):
    """The customer may not order."""

    code = "CUSTOMER_BLOCKED"
    default = "The customer is not active."
    cure = "Ask customer service to activate the account."


class ShipToUnknown(OrderProblem):
    """The address is not one of the customer's."""

    code = "SHIP_TO_UNKNOWN"
    default = "The ship-to location is not one of the customer's."
    cure = "Use the id of one of the customer's shipTos."


class ItemUnknown(OrderProblem):
    """There is no such item."""

    code = "ITEM_UNKNOWN"
    default = "The item does not exist."


class ItemNotOrderable(OrderProblem):
    """The item is blocked or discontinued."""

    code = "ITEM_NOT_ORDERABLE"
    default = "The item cannot be ordered."
    cure = "Order one of its substitutes."


class UnitUnknown(OrderProblem):
    """The item is not sold in this unit."""

    code = "UNIT_UNKNOWN"
    default = "The item has no such unit."
    cure = "Use a code or name of the item's uoms."


class QuantityNotOrderable(OrderProblem):
    """The quantity is below the minimum or not a multiple of the increment."""

    code = "QUANTITY_NOT_ORDERABLE"
    default = "The quantity is below the minimum or no multiple of the increment of this unit."
    cure = "See minimum and increment of the item's uoms."


class PriceMissing(OrderProblem):
    """The system of record has no price for the line."""

    code = "PRICE_MISSING"
    default = "The system of record has no price for this line."
    cure = "Ask customer service for a price."


class PriceProofInvalid(OrderProblem):
    """The proof is not one that this gateway made, or it was changed."""

    code = "PRICE_PROOF_INVALID"
    default = "The price proof is not valid."
    cure = "Use the proof of a contractPrice as it was returned, or none."


class PriceProofExpired(OrderProblem):
    """The proof is too old, or its price has ended."""

    code = "PRICE_PROOF_EXPIRED"
    default = "The price proof has expired."
    cure = "Read the contractPrice again and use its proof."


class PriceProofForeign(OrderProblem):
    """The proof is of another customer."""

    code = "PRICE_PROOF_FOREIGN"
    default = "The price proof is of another customer."
    cure = "Read the contractPrice of the customer who orders."


class PriceProofMismatch(OrderProblem):
    """The proof is of another item, unit or quantity break."""

    code = "PRICE_PROOF_MISMATCH"
    default = "The price proof is of another item, unit or quantity break than the line."
    cure = "Read the contractPrice of the item in the unit and quantity that is ordered."


class PriceChanged(OrderProblem):
    """The system of record has another price than was quoted."""

    code = "PRICE_CHANGED"
    default = "The price has changed since it was quoted."
    cure = "Order at the current price with a new key, or have the order released if it is held."


class CreditExceeded(OrderProblem):
    """The customer's credit does not allow the order."""

    code = "CREDIT_EXCEEDED"
    default = "The customer's credit does not allow this order; it is held for a decision."


class ApprovalRequired(OrderProblem):
    """A rule or the submitter's spend limit requires an approval."""

    code = "APPROVAL_REQUIRED"
    default = "The order needs an approval."
    cure = "An approver decides with decideIntake; awaitedTier names the tier."


class ApprovalOutdated(OrderProblem):
    """The order costs more than at the time of its approvals, or other rules apply to it."""

    code = "APPROVAL_OUTDATED"
    default = "The order has changed since its approvals: they do not count any more."
    cure = "Approve the order at its current amount, or reject it."


class OrderRefused(OrderProblem):
    """The system of record refused the order."""

    code = "ORDER_REFUSED"
    default = "The system of record refused this order."
    cure = "Correct the order and submit it with a new key."


class OrderAlreadyPicked(OrderProblem):
    """Picking of the order has begun."""

    code = "ORDER_ALREADY_PICKED"
    default = "Picking of this order has begun: it cannot be changed any more."
    cure = "Return the goods once they are delivered."


class OrderChangeRefused(OrderProblem):
    """The system of record refused to change the order."""

    code = "ORDER_CHANGE_REFUSED"
    default = "The system of record refused this change of the order."
    cure = "Ask customer service."


class OrderNotDelivered(OrderProblem):
    """Nothing of the order was delivered."""

    code = "ORDER_NOT_DELIVERED"
    default = "Nothing of this order was delivered yet."
    cure = "Cancel or amend the order before it is picked, or return the goods once they are delivered."


class LineUnknown(OrderProblem):
    """The order has no line of this number."""

    code = "LINE_UNKNOWN"
    default = "The order has no such line."


class ReturnExceedsDelivery(OrderProblem):
    """More is to be returned than was delivered and is in no other return."""

    code = "RETURN_EXCEEDS_DELIVERY"
    default = "More is returned than was delivered of this line and is in no other return."
    cure = "See shippedQuantity of the order line, and the returns of the order."


class PostingFailed(OrderProblem):
    """The order could not be posted, and the gateway has given up."""

    code = "POSTING_FAILED"
    default = "The order could not be posted to the system of record, and no further attempt is made."
    cure = "Retry it once the system of record is available, or cancel it."
