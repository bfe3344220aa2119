// npm ci && node main.ts
import postgres from 'postgres';

const sql = postgres(process.env.DATABASE_URL as string);

/** Stores the order and sends the webhook in one transaction: both happen, or neither. */
async function placeOrder(customer: string, total: number): Promise<void> {
  await sql.begin(async (sql) => {
    const [order] = await sql`
      insert into orders ${sql({ customer, total })} returning id, customer, total`;
    const [sent] = await sql`
      select posthorn.send('order.created', ${JSON.stringify(order)}::text::jsonb) as id`;
    console.log(`order ${order?.id}: webhook ${sent?.id}`);
    if (total > 50_000) throw new Error('payment declined');
  });
}

await placeOrder('Zoë', 1250);
// This order is rolled back, and its webhook with it.
await placeOrder('Zoë', 99_000).catch(({ message }) => console.log(`rolled back: ${message}`));
await sql.end();
