// The ids of orders and customers by what the Admin API has no filter for; docs/medusa.md says what for.
//   GET /admin/lookup?entity=order&field=number&value[]=SO-400001                      by order number
//   GET /admin/lookup?entity=order&field=metadata.po_number&value[]=PO-1               by a key of the metadata
//   the same with entity=customer, and with fields=id,email: the customers themselves, in `customer` of each row
//   GET /admin/lookup?entity=order&field=customer.metadata.erp_number&value[]=CUST-0001&take=5&skip=0&order=DESC
//                                                             a page of the orders of each customer, without drafts
const { ContainerRegistrationKeys, MedusaError } = require('@medusajs/framework/utils');

const FIELD = /^(?:number|(customer\.)?metadata\.([A-Za-z0-9_-]{1,64}))$/;
const MOST = 2000;

const rowsOf = { order: ['id', 'display_id', 'custom_display_id', 'status', 'is_draft_order', 'metadata'], customer: ['id', 'metadata'] };
const numberOf = order => order.custom_display_id ?? String(order.display_id);

exports.GET = async (req, res) => {
  const { entity, field } = req.query;
  const values = [].concat(req.query.value ?? []).map(String);
  const [form, ofCustomer, key] = FIELD.exec(field ?? '') ?? [];
  const take = Number(req.query.take ?? 50), skip = Number(req.query.skip ?? 0);
  const fits = entity === 'order' || (entity === 'customer' && key && !ofCustomer);
  if (!fits || !form || values.length > 200 || !(take <= 200) || !(skip >= 0))
    throw new MedusaError(MedusaError.Types.INVALID_DATA, 'Give an entity, one of its fields, and at most 200 values.');
  const query = req.scope.resolve(ContainerRegistrationKeys.QUERY);
  const further = entity === 'customer' && req.query.fields ? String(req.query.fields).split(',') : [];
  const find = async (name, filters, pagination) => {
    if (values.length === 0) return { data: [], metadata: { count: 0 } };
    return query.graph({ entity: name, fields: [...rowsOf[name], ...further], filters, pagination });
  };
  const row = (value, one) => ({
    value, id: one.id, number: entity === 'order' ? numberOf(one) : null, status: one.status ?? null, draft: one.is_draft_order ?? false,
    ...(further.length ? { customer: one } : {}),
  });
  if (ofCustomer) {
    const { data: people } = await find('customer', { metadata: { [key]: values } }, { take: MOST, skip: 0, order: { id: 'ASC' } });
    const order = { created_at: req.query.order === 'ASC' ? 'ASC' : 'DESC', id: req.query.order === 'ASC' ? 'ASC' : 'DESC' };
    const rows = [], totals = {};
    for (const value of new Set(people.map(one => String(one.metadata[key])))) {
      const ids = people.filter(one => String(one.metadata[key]) === value).map(one => one.id);
      const page = await find('order', { customer_id: ids, is_draft_order: false }, { take, skip, order });
      rows.push(...page.data.map(one => row(value, one)));
      totals[value] = page.metadata.count;
    }
    res.json({ rows, totals });
    return;
  }
  const numbers = values.filter(value => /^\d{1,9}$/.test(value)).map(Number);
  const filters = key ? { metadata: { [key]: values } }
    : { $or: [{ custom_display_id: values }, ...(numbers.length ? [{ display_id: numbers, custom_display_id: null }] : [])] };
  const { data, metadata } = await find(entity, filters, { take: MOST, skip: 0, order: { created_at: 'DESC', id: 'DESC' } });
  const rows = data.map(one => row(key ? String(one.metadata?.[key]) : numberOf(one), one));
  res.json({ rows: rows.filter(one => values.includes(one.value)), totals: { '': metadata.count } });
};
