"""Who may see what, written down from the words of the domain and not from the code: what the gateway is held to.

Whoever widens a right changes it here as well, by hand.
"""

from __future__ import annotations

from app.auth.principal import Role

ALL = frozenset(Role)
BUYERS = frozenset({Role.BUYER, Role.BUYER_ADMIN})
REP, PARTNER, ADMIN = frozenset({Role.SALES_REP}), frozenset({Role.PARTNER}), frozenset({Role.BUYER_ADMIN})
SERVICE = frozenset({Role.CSR, Role.CSR_LEAD})
AGENT = frozenset({Role.AGENT})
FINANCE, OPERATIONS = frozenset({Role.FINANCE}), frozenset({Role.OPERATIONS})

CUSTOMER = BUYERS | REP | SERVICE | FINANCE | PARTNER
AMOUNTS = ADMIN | REP | SERVICE | FINANCE
PRICE = BUYERS | PARTNER | REP | SERVICE | FINANCE
BREAKDOWN = REP | SERVICE | OPERATIONS
ORDER = BUYERS | PARTNER | REP | SERVICE | OPERATIONS | FINANCE
SHIPMENT = BUYERS | PARTNER | REP | SERVICE | OPERATIONS
ORDERING = BUYERS | PARTNER | REP | SERVICE
QUOTE = BUYERS | PARTNER | REP | SERVICE | FINANCE
APPROVER = ADMIN | {Role.CSR_LEAD}
INVOICE = ADMIN | FINANCE | SERVICE
SUMS = INVOICE | REP
RETURN = BUYERS | SERVICE | OPERATIONS | FINANCE
RETURNING = BUYERS | SERVICE
RECEIVABLE = ADMIN | REP | SERVICE | FINANCE
COMMISSION = AGENT | FINANCE
COST = FINANCE | {Role.CSR_LEAD}
PLATFORM = frozenset({Role.ADMIN})
OPERATORS = OPERATIONS | {Role.ADMIN}
STAFF = REP | SERVICE | FINANCE | OPERATIONS | {Role.ADMIN}

Fields = dict[str, frozenset[Role]]

PARTS: dict[str, str] = {
    "ChangesLost": "reason",
    "Address": "lines city region postalCode country",
    "CutOff": "time timeZone days service",
    "DeliveryDays": "area days postalCodes",
    "Dimensions": "length width height lengthUnit weight weightUnit",
    "Freshness": "source asOf age cached degraded maxAge reason",
    "Hazmat": "unNumber hazardClass packingGroup",
    "ItemAttribute": "code value unit",
    "ItemCategory": "path name count children",
    "ItemConnection": "edges nodes pageInfo totalCount facets categories freshness",
    "ItemEdge": "cursor node",
    "ItemFacet": "code values",
    "ItemFacetValue": "value unit count",
    "ItemMedia": "url kind alt",
    "Money": "amount currency",
    "PageInfo": "hasNextPage hasPreviousPage startCursor endCursor",
    "Party": "name address",
    "Promise": "requested confirmed unconfirmedQuantity binding reason freshness",
    "PromisePart": "quantity shipDate warehouse item",
    "PromiseRequest": "quantity uom date",
    "Ref": "system id",
    "Supply": "date delta kind",
    "UomConversion": "code name numerator denominator isBase isSales isStock minimum increment",
}
"""For everybody: reference data, and what is reached through a field that says itself who may see it."""

