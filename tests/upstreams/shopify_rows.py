"""The rows of a small wholesale shop, as the fields of Shopify's Admin API name them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

Row = dict[str, Any]

OPENED = datetime(2026, 3, 2, 14, tzinfo=UTC)


def gid(kind: str, number: int) -> str:
    """A global id."""
    return f"gid://shopify/{kind}/{number}"


def at(days: int, hours: int = 0) -> str:
    """A time after the shop opened, in whole seconds, as Shopify writes it."""
    return (OPENED + timedelta(days=days, hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def money(amount: str | Decimal, currency: str = "USD") -> Row:
    return {"amount": str(amount), "currencyCode": currency}


def bag(amount: str | Decimal) -> Row:
    return {"presentmentMoney": money(amount), "shopMoney": money(amount)}


def address(number: int, street: str = "Main St") -> Row:
    """A location's address."""
    return {
        "companyName": f"Company {number:04}",
        "recipient": "Receiving",
        "address1": f"{number} {street}",
        "address2": "",
        "city": "Seattle",
        "zoneCode": "WA",
        "zip": "98101",
        "countryCode": "US",
    }


def location(number: int, company: int, external_id: str | None) -> Row:
    """A location of a company."""
    return {
        "__typename": "CompanyLocation",
        "id": gid("CompanyLocation", number),
        "name": f"Branch {number}",
        "externalId": external_id,
        "currency": "USD",
        "billingAddress": address(company),
        "shippingAddress": address(number, "Dock Rd"),
        "taxSettings": {"taxExempt": False, "taxExemptions": [], "taxRegistrationId": f"US-{company}"},
        "buyerExperienceConfiguration": {"paymentTermsTemplate": {"name": "Net 30", "dueInDays": 30}},
    }


def company(number: int, locations: list[Row]) -> Row:
    """A company that buys."""
    return {
        "__typename": "Company",
        "id": gid("Company", number),
        "name": f"Company {number:04}",
        "externalId": f"CUST-{number:04}",
        "updatedAt": at(1, number),
        "totalSpent": money("0"),
        "mainContact": {"__typename": "CompanyContact", "id": gid("CompanyContact", 900 + number)},
        "locations": locations,
        "metafields": [{"namespace": "custom", "key": "route", "jsonValue": f"R{number}"}],
    }


