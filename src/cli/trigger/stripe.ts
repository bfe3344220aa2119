// https://docs.stripe.com/api/events and https://docs.stripe.com/api/events/types
import { randomBytes, randomUUID } from 'node:crypto';
import { type Provider, type Sample, secondsOf, signAsStripe } from './sample.ts';

type Fields = Record<string, unknown>;

const API_VERSION = '2025-09-30.clover';
const AMOUNT = 2000;
const MONTH_S = 30 * 86_400;

const newId = (prefix: string) =>
  `${prefix}_${BigInt(`0x${randomBytes(18).toString('hex')}`)
    .toString(36)
    .padStart(24, '0')
    .slice(-24)}`;

/** An event about an object, as endpoints of a test account get it. */
function event(type: string, now: Date, object: Fields): Sample {
  return {
    encoding: 'indented',
    fields: {
      id: newId('evt'),
      object: 'event',
      api_version: API_VERSION,
      created: secondsOf(now),
      data: { object },
      livemode: false,
      pending_webhooks: 1,
      request: { id: newId('req'), idempotency_key: randomUUID() },
      type,
    },
    headers: {
      'User-Agent': 'Stripe/1.0 (+https://stripe.com/docs/webhooks)',
      'Cache-Control': 'no-cache',
    },
  };
}

const shared = (prefix: string, object: string, now: Date): Fields => ({
  id: newId(prefix),
  object,
  created: secondsOf(now),
  livemode: false,
  metadata: {},
});

function paymentIntent(now: Date, fields: Fields): Fields {
  return {
    ...shared('pi', 'payment_intent', now),
    amount: AMOUNT,
    amount_capturable: 0,
    amount_received: 0,
    automatic_payment_methods: { allow_redirects: 'always', enabled: true },
    canceled_at: null,
    cancellation_reason: null,
    capture_method: 'automatic_async',
    client_secret: null,
    confirmation_method: 'automatic',
    currency: 'usd',
    customer: null,
    description: 'Order 7',
    last_payment_error: null,
    latest_charge: newId('ch'),
    next_action: null,
    payment_method: newId('pm'),
    payment_method_types: ['card'],
    receipt_email: null,
    setup_future_usage: null,
    shipping: null,
    statement_descriptor: null,
    ...fields,
  };
}

function customer(now: Date): Fields {
  return {
    ...shared('cus', 'customer', now),
    address: null,
    balance: 0,
    currency: null,
    default_source: null,
    delinquent: false,
    description: null,
    discount: null,
    email: 'jenny.rosen@example.com',
    invoice_prefix: 'A1B2C3D4',
    invoice_settings: { custom_fields: null, default_payment_method: null, footer: null },
    name: 'Jenny Rosen',
    phone: null,
    preferred_locales: ['en'],
    shipping: null,
    tax_exempt: 'none',
  };
}

function price(now: Date): Fields {
  return {
    ...shared('price', 'price', now),
    active: true,
    billing_scheme: 'per_unit',
    currency: 'usd',
    lookup_key: null,
    nickname: null,
    product: newId('prod'),
    recurring: { interval: 'month', interval_count: 1, usage_type: 'licensed' },
    tax_behavior: 'unspecified',
    type: 'recurring',
    unit_amount: AMOUNT,
    unit_amount_decimal: String(AMOUNT),
  };
}

function subscription(now: Date, fields: Fields): Fields {
  const id = newId('sub');
  const item = {
    ...shared('si', 'subscription_item', now),
    current_period_start: secondsOf(now),
    current_period_end: secondsOf(now) + MONTH_S,
    price: price(now),
    quantity: 1,
    subscription: id,
  };
  return {
    ...shared('sub', 'subscription', now),
    id,
    billing_cycle_anchor: secondsOf(now),
    cancel_at: null,
    cancel_at_period_end: false,
    canceled_at: null,
    collection_method: 'charge_automatically',
    currency: 'usd',
    customer: newId('cus'),
    default_payment_method: newId('pm'),
    ended_at: null,
    items: {
      object: 'list',
      data: [item],
      has_more: false,
      total_count: 1,
      url: `/v1/subscription_items?subscription=${id}`,
    },
    latest_invoice: newId('in'),
    start_date: secondsOf(now),
    status: 'active',
    trial_end: null,
    ...fields,
  };
}

