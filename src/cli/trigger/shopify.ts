// https://shopify.dev/docs/api/webhooks and https://shopify.dev/docs/apps/build/webhooks
import { randomBytes, randomUUID } from 'node:crypto';
import { type Provider, type Sample, signAsShopify } from './sample.ts';

type Fields = Record<string, unknown>;

const SHOP = 'octo-shop.myshopify.com';
const CURRENCY = 'USD';

const newId = () => 5_000_000_000_000 + randomBytes(4).readUInt32BE();
const gid = (kind: string, id: number) => `gid://shopify/${kind}/${id}`;

function sample(topic: string, now: Date, fields: Fields): Sample {
  return {
    encoding: 'json',
    fields,
    headers: {
      'User-Agent': 'Shopify-Captain-Hook',
      'X-Shopify-Topic': topic,
      'X-Shopify-Shop-Domain': SHOP,
      'X-Shopify-API-Version': '2025-10',
      'X-Shopify-Webhook-Id': randomUUID(),
      'X-Shopify-Event-Id': randomUUID(),
      'X-Shopify-Triggered-At': now.toISOString(),
      'X-Shopify-Test': 'true',
    },
  };
}

const money = (amount: string) => ({
  shop_money: { amount, currency_code: CURRENCY },
  presentment_money: { amount, currency_code: CURRENCY },
});

function address(): Fields {
  return {
    first_name: 'Jenny',
    last_name: 'Rosen',
    address1: '1 Market Street',
    address2: null,
    city: 'San Francisco',
    province: 'California',
    province_code: 'CA',
    country: 'United States',
    country_code: 'US',
    zip: '94105',
    phone: null,
    company: null,
    name: 'Jenny Rosen',
  };
}

function customer(now: Date): Fields {
  const id = newId();
  return {
    id,
    admin_graphql_api_id: gid('Customer', id),
    email: 'jenny.rosen@example.com',
    created_at: now.toISOString(),
    updated_at: now.toISOString(),
    first_name: 'Jenny',
    last_name: 'Rosen',
    state: 'disabled',
    note: null,
    verified_email: true,
    multipass_identifier: null,
    tax_exempt: false,
    phone: null,
    currency: CURRENCY,
    tags: '',
    addresses: [],
    tax_exemptions: [],
  };
}

function lineItem(): Fields {
  const id = newId();
  return {
    id,
    admin_graphql_api_id: gid('LineItem', id),
    current_quantity: 2,
    fulfillable_quantity: 2,
    fulfillment_service: 'manual',
    fulfillment_status: null,
    gift_card: false,
    grams: 200,
    name: 'Post horn - brass',
    price: '99.50',
    price_set: money('99.50'),
    product_exists: true,
    product_id: newId(),
    quantity: 2,
    requires_shipping: true,
    sku: 'HORN-BRASS',
    taxable: true,
    title: 'Post horn',
    total_discount: '0.00',
    variant_id: newId(),
    variant_title: 'brass',
    vendor: 'Octo Shop',
    tax_lines: [],
    discount_allocations: [],
  };
}

function order(now: Date, fields: Fields): Fields {
  const id = newId();
  return {
    id,
    admin_graphql_api_id: gid('Order', id),
    app_id: null,
    browser_ip: null,
    buyer_accepts_marketing: false,
    cancel_reason: null,
    cancelled_at: null,
    closed_at: null,
    confirmed: true,
    contact_email: 'jenny.rosen@example.com',
    created_at: now.toISOString(),
    currency: CURRENCY,
    current_subtotal_price: '199.00',
    current_subtotal_price_set: money('199.00'),
    current_total_discounts: '0.00',
    current_total_price: '199.00',
    current_total_price_set: money('199.00'),
    current_total_tax: '0.00',
    email: 'jenny.rosen@example.com',
    financial_status: 'pending',
    fulfillment_status: null,
    name: '#1007',
    note: null,
    note_attributes: [],
    number: 7,
    order_number: 1007,
    payment_gateway_names: ['manual'],
    processed_at: now.toISOString(),
    source_name: 'web',
    subtotal_price: '199.00',
    tags: '',
    taxes_included: false,
    test: true,
    total_discounts: '0.00',
    total_line_items_price: '199.00',
    total_price: '199.00',
    total_price_set: money('199.00'),
    total_tax: '0.00',
    total_weight: 400,
    updated_at: now.toISOString(),
    billing_address: address(),
    customer: customer(now),
    discount_codes: [],
    fulfillments: [],
    line_items: [lineItem()],
    refunds: [],
    shipping_address: address(),
    shipping_lines: [],
    ...fields,
  };
}

function product(now: Date): Fields {
  const id = newId();
  const variantId = newId();
  return {
    id,
    admin_graphql_api_id: gid('Product', id),
    body_html: 'A horn for the post.',
    created_at: now.toISOString(),
    handle: 'post-horn',
    product_type: 'Instruments',
    published_at: now.toISOString(),
    published_scope: 'web',
    status: 'active',
    tags: '',
    template_suffix: null,
    title: 'Post horn',
    updated_at: now.toISOString(),
    vendor: 'Octo Shop',
    variants: [
      {
        id: variantId,
        admin_graphql_api_id: gid('ProductVariant', variantId),
        product_id: id,
        title: 'brass',
        price: '99.50',
        compare_at_price: null,
        position: 1,
        sku: 'HORN-BRASS',
        barcode: null,
        inventory_policy: 'deny',
        inventory_quantity: 12,
        option1: 'brass',
        option2: null,
        option3: null,
        taxable: true,
        created_at: now.toISOString(),
        updated_at: now.toISOString(),
      },
    ],
    options: [{ id: newId(), product_id: id, name: 'material', position: 1, values: ['brass'] }],
    images: [],
    image: null,
  };
}

function shop(now: Date): Fields {
  return {
    id: 548_380_009,
    name: 'Octo Shop',
    email: 'owner@example.com',
    domain: null,
    province: 'California',
    country: 'US',
    address1: '1 Market Street',
    zip: '94105',
    city: 'San Francisco',
    created_at: '2024-05-15T15:19:25Z',
    updated_at: now.toISOString(),
    country_code: 'US',
    country_name: 'United States',
    currency: CURRENCY,
    timezone: '(GMT-08:00) America/Los_Angeles',
    iana_timezone: 'America/Los_Angeles',
    shop_owner: 'Octo Dev',
    plan_name: 'basic',
    myshopify_domain: SHOP,
  };
}

/** Makes the body of a topic. */
const TOPICS: Readonly<Record<string, readonly [about: string, make: (now: Date) => Fields]>> = {
  'orders/create': ['a customer has ordered', (now) => order(now, {})],
  'orders/paid': ['an order was paid', (now) => order(now, { financial_status: 'paid' })],
  'orders/cancelled': [
    'an order was cancelled',
    (now) => order(now, { cancel_reason: 'customer', cancelled_at: now.toISOString() }),
  ],
  'customers/create': ['a customer was created', customer],
  'products/update': ['a product was changed', product],
  'app/uninstalled': ['a shop has removed the app', shop],
};

export const SHOPIFY_SAMPLES: Provider = {
  sign: signAsShopify,
  events: Object.fromEntries(
    Object.entries(TOPICS).map(([topic, [about, make]]) => [
      topic,
      { about, make: (now: Date) => sample(topic, now, make(now)) },
    ]),
  ),
};
