// npm ci && node main.ts
import createKnex from 'knex';

const knex = createKnex({ client: 'pg', connection: process.env.DATABASE_URL as string });

/** Stores the order and sends the webhook in one transaction: both happen, or neither. */
async function placeOrder(customer: string, total: number): Promise<void> {
  await knex.transaction(async (transaction) => {
    const [order] = await transaction('orders')
      .insert({ customer, total })
      .returning(['id', 'customer', 'total']);
    const { rows } = await transaction.raw(
      `select posthorn.send('order.created', ?::text::jsonb) as id`,
      [JSON.stringify(order)],
    );
    console.log(`order ${order.id}: webhook ${rows[0].id}`);
    if (total > 50_000) throw new Error('payment declined');
  });
}

await placeOrder('Zoë', 1250);
// This order is rolled back, and its webhook with it.
await placeOrder('Zoë', 99_000).catch(({ message }) => console.log(`rolled back: ${message}`));
await knex.destroy();
