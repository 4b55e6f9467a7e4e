"""What is read of and sent to S/4HANA: a struct's fields are the `$select`, its nested structs the `$expand`.

Names and types are those of the metadata documents of the released OData V2 services. Dates come as `/Date(ms)/`,
decimals as text; an empty text or null stands for no value.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from app.http.odata_v2 import ODataList
from app.sources.values import Record

_ACRONYMS = frozenset({"atp", "bp", "id", "sd", "utc", "vat"})


def _wire_name(name: str) -> str:
    """`sd_document` -> `SDDocument`; navigation properties start with `to_`."""
    prefix, bare = ("to_", name[3:]) if name.startswith("to_") else ("", name)
    return prefix + "".join(word.upper() if word in _ACRONYMS else word.capitalize() for word in bare.split("_"))


class SAPRow(Record, rename=_wire_name):
    """A row of an entity set."""


class SAPAddressUsageRow(SAPRow):
    """`A_BuPaAddressUsage`."""

    address_usage: str


class SAPAddressRow(SAPRow):
    """`A_BusinessPartnerAddress`."""

    address_id: str
    full_name: str | None = None
    street_name: str | None = None
    house_number: str | None = None
    additional_street_prefix_name: str | None = None
    city_name: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None
    to_address_usage: ODataList[SAPAddressUsageRow] = ODataList()


class SAPPartnerFunctionRow(SAPRow):
    """`A_CustSalesPartnerFunc`."""

    partner_function: str
    bp_customer_number: str | None = None


class SAPSalesAreaRow(SAPRow):
    """`A_CustomerSalesArea`."""

    sales_organization: str
    distribution_channel: str
    division: str
    currency: str | None = None
    customer_group: str | None = None
    customer_payment_terms: str | None = None
    order_is_blocked_for_customer: str | None = None
    deletion_indicator: bool | None = None
    supplying_plant: str | None = None
    to_partner_function: ODataList[SAPPartnerFunctionRow] = ODataList()


class SAPCustomerRow(SAPRow):
    """`A_Customer`."""

    customer: str
    order_is_blocked_for_customer: str | None = None
    deletion_indicator: bool | None = None
    vat_registration: str | None = None
    to_customer_sales_area: ODataList[SAPSalesAreaRow] = ODataList()


class SAPLocationRow(SAPRow):
    """`A_BusinessPartner`, for the address of a ship-to party."""

    customer: str
    business_partner_name: str | None = None
    to_business_partner_address: ODataList[SAPAddressRow] = ODataList()


class SAPBusinessPartnerRow(SAPLocationRow):
    """`A_BusinessPartner`, a customer."""

    business_partner_is_blocked: bool | None = None
    to_customer: SAPCustomerRow | None = None


class SAPCreditAccountRow(SAPRow):
    """`CreditManagementAccount`."""

    business_partner: str
    business_partner_is_critical: bool | None = None
    credit_account_is_blocked: bool | None = None
    credit_account_block_reason: str | None = None
    credit_limit_amount: Decimal = Decimal(0)
    credit_limit_is_zero: bool | None = None
    credit_segment_currency: str


class SAPProductDescriptionRow(SAPRow):
    """`A_ProductDescription`."""

    language: str
    product_description: str | None = None


class SAPProductUnitRow(SAPRow):
    """`A_ProductUnitsOfMeasure`."""

    alternative_unit: str
    quantity_numerator: Decimal
    quantity_denominator: Decimal


class SAPProductRow(SAPRow):
    """`A_Product`."""

    product: str
    base_unit: str
    is_marked_for_deletion: bool | None = None
    cross_plant_status: str | None = None
    product_group: str | None = None
    product_standard_id: str | None = None
    product_manufacturer_number: str | None = None
    to_description: ODataList[SAPProductDescriptionRow] = ODataList()
    to_product_units_of_measure: ODataList[SAPProductUnitRow] = ODataList()


class SAPBaseUnitRow(SAPRow):
    """`A_Product`, for the unit in which stock is counted."""

    product: str
    base_unit: str


class SAPProductEANRow(SAPRow):
    """`A_ProductUnitsOfMeasureEAN`."""

    product: str
    product_standard_id: str


class SAPCustomerMaterialRow(SAPRow):
    """`A_CustomerMaterial`."""

    customer: str
    material: str
    material_by_customer: str


class SAPStockRow(SAPRow):
    """`A_MatlStkInAcctMod`."""

    material: str
    plant: str
    inventory_stock_type: str
    matl_wrhs_stk_qty_in_matl_base_unit: Decimal


class SAPAvailabilityRow(SAPRow):
    """`AvailabilityRecord`: what can be promised in a period."""

    period_start_utc_date_time: str
    available_quantity_in_base_unit: Decimal


class SAPScheduleLineRow(SAPRow):
    """`A_SalesOrderScheduleLine`."""

    schedule_line: str
    requested_delivery_date: str | None = None
    confirmed_delivery_date: str | None = None
    schedule_line_order_quantity: Decimal = Decimal(0)
    confd_order_qty_by_matl_avail_check: Decimal = Decimal(0)
    delivered_qty_in_order_qty_unit: Decimal = Decimal(0)
    open_confd_deliv_qty_in_ord_qty_unit: Decimal = Decimal(0)


class SAPOrderItemRow(SAPRow):
    """`A_SalesOrderItem`."""

    sales_order_item: str
    material: str | None = None
    sales_order_item_text: str | None = None
    requested_quantity: Decimal = Decimal(0)
    requested_quantity_unit: str | None = None
    confd_deliv_qty_in_order_qty_unit: Decimal | None = None
    net_amount: Decimal | None = None
    tax_amount: Decimal | None = None
    production_plant: str | None = None
    sales_document_rjcn_reason: str | None = None
    to_schedule_line: ODataList[SAPScheduleLineRow] = ODataList()


class SAPOrderAddressRow(SAPRow):
    """`A_SalesOrderPartnerAddress`."""

    addressee_full_name: str | None = None
    organization_name1: str | None = None
    street_name: str | None = None
    house_number: str | None = None
    city_name: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None


class SAPOrderPartnerRow(SAPRow):
    """`A_SalesOrderHeaderPartner`."""

    partner_function: str
    to_address: ODataList[SAPOrderAddressRow] = ODataList()


class SAPOrderRow(SAPRow):
    """`A_SalesOrder`."""

    sales_order: str
    sold_to_party: str | None = None
    purchase_order_by_customer: str | None = None
    sales_order_date: str | None = None
    requested_delivery_date: str | None = None
    last_change_date_time: str | None = None
    customer_payment_terms: str | None = None
    transaction_currency: str
    total_net_amount: Decimal
    overall_sd_process_status: str | None = None
    overall_total_delivery_status: str | None = None
    overall_sd_document_rejection_sts: str | None = None
    total_credit_check_status: str | None = None
    delivery_block_reason: str | None = None
    header_billing_block_reason: str | None = None
    to_partner: ODataList[SAPOrderPartnerRow] = ODataList()
    to_item: ODataList[SAPOrderItemRow] = ODataList()


class SAPChangedOrderRow(SAPRow):
    """`A_SalesOrder`, for its time of change."""

    sales_order: str
    last_change_date_time: str | None = None


class SAPChangedProductRow(SAPRow):
    """`A_Product`, for its time of change."""

    product: str
    last_change_date_time: str | None = None


class SAPChangedInvoiceRow(SAPRow):
    """`A_BillingDocument`, for its time of change."""

    billing_document: str
    last_change_date_time: str | None = None


class SAPWrittenOrderRow(SAPRow):
    """`A_SalesOrder`, as it is found again."""

    sales_order: str
    purchase_order_by_customer: str | None = None


class SAPCreatedOrder(msgspec.Struct, frozen=True):
    """The answer to a creation."""

    d: SAPWrittenOrderRow


class SAPDeliveryReferenceRow(SAPRow):
    """`A_OutbDeliveryItem`, for the delivery of an order."""

    delivery_document: str


class SAPDeliveryItemRow(SAPRow):
    """`A_OutbDeliveryItem`."""

    delivery_document_item: str
    material: str | None = None
    actual_delivery_quantity: Decimal = Decimal(0)
    reference_sd_document: str | None = None
    reference_sd_document_item: str | None = None
    plant: str | None = None


class SAPDeliveryRow(SAPRow):
    """`A_OutbDeliveryHeader`."""

    delivery_document: str
    sold_to_party: str | None = None
    delivery_date: str | None = None
    actual_goods_movement_date: str | None = None
    overall_goods_movement_status: str | None = None
    overall_proof_of_delivery_status: str | None = None
    to_delivery_document_item: ODataList[SAPDeliveryItemRow] = ODataList()


class SAPBillingReferenceRow(SAPRow):
    """`A_BillingDocumentItem`, for the billing document of an order."""

    billing_document: str


class SAPBillingItemRow(SAPRow):
    """`A_BillingDocumentItem`."""

    billing_document_item: str
    material: str | None = None
    billing_document_item_text: str | None = None
    billing_quantity: Decimal = Decimal(0)
    billing_quantity_unit: str | None = None
    net_amount: Decimal | None = None
    sales_document: str | None = None
    sales_document_item: str | None = None


class SAPBillingRow(SAPRow):
    """`A_BillingDocument`."""

    billing_document: str
    sd_document_category: str | None = None
    sold_to_party: str | None = None
    billing_document_date: str | None = None
    billing_document_is_cancelled: bool | None = None
    cancelled_billing_document: str | None = None
    invoice_clearing_status: str | None = None
    total_net_amount: Decimal
    tax_amount: Decimal
    total_gross_amount: Decimal
    transaction_currency: str
    to_item: ODataList[SAPBillingItemRow] = ODataList()


class SAPSimulationItemRow(SAPRow):
    """`A_SalesOrderItemSimulation`."""

    sales_order_item: str
    material: str | None = None
    requested_quantity: Decimal
    requested_quantity_unit: str
    confd_deliv_qty_in_order_qty_unit: Decimal | None = None
    net_amount: Decimal
    transaction_currency: str


class SAPSimulationRow(SAPRow):
    """`A_SalesOrderSimulation`."""

    to_item: ODataList[SAPSimulationItemRow]


class SAPSimulatedOrder(msgspec.Struct, frozen=True):
    """The answer to a simulation."""

    d: SAPSimulationRow


# What is sent


class SAPNewSimulationItem(SAPRow):
    """An item to price."""

    sales_order_item: str
    material: str
    requested_quantity: str
    requested_quantity_unit: str | msgspec.UnsetType = msgspec.UNSET


class SAPNewSimulation(SAPRow):
    """An order to price; S/4HANA creates nothing of it."""

    sales_order_type: str
    sales_organization: str
    distribution_channel: str
    organization_division: str
    sold_to_party: str
    pricing_date: str | msgspec.UnsetType = msgspec.UNSET
    requested_delivery_date: str | msgspec.UnsetType = msgspec.UNSET
    to_item: tuple[SAPNewSimulationItem, ...]


class SAPNewPartner(SAPRow):
    """The customer of a partner function."""

    partner_function: str
    customer: str


class SAPNewText(SAPRow):
    """A text of an order."""

    language: str
    long_text_id: str
    long_text: str


class SAPNewPricingElement(SAPRow):
    """A price of an item, as it was quoted."""

    condition_type: str
    condition_rate_value: str
    condition_currency: str
    condition_quantity: str
    condition_quantity_unit: str | msgspec.UnsetType = msgspec.UNSET


class SAPNewItem(SAPRow):
    """An item of an order."""

    material: str
    requested_quantity: str
    requested_quantity_unit: str | msgspec.UnsetType = msgspec.UNSET
    to_pricing_element: tuple[SAPNewPricingElement, ...] | msgspec.UnsetType = msgspec.UNSET


class SAPNewSalesOrder(SAPRow):
    """`A_SalesOrder` to create, with all that belongs to it in one request."""

    sales_order_type: str
    sales_organization: str
    distribution_channel: str
    organization_division: str
    sold_to_party: str
    purchase_order_by_customer: str
    requested_delivery_date: str | msgspec.UnsetType = msgspec.UNSET
    complete_delivery_is_defined: bool
    to_partner: tuple[SAPNewPartner, ...] | msgspec.UnsetType = msgspec.UNSET
    to_text: tuple[SAPNewText, ...] | msgspec.UnsetType = msgspec.UNSET
    to_item: tuple[SAPNewItem, ...]
