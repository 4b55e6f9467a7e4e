"""Fill an Odoo 11 database whose keys line up with the other backends: run by the interpreter of Odoo.

    python seed.py odoo.conf DATABASE
"""

import sys
from datetime import datetime, timedelta

import odoo
from odoo import SUPERUSER_ID, api

CITIES = [("Macon", "GA", "31201"), ("Austin", "TX", "78701"), ("Fresno", "CA", "93650"), ("Toledo", "OH", "43604")]
WAREHOUSES = [("WH-EAST", "EAST"), ("WH-CENTRAL", "CENTR"), ("WH-WEST", "WEST")]
CUSTOMERS, ITEMS, ORDERS = 50, 200, 60
START = datetime(2026, 1, 5, 9, 0, 0)


def fill(env):
    company = env.ref("base.main_company")
    company.write({"currency_id": env.ref("base.USD").id})
    env.ref("base.USD").active = True
    company.chart_template_id or env.ref("l10n_generic_coa.configurable_chart_template").try_loading_for_current_company()
    env["product.pricelist"].search([]).write({"currency_id": env.ref("base.USD").id})
    warehouses = make_warehouses(env)
    items = make_items(env)
    lists = make_price_lists(env, items)
    customers = make_customers(env, lists)
    stock_items(env, warehouses, items)
    receipts(env, warehouses, items)
    make_orders(env, warehouses, items, customers)
    env["ir.sequence"].search([("code", "=", "sale.order")]).write({"prefix": "SO-3", "padding": 5, "number_next": 1001})


def make_warehouses(env):
    first = env["stock.warehouse"].search([], limit=1)
    first.write({"name": WAREHOUSES[0][0], "code": WAREHOUSES[0][1]})
    others = [env["stock.warehouse"].create({"name": name, "code": code}) for name, code in WAREHOUSES[1:]]
    return [first, *others]


def make_items(env):
    dozen = env.ref("product.product_uom_dozen")
    found = []
    for n in range(1, ITEMS + 1):
        values = {
            "name": "Item %04d" % n,
            "default_code": "SKU-%04d" % n,
            "barcode": "%013d" % (4000000000000 + n),
            "type": "product",
            "list_price": 5 + n * 0.25,
            "standard_price": 2 + n * 0.125,
            "weight": n / 10.0,
            "invoice_policy": "delivery",
            "taxes_id": [(5,)],
        }
        if n % 50 == 0:
            values.update(uom_id=dozen.id, uom_po_id=dozen.id)
        if n % 97 == 0:
            values["sale_ok"] = False
        found.append(env["product.product"].create(values))
    return found


def make_price_lists(env, items):
    contract = env["product.pricelist"].create({"name": "Contract A", "currency_id": env.ref("base.USD").id})
    for place, item in enumerate(items[:40]):
        for minimum, factor in ((1, 0.9), (10, 0.85), (100, 0.8)):
            env["product.pricelist.item"].create({
                "pricelist_id": contract.id,
                "applied_on": "1_product",
                "product_tmpl_id": item.product_tmpl_id.id,
                "min_quantity": minimum,
                "compute_price": "fixed",
                "fixed_price": round((5 + (place + 1) * 0.25) * factor, 2),
            })
    discount = env["product.pricelist"].create({"name": "Discount 5", "currency_id": env.ref("base.USD").id})
    discount.item_ids.unlink()
    env["product.pricelist.item"].create({
        "pricelist_id": discount.id, "applied_on": "3_global", "compute_price": "percentage", "percent_price": 5,
    })
    return [contract, discount]