function invoice(now: Date, fields: Fields): Fields {
  const id = newId('in');
  const line = {
    ...shared('il', 'line_item', now),
    amount: AMOUNT,
    currency: 'usd',
    description: '1 × Plan (at $20.00 / month)',
    invoice: id,
    period: { start: secondsOf(now), end: secondsOf(now) + MONTH_S },
    quantity: 1,
  };
  return {
    ...shared('in', 'invoice', now),
    id,
    account_country: 'US',
    amount_due: AMOUNT,
    amount_paid: 0,
    amount_remaining: AMOUNT,
    attempt_count: 1,
    attempted: true,
    auto_advance: false,
    billing_reason: 'subscription_cycle',
    collection_method: 'charge_automatically',
    currency: 'usd',
    customer: newId('cus'),
    customer_email: 'jenny.rosen@example.com',
    customer_name: 'Jenny Rosen',
    due_date: null,
    hosted_invoice_url: `https://invoice.stripe.com/i/acct_test/${id}`,
    lines: {
      object: 'list',
      data: [line],
      has_more: false,
      total_count: 1,
      url: `/v1/invoices/${id}/lines`,
    },
    next_payment_attempt: null,
    number: 'A1B2C3D4-0001',
    period_end: secondsOf(now),
    period_start: secondsOf(now) - MONTH_S,
    status: 'open',
    subtotal: AMOUNT,
    total: AMOUNT,
    ...fields,
  };
}

function checkoutSession(now: Date): Fields {
  return {
    ...shared('cs_test', 'checkout.session', now),
    amount_subtotal: AMOUNT,
    amount_total: AMOUNT,
    cancel_url: 'https://example.com/cart',
    client_reference_id: 'order_7',
    currency: 'usd',
    customer: null,
    customer_creation: 'if_required',
    customer_details: {
      address: {
        city: null,
        country: 'US',
        line1: null,
        line2: null,
        postal_code: '94107',
        state: null,
      },
      email: 'jenny.rosen@example.com',
      name: 'Jenny Rosen',
      phone: null,
      tax_exempt: 'none',
      tax_ids: [],
    },
    expires_at: secondsOf(now) + 86_400,
    invoice: null,
    mode: 'payment',
    payment_intent: newId('pi'),
    payment_method_types: ['card'],
    payment_status: 'paid',
    shipping_cost: null,
    status: 'complete',
    subscription: null,
    success_url: 'https://example.com/thanks',
    ui_mode: 'hosted',
    url: null,
  };
}

function refundedCharge(now: Date): Fields {
  return {
    ...shared('ch', 'charge', now),
    amount: AMOUNT,
    amount_captured: AMOUNT,
    amount_refunded: AMOUNT,
    balance_transaction: newId('txn'),
    captured: true,
    currency: 'usd',
    customer: null,
    description: 'Order 7',
    disputed: false,
    failure_code: null,
    failure_message: null,
    outcome: {
      network_status: 'approved_by_network',
      reason: null,
      risk_level: 'normal',
      seller_message: 'Payment complete.',
      type: 'authorized',
    },
    paid: true,
    payment_intent: newId('pi'),
    payment_method: newId('pm'),
    receipt_email: null,
    refunded: true,
    status: 'succeeded',
  };
}

const DECLINED = {
  charge: null,
  code: 'card_declined',
  decline_code: 'generic_decline',
  doc_url: 'https://stripe.com/docs/error-codes/card-declined',
  message: 'Your card was declined.',
  type: 'card_error',
};

/** Makes an object of Stripe, by its event. */
const OBJECTS: Readonly<Record<string, readonly [about: string, make: (now: Date) => Fields]>> = {
  'payment_intent.succeeded': [
    'a payment has succeeded',
    (now) => paymentIntent(now, { amount_received: AMOUNT, status: 'succeeded' }),
  ],
  'payment_intent.payment_failed': [
    'a card was declined',
    (now) =>
      paymentIntent(now, {
        last_payment_error: DECLINED,
        payment_method: null,
        status: 'requires_payment_method',
      }),
  ],
  'charge.refunded': ['a charge was refunded', refundedCharge],
  'checkout.session.completed': ['a customer has paid at the checkout', checkoutSession],
  'customer.created': ['a customer was created', customer],
  'customer.subscription.created': [
    'a customer has subscribed',
    (now) => subscription(now, { status: 'active' }),
  ],
  'customer.subscription.deleted': [
    "a customer's subscription has ended",
    (now) =>
      subscription(now, {
        status: 'canceled',
        canceled_at: secondsOf(now),
        ended_at: secondsOf(now),
      }),
  ],
  'invoice.paid': [
    'an invoice was paid',
    (now) => invoice(now, { status: 'paid', amount_paid: AMOUNT, amount_remaining: 0 }),
  ],
  'invoice.payment_failed': [
    'an invoice could not be paid',
    (now) => invoice(now, { next_payment_attempt: secondsOf(now) + 3 * 86_400 }),
  ],
};

export const STRIPE_SAMPLES: Provider = {
  sign: signAsStripe,
  events: Object.fromEntries(
    Object.entries(OBJECTS).map(([type, [about, make]]) => [
      type,
      { about, make: (now: Date) => event(type, now, make(now)) },
    ]),
  ),
};
