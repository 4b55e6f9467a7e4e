// Seeds a fresh server through its own Admin API. Keys, prices, stock and states are the same on each run; ids are not:
// 40 products x 5 variants (SKU-0001..SKU-0200), 3 stock locations, 3 customer groups with a price list each,
// 50 customers (CUST-0001..CUST-0050), 40 orders (SO-400001..SO-400040), a secret key for connectors.
const fs = require('fs');
const path = require('path');

const BASE = `http://127.0.0.1:${process.env.PORT || 9000}`;
const ADMIN = { email: 'admin@example.com', password: 'supersecret' };

let state = 20260105; // fixed start: mulberry32
const random = n => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % n;
};
const pad = (n, width = 4) => String(n).padStart(width, '0');
let authorization;

async function call(method, url, body) {
  const response = await fetch(BASE + url, {
    method,
    headers: { 'content-type': 'application/json', ...(authorization ? { authorization } : {}) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${text}\n${JSON.stringify(body)}`);
  return JSON.parse(text);
}
const post = (url, body = {}) => call('POST', url, body);
const get = url => call('GET', url);

async function setUp() {
  authorization = `Bearer ${(await post('/auth/user/emailpass', ADMIN)).token}`;
  const { stores } = await get('/admin/stores');
  await post(`/admin/stores/${stores[0].id}`, {
    supported_currencies: [{ currency_code: 'usd', is_default: true }, { currency_code: 'jpy' }],
  });
  const channels = (await get('/admin/sales-channels')).sales_channels;
  const channel = channels[0] ?? (await post('/admin/sales-channels', { name: 'Wholesale' })).sales_channel;
  const { region } = await post('/admin/regions', {
    name: 'United States', currency_code: 'usd', countries: ['us'], automatic_taxes: false,
  });
  const { shipping_profile: profile } = await post('/admin/shipping-profiles', { name: 'Goods', type: 'goods' });
  const locations = [];
  for (const [name, city, province] of [['WH-EAST', 'Newark', 'NJ'], ['WH-CENTRAL', 'Chicago', 'IL'], ['WH-WEST', 'Reno', 'NV']]) {
    const { stock_location: location } = await post('/admin/stock-locations', {
      name, address: { address_1: '1 Dock Rd', city, province, country_code: 'us' },
    });
    await post(`/admin/stock-locations/${location.id}/sales-channels`, { add: [channel.id] });
    await post(`/admin/stock-locations/${location.id}/fulfillment-providers`, { add: ['manual_manual'] });
    locations.push(location);
  }
  const options = [];
  for (const location of locations) {
    const { stock_location } = await post(`/admin/stock-locations/${location.id}/fulfillment-sets?fields=*fulfillment_sets`, {
      name: `Parcels of ${location.name}`, type: 'shipping',
    });
    const set = stock_location.fulfillment_sets[0];
    const { fulfillment_set } = await post(`/admin/fulfillment-sets/${set.id}/service-zones`, {
      name: `United States from ${location.name}`, geo_zones: [{ type: 'country', country_code: 'us' }],
    });
    options.push((await post('/admin/shipping-options', {
      name: 'Ground', service_zone_id: fulfillment_set.service_zones[0].id, shipping_profile_id: profile.id,
      provider_id: 'manual_manual', price_type: 'flat', prices: [{ currency_code: 'usd', amount: 15 }],
      type: { label: 'Ground', description: 'By road', code: 'ground' },
    })).shipping_option);
  }
  return { channel, region, profile, locations, options };
}

async function products({ channel, profile, locations }) {
  const kinds = ['Hex bolt', 'Flat washer', 'Lock nut', 'Ball valve', 'Copper elbow', 'PVC pipe', 'Cable tie', 'Safety glove'];
  const packs = ['1', '10', '25', '100', '500'];
  const variants = [];
  for (let p = 0; p < 40; p++) {
    const name = `${kinds[p % 8]} ${'ABCDE'[Math.floor(p / 8)]}`;
    const unit = 40 + random(400);
    const skus = packs.map((_, k) => `SKU-${pad(p * 5 + k + 1)}`);
    const prices = packs.map((pack, k) => [skus[k], Math.round(unit * Number(pack) * (1 - k * 0.05)) / 100]);
    const { product } = await post('/admin/products', {
      title: name, handle: name.toLowerCase().replace(/ /g, '-'), description: `${name}, wholesale packs`,
      status: p === 39 ? 'draft' : 'published', shipping_profile_id: profile.id, sales_channels: [{ id: channel.id }],
      options: [{ title: 'Pack', values: packs.map(pack => `${pack} pcs`) }],
      variants: packs.map((pack, k) => {
        const n = p * 5 + k + 1;
        return {
          title: `${name} ${pack} pcs`, sku: skus[k], ean: `40${pad(n, 11)}`, manage_inventory: true,
          weight: Number(pack) * 20, options: { Pack: `${pack} pcs` },
          prices: [{ currency_code: 'usd', amount: prices[k][1] }],
        };
      }),
    });
    const price = new Map(prices);
    variants.push(...product.variants.map(variant => ({ id: variant.id, sku: variant.sku, list: price.get(variant.sku) })));
  }
  variants.sort((a, b) => (a.sku < b.sku ? -1 : 1)); // Medusa answers in any order.
  const items = (await get('/admin/inventory-items?limit=500&fields=id,sku')).inventory_items;
  const item = new Map(items.map(one => [one.sku, one.id]));
  const create = [];
  for (const [i, variant] of variants.entries()) {
    for (const [w, location] of locations.entries()) {
      // Every twentieth variant is out of stock everywhere; every fiftieth is expected at the first location.
      const stocked = i % 20 === 19 || (w > 0 && random(10) === 0) ? 0 : random(400) + 100;
      create.push({
        inventory_item_id: item.get(variant.sku), location_id: location.id, stocked_quantity: stocked,
        incoming_quantity: i % 50 === 0 && w === 0 ? 60 : 0,
      });
    }
  }
  await post('/admin/inventory-items/location-levels/batch', { create });
  return variants;
}

async function customers(variants) {
  const groups = [];
  for (const name of ['Gold', 'Silver', 'Bronze'])
    groups.push((await post('/admin/customer-groups', { name })).customer_group);
  const cities = [['Chicago', 'IL', '60601'], ['Dallas', 'TX', '75201'], ['Denver', 'CO', '80202'], ['Boston', 'MA', '02108'], ['Seattle', 'WA', '98101']];
  const list = [];
  for (let i = 1; i <= 50; i++) {
    const { customer } = await post('/admin/customers', {
      email: `buyer${pad(i)}@example.com`, company_name: `Company ${pad(i)}`, first_name: `Buyer${pad(i)}`, last_name: `Company ${pad(i)}`,
      phone: `+1-555-01${pad(i % 100, 2)}`, metadata: { erp_number: `CUST-${pad(i)}`, sales_rep: `REP-${(i % 3) + 1}` },
    });
    const [city, province, postal_code] = cities[i % 5];
    customer.address = {
      company: `Company ${pad(i)}`, first_name: `Buyer${pad(i)}`, last_name: `Company ${pad(i)}`, address_1: `${i} Main St`,
      city, province, postal_code, country_code: 'us',
    };
    await post(`/admin/customers/${customer.id}/addresses`, { ...customer.address, address_name: 'Main', is_default_shipping: true, is_default_billing: true });
    if (i % 2) await post(`/admin/customers/${customer.id}/addresses`, { ...customer.address, address_name: 'Depot', address_1: `${i} Depot Rd` });
    list.push(customer);
  }
  const members = [list.slice(0, 10), list.slice(10, 25), list.slice(25, 45)];
  for (const [g, group] of groups.entries())
    await post(`/admin/customer-groups/${group.id}/customers`, { add: members[g].map(one => one.id) });
  // Each group's contract: a discount by group, and breaks at 10 and 100 for the first 100 SKUs.
  for (const [g, group] of groups.entries()) {
    const factor = [0.9, 0.95, 0.98][g];
    const cents = amount => Math.round(amount * 100) / 100;
    await post('/admin/price-lists', {
      title: `${group.name} contract`, description: `Contract prices of ${group.name} customers`, type: 'override', status: 'active',
      rules: { 'customer.groups.id': [group.id] },
      prices: variants.slice(0, 100).flatMap(variant => [
        { variant_id: variant.id, currency_code: 'usd', amount: cents(variant.list * factor), max_quantity: 9 },
        { variant_id: variant.id, currency_code: 'usd', amount: cents(variant.list * (factor - 0.05)), min_quantity: 10, max_quantity: 99 },
        { variant_id: variant.id, currency_code: 'usd', amount: cents(variant.list * (factor - 0.1)), min_quantity: 100 },
      ]),
    });
  }
  return list;
}

// state -> number of orders
const PLAN = [['draft', 3], ['pending', 12], ['partial', 5], ['shipped', 8], ['delivered', 8], ['canceled', 4]];

async function orders({ channel, region, locations, options }, variants, buyers) {
  const sold = variants.slice(0, 195).filter((_, i) => i % 20 !== 19);
  let n = 0;
  for (const [target, count] of PLAN) for (let k = 0; k < count; k++) {
    n++;
    const buyer = buyers[(n * 7) % 20]; // two orders each
    const wanted = new Map(Array.from({ length: 1 + n % 4 }, () => [sold[random(sold.length)].id, 1 + random(5)]));
    const { draft_order: draft } = await post('/admin/draft-orders', {
      email: buyer.email, customer_id: buyer.id, region_id: region.id, sales_channel_id: channel.id, currency_code: 'usd',
      shipping_address: buyer.address, billing_address: buyer.address,
      items: [...wanted].map(([variant_id, quantity], at) => ({ variant_id, quantity, metadata: { line_number: at + 1 } })),
      shipping_methods: [{ name: 'Ground', shipping_option_id: options[0].id, amount: 15 }],
      metadata: { order_code: `SO-${400000 + n}`, po_number: `PO-4${pad(n)}` },
    });
    if (target === 'draft') continue;
    await post(`/admin/draft-orders/${draft.id}/convert-to-order`);
    if (target === 'canceled') { await post(`/admin/orders/${draft.id}/cancel`); continue; }
    if (target === 'pending') continue;
    const { order } = await get(`/admin/orders/${draft.id}?fields=*items`);
    order.items.sort((a, b) => a.metadata.line_number - b.metadata.line_number);
    const items = order.items.map(line => ({ id: line.id, quantity: line.quantity }));
    if (target === 'partial') items.length > 1 ? items.pop() : items[0].quantity = Math.max(1, items[0].quantity - 1);
    const fulfilled = await post(`/admin/orders/${order.id}/fulfillments?fields=*fulfillments`, { items, location_id: locations[0].id });
    const fulfillment = fulfilled.order.fulfillments[0].id;
    const tracking_number = `1ZDEMO${400000 + n}`;
    await post(`/admin/orders/${order.id}/fulfillments/${fulfillment}/shipments`, {
      items, labels: [{ tracking_number, tracking_url: `https://carrier.example.com/${tracking_number}`, label_url: `https://carrier.example.com/labels/${tracking_number}` }],
    });
    if (target === 'delivered') await post(`/admin/orders/${order.id}/fulfillments/${fulfillment}/mark-as-delivered`);
  }
}

async function main() {
  const setting = await setUp();
  const variants = await products(setting);
  const buyers = await customers(variants);
  await orders(setting, variants, buyers);
  const { api_key } = await post('/admin/api-keys', { title: 'connector', type: 'secret' });
  const credentials = {
    admin: ADMIN, secret_key: api_key.token, region: setting.region.id, sales_channel: setting.channel.id,
    shipping_option: setting.options[0].id,
  };
  fs.writeFileSync(path.join(process.env.DATA_DIR || '.', 'credentials.json'), `${JSON.stringify(credentials, null, 2)}\n`, { mode: 0o600 });
}

main().catch(error => { console.error(error); process.exit(1); });