REFERENCE: dict[str, Fields] = {
    "AuditEvent": {
        "at requestId transport client subject tenant roles document operation kind status outcome code": PLATFORM,
        "forbidden rows commands cost backendCalls milliseconds": PLATFORM,
    },
    "AuditEventConnection": {"edges nodes pageInfo totalCount": PLATFORM},
    "AuditEventEdge": {"cursor node": PLATFORM},
    "AuditRows": {"type count": PLATFORM},
    "AvailabilityChanged": {"at item": ALL},
    "Availability": {
        "uom at atp projected supply freshness item warehouse": ALL,
        "breakdown": BREAKDOWN,
    },
    "AvailabilityBreakdown": {
        "onHand reserved allocated qualityHold safetyStock inTransfer inbound backordered": BREAKDOWN
    },
    "Item": {
        "id sku name status gtin manufacturerPart category baseUom uoms hazmat dimensions refs description": ALL,
        "freshness": ALL,
        "attributes media relations availability totalAtp": ALL,
        "customerPartNumber purchaseHistory": CUSTOMER,
        "cost": COST,
        "contractPrice": PRICE,
    },
    "ItemCost": {"unitCost marginFloor freshness": COST},
    "Source": {"name vendor health kinds inFlight waiting concurrency rate timeout capabilities": OPERATORS},
    "SourceCapability": {"port read status missingReason staleReason filters sorts totals": OPERATORS},
    "SourceCalls": {"name breaker latencyP50 latencyP99": OPERATORS},
    "Subscription": {
        "shipmentUpdates": SHIPMENT,
        "orderUpdates intakeUpdates": ORDER,
        "quoteUpdates": QUOTE,
        "returnUpdates": RETURN,
        "availabilityChanged": ALL,
    },
    "Viewer": {"subject roles workbench": ALL, "customers customersConnection": CUSTOMER},
    "Warehouse": {"id code name region cutOffs deliveryDays refs": ALL, "kind": STAFF},
    "Mutation": {
        "submitOrder decideIntake cancelOrder amendOrder": ORDERING,
        "retryIntake": SERVICE | OPERATIONS,
        "requestQuote decideQuote": ORDERING,
        "requestReturn decideReturn": RETURNING,
    },
    "Query": {
        "me node nodes item itemsBySku items warehouses promise": ALL,
        "customer customers": CUSTOMER,
        "order orders orderIntake orderIntakes": ORDER,
        "approvalsAwaitingMe": APPROVER,
        "shipment shipments": SHIPMENT,
        "invoices": INVOICE,
        "return returns": RETURN,
        "quote quotes": QUOTE,
        "sources": OPERATORS,
        "auditEvents": PLATFORM,
        "changes snapshot": ALL,
        "priceAndAvailability": PRICE,
        "agent commissionStatement": COMMISSION,
    },
}
"""Not bound to accounts, but for the fields below."""

OF_ACCOUNTS = {
    "Query.changes",
    "Query.snapshot",
    "Item.customerPartNumber",
    "Item.purchaseHistory",
    "Item.contractPrice",
    "Viewer.customers",
    "Query.customer",
    "Query.customers",
    "Query.order",
    "Query.orders",
    "Query.orderIntake",
    "Query.orderIntakes",
    "Query.approvalsAwaitingMe",
    "Mutation.submitOrder",
    "Mutation.decideIntake",
    "Mutation.cancelOrder",
    "Mutation.amendOrder",
    "Mutation.retryIntake",
    "Mutation.requestQuote",
    "Mutation.decideQuote",
    "Mutation.requestReturn",
    "Mutation.decideReturn",
    "Query.shipments",
    "Query.invoices",
    "Query.return",
    "Query.returns",
    "Query.quote",
    "Query.quotes",
    "Viewer.customersConnection",
    "Viewer.workbench",
    "Query.shipment",
    "Query.priceAndAvailability",
    "Query.agent",
    "Query.commissionStatement",
    "Subscription.shipmentUpdates",
    "Subscription.orderUpdates",
    "Subscription.intakeUpdates",
    "Subscription.quoteUpdates",
    "Subscription.returnUpdates",
}

RELATIONS: dict[str, Fields] = {"ItemRelation": {"type ratio approved priority item": ALL}}
"""Buyers and partners are shown approved ones only."""

OF_APPROVED = {"Item.relations"}