def make_customers(env, lists):
    country = env.ref("base.us")
    terms = env.ref("account.account_payment_term_net")
    found = []
    for n in range(1, CUSTOMERS + 1):
        city, state, zip_code = CITIES[n % len(CITIES)]
        place = {
            "city": city,
            "zip": zip_code,
            "country_id": country.id,
            "state_id": env["res.country.state"].search([("country_id", "=", country.id), ("code", "=", state)]).id,
        }
        customer = env["res.partner"].create(dict(
            place,
            name="Company %04d" % n,
            ref="CUST-%04d" % n,
            is_company=True,
            customer=True,
            street="%d Main St" % n,
            email="buyer%04d@example.com" % n,
            credit_limit=1000 * n,
            sale_warn="block" if n % 25 == 0 else "no-message",
            sale_warn_msg="Ask accounting" if n % 25 == 0 else False,
            property_payment_term_id=terms.id,
            **({"property_product_pricelist": lists[n % 2].id} if n % 3 else {})
        ))
        env["res.partner"].create(dict(
            place, parent_id=customer.id, type="delivery", name="Dock %04d" % n, street="%d Dock Rd" % n,
        ))
        env["res.partner"].create({
            "parent_id": customer.id, "type": "contact", "name": "Buyer %04d" % n, "function": "Purchasing",
            "email": "buyer%04d@example.com" % n, "phone": "+1 555 %04d" % n,
        })
        found.append(customer)
    return found


def stock_items(env, warehouses, items):
    for n, item in enumerate(items, start=1):
        for place, warehouse in enumerate(warehouses):
            amount = (n * 7 + place * 13) % 90 + 60 * (place == 0)
            env["stock.quant"]._update_available_quantity(item, warehouse.lot_stock_id, amount)


def receipts(env, warehouses, items):
    vendor = env["res.partner"].create({"name": "Supplier 1", "supplier": True, "customer": False, "ref": "SUPP-0001"})
    order = env["purchase.order"].create({
        "partner_id": vendor.id,
        "picking_type_id": warehouses[0].in_type_id.id,
        "order_line": [
            (0, 0, {
                "name": item.name, "product_id": item.id, "product_qty": 24, "product_uom": item.uom_id.id,
                "price_unit": 2.5, "date_planned": (datetime.now() + timedelta(days=10)).strftime("%Y-%m-%d 10:00:00"),
            })
            for item in items[:30]
        ],
    })
    order.button_confirm()


def make_orders(env, warehouses, items, customers):
    """SO-300001 to SO-300060: 5 drafts, 5 quotations, 5 cancelled; of the others a third sent, a third sent in part."""
    sold = [item for item in items if item.sale_ok]
    for n in range(1, ORDERS + 1):
        customer = customers[(n - 1) % 20]
        when = START + timedelta(days=2 * n)
        order = env["sale.order"].create({
            "name": "SO-%06d" % (300000 + n),
            "partner_id": customer.id,
            "partner_shipping_id": customer.child_ids.filtered(lambda one: one.type == "delivery").id,
            "client_order_ref": "PO-3%05d" % n,
            "date_order": when.strftime("%Y-%m-%d %H:%M:%S"),
            "warehouse_id": warehouses[n % 3].id,
            "order_line": [
                (0, 0, {
                    "product_id": sold[(n * 3 + k) % 60].id,
                    "product_uom_qty": 2 + (n + k) % 5,
                    "product_uom": sold[(n * 3 + k) % 60].uom_id.id,
                    "price_unit": 4.5 + k,
                })
                for k in range(1 + n % 3)
            ],
        })
        if n <= 5:
            continue
        if n <= 10:
            order.write({"state": "sent"})
            continue
        order.action_confirm()
        order.write({"date_order": when.strftime("%Y-%m-%d %H:%M:%S")})
        if n <= 15:
            order.action_cancel()
            continue
        if n % 3:
            deliver(env, order, part=n % 3 == 2, tracking="1ZDEMO%06d" % (300000 + n))
        env.cr.commit()


def deliver(env, order, part, tracking):
    picking = order.picking_ids.filtered(lambda one: one.state not in ("done", "cancel"))[:1]
    picking.action_assign()
    for move in picking.move_lines:
        move.quantity_done = 1 if part else move.product_uom_qty
    picking.carrier_tracking_ref = tracking
    picking.action_done()
    if order.invoice_status == "to invoice":
        invoice = env["account.invoice"].browse(order.action_invoice_create())
        if int(tracking[-2:]) % 2:
            invoice.action_invoice_open()


def main(conf, database):
    odoo.tools.config.parse_config(["-c", conf, "-d", database])
    with api.Environment.manage():
        registry = odoo.registry(database)
        with registry.cursor() as cursor:
            env = api.Environment(cursor, SUPERUSER_ID, {})
            if not env["res.partner"].search([("ref", "=", "CUST-0001")]):
                fill(env)
            cursor.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
