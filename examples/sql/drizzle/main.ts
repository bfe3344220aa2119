// npm ci && node main.ts
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { integer, pgTable, text } from 'drizzle-orm/pg-core';

const orders = pgTable('orders', {
  id: integer().primaryKey().generatedByDefaultAsIdentity(),
  customer: text().notNull(),
  total: integer().notNull(),
});

const db = drizzle(process.env.DATABASE_URL as string);

/** Stores the order and sends the webhook in one transaction: both happen, or neither. */
async function placeOrder(customer: string, total: number): Promise<void> {
  await db.transaction(async (transaction) => {
    const [order] = await transaction.insert(orders).values({ customer, total }).returning();
    const { rows } = await transaction.execute(
      sql`select posthorn.send('order.created', ${JSON.stringify(order)}::text::jsonb) as id`,
    );
    console.log(`order ${order?.id}: webhook ${rows[0]?.id}`);
    if (total > 50_000) throw new Error('payment declined');
  });
}

await placeOrder('Zoë', 1250);
// This order is rolled back, and its webhook with it.
await placeOrder('Zoë', 99_000).catch(({ message }) => console.log(`rolled back: ${message}`));
await db.$client.end();