ACCOUNTS: dict[str, Fields] = {
    "Change": {"id kind at outcome node": ALL},
    "SnapshotPage": {"nodes cursor hasMore since": ALL},
    "ChangesPage": {"changes cursor hasMore resync lost": ALL},
    "ContractPrice": {
        "uom quantity unitPrice priceUnit net currency listPrice discountPercent breaks reason": PRICE,
        "validFrom validTo authority quotedAt proofId proof freshness item": PRICE,
    },
    "PriceBreak": {"minimum unitPrice": PRICE},
    "PriceReason": {"rule contract priceList certainty": PRICE},
    "PricedLine": {"outcome message item quantity uom price availability substitutes": PRICE},
    "CreditStatus": {
        "state checkedAt freshness": CUSTOMER,
        "limit exposure available overdue reason": AMOUNTS,
    },
    "Customer": {
        "id number name status class salesRep currency paymentTerms taxProfile billTo shipTos refs": CUSTOMER,
        "freshness": CUSTOMER,
        "parent creditStatus orders shipTosConnection openIntakes": CUSTOMER,
        "shipments": SHIPMENT & CUSTOMER,
        "invoices": INVOICE,
        "returns": RETURN & CUSTOMER,
        "quotes": QUOTE,
        "receivables": RECEIVABLE,
        "contacts purchaseHistory orderGuide": CUSTOMER,
    },
    "Workbench": {
        "day": ALL,
        "lateOrders heldOrders exceptions": ORDER,
        "pastDueInvoices": SUMS,
        "expiringQuotes": QUOTE,
    },
    "WorkbenchException": {"kind severity since cure intake": ORDER},
    "WorkbenchExceptionConnection": {"edges nodes pageInfo totalCount": ORDER},
    "WorkbenchExceptionEdge": {"cursor node": ORDER},
    "CustomerConnection": {"edges nodes pageInfo totalCount": CUSTOMER},
    "CustomerEdge": {"cursor node": CUSTOMER},
    "CustomerLocationConnection": {"edges nodes pageInfo totalCount": CUSTOMER},
    "CustomerLocationEdge": {"cursor node": CUSTOMER},
    "InvoiceConnection": {"edges nodes pageInfo totalCount": SUMS},
    "InvoiceEdge": {"cursor node": SUMS},
    "OrderLineConnection": {"edges nodes pageInfo totalCount": ORDER},
    "OrderLineEdge": {"cursor node": ORDER},
    "Quote": {
        "id number version status rawStatus requestedAt updatedAt validTo note message net tax total": QUOTE,
        "orderNumber lines refs freshness customer order intake": QUOTE,
    },
    "QuotePayload": {"quote intake problems": QUOTE},
    "QuoteLine": {
        "number sku description quantity uom targetPrice unitPrice priceUnit total note item": QUOTE,
    },
    "QuoteConnection": {"edges nodes pageInfo totalCount": QUOTE},
    "QuoteEdge": {"cursor node": QUOTE},
    "ReturnConnection": {"edges nodes pageInfo totalCount": RETURN},
    "ReturnEdge": {"cursor node": RETURN},
    "ShipmentConnection": {"edges nodes pageInfo totalCount": SHIPMENT},
    "ShipmentEdge": {"cursor node": SHIPMENT},
    "CustomerLocation": {"id kind name address gln taxProfile defaultWarehouse": CUSTOMER},
    "PaymentTerms": {"code name netDays discountPercent discountDays": CUSTOMER},
    "TaxProfile": {"area liable registrationNumber exemptions": CUSTOMER},
    "Order": {
        "id number customerPo channel status rawStatus orderedAt updatedAt billTo shipTo currency total totals": ORDER,
        "requestedOn promisedOn linesConnection": ORDER,
        "intake lines holds exceptions history freshness refs statusBySource conflicts warehouse": ORDER,
        "terms customer": CUSTOMER,
        "shipments shipmentsConnection": SHIPMENT,
        "invoices": SUMS,
        "priceChecks": INVOICE,
        "returns": RETURN,
    },
    "OrderConnection": {"edges nodes pageInfo totalCount": ORDER},
    "OrderEdge": {"cursor node": ORDER},
    "OrderException": {"code message lineNumber since": ORDER},
    "OrderHold": {"kind reason since": ORDER},
    "OrderLine": {
        "number description uom quantity confirmedQuantity shippedQuantity invoicedQuantity": ORDER,
        "backorderedQuantity cancelledQuantity returnedQuantity unitPrice total substitutionFor": ORDER,
        "scheduleLines item requestedItem availability": ORDER,
        "contractPrice": PRICE,
    },
    "OrderConflict": {"fieldName rule sides": ORDER},
    "ConflictSide": {"system value at age won": ORDER},
    "OrderSourceStatus": {"system status rawStatus at": ORDER},
    "OrderStatusChange": {"system status rawStatus at": ORDER},
    "OrderIntake": {
        "id key version channel receivedAt submittedBy customerPo requestedDate shipTo note acknowledgement": ORDER,
        "state checks problems decisions attempts nextAttemptAt orderNumber lines order": ORDER,
        "requiredApproval awaitedTier approvals": ORDER,
        "customer": CUSTOMER,
        "quote": QUOTE & ORDER,
    },
    "OrderIntakeConnection": {"edges nodes pageInfo totalCount": ORDER},
    "OrderIntakeEdge": {"cursor node": ORDER},
    "OrderIntakePayload": {"intake problems": ORDER},
    "OrderChangePayload": {"intake problems order": ORDER},
    "IntakeCheck": {"kind result message source at lineNumber": ORDER},
    "IntakeDecision": {"decision by at note": ORDER},
    "ApprovalRequirement": {"rules tiers amount": ORDER},
    "Approval": {"tier decision by at amount note current": ORDER},
    "IntakeLine": {
        "lineNumber quantity uom requestedDate quoted quotedUnit current priceUnit priceComparison ordered item": ORDER
    },
    "Problem": {"code message cure path lineNumber": ORDER},
    "OrderTotals": {"net tax shipping total": ORDER, "margin": FINANCE},
    "ScheduleLine": {"requestedDate confirmedDate quantity": ORDER},
    "Package": {"sscc trackingNumber dimensions items": SHIPMENT},
    "PackageItem": {"lineNumber sku quantity lot serial expiry": SHIPMENT},
    "ProofOfDelivery": {"signedBy at url": SHIPMENT},
    "Shipment": {
        "id refs carrier service trackingNumber trackingUrl shippedAt eta status rawStatus cancelled": SHIPMENT,
        "incident lines packages asn proofOfDelivery orderNumbers freshness order warehouse events": SHIPMENT,
        "customer": SHIPMENT - OPERATIONS,
        "proofOfDeliveryDocument": SHIPMENT - REP - OPERATIONS,
    },
    "DocumentLink": {"url fileName mediaType expiresAt": ALL},
    "ShipmentEta": {"promised carrier": SHIPMENT},
    "ShipmentIncident": {"party reason": SHIPMENT},
    "ShipmentLine": {"order lineNumber sku quantity": SHIPMENT},
    "ShipmentUpdate": {"cursor at shipment": SHIPMENT},
    "OrderUpdate": {"cursor at order": ORDER},
    "IntakeUpdate": {"cursor at intake": ORDER},
    "QuoteUpdate": {"cursor at quote": QUOTE},
    "ReturnUpdate": {"cursor at return": RETURN},
    "UpdatesLost": {"cursor from to reason": ORDER},
    "TrackingEvent": {"sequence at recordedAt status location description rawCode source": SHIPMENT},
    "Invoice": {
        "id kind net tax total freshness customer": SUMS,
        "number status rawStatus orderNumbers invoicedOn due open priceMatches lines refs": INVOICE,
        "document priceChecks": INVOICE,
    },
    "PriceCheck": {
        "orderNumber invoiceNumber lineNumber sku uom quoted quotedUnit ordered invoiced result": INVOICE,
    },
    "InvoiceLine": {"lineNumber sku description quantity uom unitPrice total": INVOICE},
    "Return": {
        "id number version requestedBy note message receivedOn orderNumber requestedOn reason": RETURN,
        "shipmentState creditState creditMemo lines freshness": RETURN,
        "customer": RETURN & CUSTOMER,
        "credit": RETURN & SUMS,
    },
    "ReturnLine": {"lineNumber sku quantity uom reason condition note": RETURN},
    "ReturnPayload": {"return": RETURN, "problems": RETURN & ORDER},
    "Agent": {
        "id number name tier status rawStatus refs freshness parent subAgents statements": COMMISSION,
    },
    "CommissionStatement": {
        "id number periodStart periodEnd state rawStatus base total lines refs freshness agent": COMMISSION,
    },
    "Receivables": {
        "balance overdue unapplied agedOn ageing lastPayment freshness openItems statement": RECEIVABLE,
    },
    "AgeingBucket": {"period amount items": RECEIVABLE},
    "CustomerPayment": {"number paidOn amount method": RECEIVABLE},
    "OpenItem": {
        "id kind number orderNumbers customerPo issuedOn due amount open daysOverdue period disputed": RECEIVABLE,
        "refs freshness": RECEIVABLE,
    },
    "OpenItemConnection": {"edges nodes pageInfo totalCount": RECEIVABLE},
    "OpenItemEdge": {"cursor node": RECEIVABLE},
    "AccountStatement": {"since until opening closing entries freshness": RECEIVABLE},
    "AccountStatementEntry": {"on kind number description amount balance": RECEIVABLE},
    "Contact": {
        "id name role rawRole phone mobile email isPrimary locationId refs freshness": CUSTOMER,
    },
    "PurchaseHistory": {"sku times since last freshness item": ORDER},
    "Purchase": {"orderNumber lineNumber orderedOn quantity uom unitPrice order": ORDER},
    "OrderGuideItem": {
        "sku basis section quantity uom times lastOrderedOn freshness item purchaseHistory": ORDER,
    },
    "OrderGuideItemConnection": {"edges nodes pageInfo totalCount": ORDER},
    "OrderGuideItemEdge": {"cursor node": ORDER},
    "CommissionLine": {"orderNumber base rate amount": COMMISSION, "order": FINANCE},
}
"""Rows of accounts or agents."""