def variant(number: int, product: Row, *, sku: str | None, price: str = "10.00", on_hand: int = 100) -> Row:
    """A variant with its stock at both locations."""
    return {
        "__typename": "ProductVariant",
        "id": gid("ProductVariant", number),
        "sku": sku,
        "barcode": f"40000000{number:05}",
        "title": "Default Title",
        "selectedOptions": [{"name": "Title", "value": "Default Title"}],
        "product": product,
        "price": price,
        "inventoryItem": {
            "__typename": "InventoryItem",
            "id": gid("InventoryItem", number),
            "tracked": True,
            "unitCost": money("4.25"),
            "measurement": {"weight": {"unit": "POUNDS", "value": 1.5}},
            "inventoryLevels": [level(number, 1, on_hand), level(number, 2, on_hand // 2)],
        },
        "metafields": [{"namespace": "specs", "key": "threads", "jsonValue": 20 + number}],
    }


def level(item: int, place: int, on_hand: int) -> Row:
    """An item at a location; 7 are promised to orders."""
    of = {"on_hand": on_hand, "committed": 7, "reserved": 1, "damaged": 2, "safety_stock": 3, "quality_control": 4}
    return {
        "__typename": "InventoryLevel",
        "id": gid("InventoryLevel", item * 100 + place),
        "location": PLACES[place - 1],
        "quantities": of,
    }


PLACES: list[Row] = [
    {
        "__typename": "Location",
        "id": gid("Location", 1),
        "name": "East",
        "isFulfillmentService": False,
        "address": {"provinceCode": "NY"},
    },
    {
        "__typename": "Location",
        "id": gid("Location", 2),
        "name": "West",
        "isFulfillmentService": True,
        "address": {"provinceCode": "WA"},
    },
]


def product(number: int, status: str = "ACTIVE") -> Row:
    """A product."""
    return {
        "__typename": "Product",
        "id": gid("Product", number),
        "title": f"Hex bolt {number}",
        "description": "Zinc plated.",
        "productType": "Fasteners",
        "vendor": "Acme",
        "status": status,
        "updatedAt": at(2, number),
        "featuredMedia": {
            "__typename": "MediaImage",
            "preview": {"image": {"url": f"https://cdn.example.com/{number}.png", "altText": "A bolt"}},
        },
    }


def line(number: int, sku: str, quantity: int, price: str = "9.50") -> Row:
    """A line of an order."""
    return {
        "__typename": "LineItem",
        "id": gid("LineItem", number),
        "sku": sku,
        "name": f"Hex bolt {sku}",
        "quantity": quantity,
        "discountedUnitPriceSet": bag(price),
        "discountedTotalSet": bag(Decimal(price) * quantity),
    }


def fulfillment(number: int, lines: list[tuple[Row, int]], days: int) -> Row:
    """A fulfilment on its way."""
    return {
        "__typename": "Fulfillment",
        "id": gid("Fulfillment", number),
        "status": "SUCCESS",
        "displayStatus": "IN_TRANSIT",
        "createdAt": at(days),
        "updatedAt": at(days, 1),
        "estimatedDeliveryAt": at(days + 3),
        "location": PLACES[0],
        "trackingInfo": [
            {"company": "UPS", "number": f"1ZSHOP{number:06}", "url": f"https://track.example.com/{number}"}
        ],
        "fulfillmentLineItems": [
            {
                "__typename": "FulfillmentLineItem",
                "id": gid("FulfillmentLineItem", number * 100 + index),
                "quantity": of,
                "lineItem": row,
            }
            for index, (row, of) in enumerate(lines)
        ],
        "events": [
            {
                "__typename": "FulfillmentEvent",
                "id": gid("FulfillmentEvent", number * 10 + index),
                "status": status,
                "happenedAt": at(days, index),
                "createdAt": at(days, index + 1),
                "message": "Scanned",
                "city": "Kent",
                "province": "WA",
                "country": "US",
            }
            for index, status in enumerate(("CARRIER_PICKED_UP", "IN_TRANSIT"))
        ],
    }


def order(number: int, buyer: Row, lines: list[Row], days: int, *, status: str = "UNFULFILLED") -> Row:
    """An order of a company."""
    net = sum((Decimal(one["discountedTotalSet"]["presentmentMoney"]["amount"]) for one in lines), Decimal(0))
    ship_to = {
        "company": buyer["name"],
        "name": "Receiving",
        "address1": "1 Dock Rd",
        "address2": None,
        "city": "Seattle",
        "provinceCode": "WA",
        "zip": "98101",
        "countryCodeV2": "US",
    }
    return {
        "__typename": "Order",
        "id": gid("Order", number),
        "name": f"#{number}",
        "poNumber": f"PO-{number}",
        "sourceName": "web",
        "processedAt": at(days),
        "updatedAt": at(days + 30, number % 24),
        "cancelledAt": None,
        "displayFulfillmentStatus": status,
        "presentmentCurrencyCode": "USD",
        "taxesIncluded": False,
        "purchasingEntity": {"__typename": "PurchasingCompany", "company": buyer, "location": buyer["locations"][0]},
        "currentSubtotalPriceSet": bag(net),
        "currentTotalTaxSet": bag("1.00"),
        "currentShippingPriceSet": bag("5.00"),
        "currentTotalPriceSet": bag(net + 6),
        "billingAddress": ship_to,
        "shippingAddress": ship_to,
        "paymentTerms": {"paymentTermsName": "Net 30", "dueInDays": 30},
        "lineItems": lines,
        "fulfillments": [],
        "metafields": [{"namespace": "custom", "key": "dock", "jsonValue": "7"}],
    }
