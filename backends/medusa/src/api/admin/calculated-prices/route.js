// The prices of customers, as Medusa's Pricing Module calculates them; the Admin API itself has no such call.
//   POST /admin/calculated-prices
//   {"number_key": "erp_number", "currency_code": "usd", "region_id": null,
//    "requests": [{"customer": "CUST-0001", "sku": "SKU-0001", "quantity": 12}]}
// answers with a price for each request, in order; null where Medusa has none.
const { ContainerRegistrationKeys, MedusaError, Modules } = require('@medusajs/framework/utils');

const MOST = 500, TIERS = 20;
const KEY = /^[A-Za-z0-9_-]{1,64}$/;

exports.POST = async (req, res) => {
  const { number_key: key, currency_code, region_id, requests } = req.body ?? {};
  if (!KEY.test(key ?? '') || !currency_code || !Array.isArray(requests) || requests.length > MOST)
    throw new MedusaError(MedusaError.Types.INVALID_DATA, `Give number_key, currency_code and at most ${MOST} requests.`);
  const query = req.scope.resolve(ContainerRegistrationKeys.QUERY);
  const pricing = req.scope.resolve(Modules.PRICING);
  const graph = async (entity, fields, filters) => (await query.graph({ entity, fields, filters })).data;

  const people = await graph('customer', ['id', 'metadata', 'groups.id'], { metadata: { [key]: [...new Set(requests.map(one => one.customer))] } });
  const groups = new Map();
  for (const one of people.sort((a, b) => (a.id < b.id ? 1 : -1))) groups.set(String(one.metadata[key]), one.groups.map(group => group.id).sort());
  const variants = await graph('variant', ['sku', 'price_set.id'], { sku: [...new Set(requests.map(one => one.sku))] });
  const sets = new Map(variants.filter(one => one.price_set).map(one => [one.sku, one.price_set.id]));
  const tiers = new Map();
  for (const one of await graph('price', ['price_set_id', 'min_quantity'], { price_set_id: [...sets.values()], currency_code })) {
    if (!tiers.has(one.price_set_id)) tiers.set(one.price_set_id, new Set());
    if (one.min_quantity > 1) tiers.get(one.price_set_id).add(Number(one.min_quantity));
  }

  // One calculation for all items of the same customer groups and quantity.
  const calculated = new Map();
  const calculate = async (ids, quantity, set) => {
    const at = `${ids}|${quantity}`;
    if (!calculated.has(at)) {
      const context = { currency_code, quantity, ...(region_id ? { region_id } : {}), customer: { groups: ids.map(id => ({ id })) } };
      const found = await pricing.calculatePrices({ id: [...new Set(sets.values())] }, { context });
      calculated.set(at, new Map(found.map(one => [one.id, one])));
    }
    const found = calculated.get(at).get(set);
    return found?.calculated_price?.id ? found : null;
  };
  const prices = [];
  for (const { customer, sku, quantity } of requests) {
    const ids = groups.get(customer), set = sets.get(sku);
    const price = ids && set && quantity > 0 ? await calculate(ids, quantity, set) : null;
    if (!price) { prices.push(null); continue; }
    const steps = [...(tiers.get(set) ?? [])].sort((a, b) => a - b);
    if (steps.length > TIERS) throw new MedusaError(MedusaError.Types.INVALID_DATA, `${sku} has more than ${TIERS} breaks.`);
    const breaks = [];
    for (const step of steps) {
      const there = await calculate(ids, step, set);
      if (Number(there?.calculated_price.min_quantity) === step) breaks.push({ min_quantity: step, raw_amount: there.raw_calculated_amount });
    }
    prices.push({
      currency_code: price.currency_code, raw_amount: price.raw_calculated_amount,
      raw_original_amount: price.raw_original_amount ?? null, price_list_id: price.calculated_price.price_list_id, breaks,
    });
  }
  const lists = [...new Set(prices.map(one => one?.price_list_id).filter(Boolean))];
  const titles = lists.length ? await graph('price_list', ['id', 'title', 'starts_at', 'ends_at'], { id: lists }) : [];
  const list = new Map(titles.map(one => [one.id, one]));
  res.json({ prices: prices.map(one => one && ({ ...one, price_list: list.get(one.price_list_id) ?? null })) });
};