MASKED: dict[str, tuple[str, frozenset[Role]]] = {
    "TaxProfile.registrationNumber": ("LAST4", ALL - FINANCE),
    "Contact.phone": ("LAST4", CUSTOMER - AMOUNTS),
    "Contact.mobile": ("LAST4", CUSTOMER - AMOUNTS),
    "Contact.email": ("HIDDEN", CUSTOMER - AMOUNTS),
    "Shipment.trackingNumber": ("LAST4", OPERATIONS),
    "Shipment.trackingUrl": ("HIDDEN", OPERATIONS),
    "Package.trackingNumber": ("LAST4", OPERATIONS),
    "ProofOfDelivery.signedBy": ("INITIALS", REP | OPERATIONS),
    "ProofOfDelivery.url": ("HIDDEN", REP | OPERATIONS),
}
"""The masks, and the roles that see through them."""

REACH = {
    Role.BUYER: "own",
    Role.BUYER_ADMIN: "own",
    Role.PARTNER: "partner",
    Role.SALES_REP: "assigned",
    Role.AGENT: "below",
    Role.CSR: "all",
    Role.CSR_LEAD: "all",
    Role.FINANCE: "all",
    Role.OPERATIONS: "all",
    Role.ADMIN: "all",
}

INPUTS = {
    "AgentKey": COMMISSION,
    "AuditFilter": PLATFORM,
    "CommissionStatementKey": COMMISSION,
    "CustomerKey": CUSTOMER,
    "DecideInput": ORDERING,
    "OrderIntakeFilter": ORDER,
    "OrderIntakeKey": ORDER,
    "OrderLineInput": ORDERING,
    "RetryInput": SERVICE | OPERATIONS,
    "SubmitOrderInput": ORDERING,
    "CancelOrderInput": ORDERING,
    "AmendOrderInput": ORDERING,
    "LineQuantityInput": ORDERING,
    "InvoiceFilter": INVOICE,
    "QuoteFilter": QUOTE,
    "DecideQuoteInput": ORDERING,
    "QuoteLineInput": ORDERING,
    "RequestQuoteInput": ORDERING,
    "QuoteKey": QUOTE,
    "ReturnFilter": RETURN,
    "ReturnKey": RETURN,
    "ReturnLineInput": RETURNING,
    "RequestReturnInput": RETURNING,
    "DecideReturnInput": RETURNING,
}
"""What not everybody may ask by."""

Cell = dict[str, str | None] | None


def _roles() -> dict[str, frozenset[Role]]:
    declared = REFERENCE | RELATIONS | ACCOUNTS | {name: {fields: ALL} for name, fields in PARTS.items()}
    return {
        f"{name}.{field}": roles
        for name, groups in declared.items()
        for fields, roles in groups.items()
        for field in fields.split()
    }


ROLES = _roles()
"""Every field, and who may see it."""


def reach(field: str, role: Role) -> str:
    name = field.partition(".")[0]
    if name in ACCOUNTS or field in OF_ACCOUNTS:
        return REACH[role]
    if name in RELATIONS or field in OF_APPROVED:
        return "approved" if role in BUYERS | PARTNER | AGENT else "all"
    return "all"


def _mask(field: str, role: Role) -> str | None:
    mask, through = MASKED.get(field, (None, ALL))
    return mask if role in through else None


CELLS: dict[str, dict[str, Cell]] = {
    field: {
        role.value: {"rows": reach(field, role), "mask": _mask(field, role)} if role in roles else None for role in Role
    }
    for field, roles in ROLES.items()
}
"""What each role gets of each field: None where it is refused."""
