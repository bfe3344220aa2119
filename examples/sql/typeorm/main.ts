// npm ci && node main.ts
import { DataSource, EntitySchema } from 'typeorm';

const Order = new EntitySchema({
  name: 'orders',
  columns: {
    id: { type: 'integer', primary: true, generated: 'increment' },
    customer: { type: 'text' },
    total: { type: 'integer' },
  },
});

const database = new DataSource({
  type: 'postgres',
  url: process.env.DATABASE_URL as string,
  entities: [Order],
});

/** Stores the order and sends the webhook in one transaction: both happen, or neither. */
async function placeOrder(customer: string, total: number): Promise<void> {
  await database.transaction(async (transaction) => {
    const order = await transaction.save(Order, { customer, total });
    const [sent] = await transaction.query(
      `select posthorn.send('order.created', $1::text::jsonb) as id`,
      [JSON.stringify(order)],
    );
    console.log(`order ${order.id}: webhook ${sent.id}`);
    if (total > 50_000) throw new Error('payment declined');
  });
}

await database.initialize();
await placeOrder('Zoë', 1250);
// This order is rolled back, and its webhook with it.
await placeOrder('Zoë', 99_000).catch(({ message }) => console.log(`rolled back: ${message}`));
await database.destroy();
