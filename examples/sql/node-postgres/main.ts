// npm ci && node main.ts
import pg from 'pg';

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });

/** Stores the order and sends the webhook in one transaction: both happen, or neither. */
async function placeOrder(customer: string, total: number): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const { rows: orders } = await client.query(
      'insert into orders (customer, total) values ($1, $2) returning id, customer, total',
      [customer, total],
    );
    const { rows: sent } = await client.query(
      `select posthorn.send('order.created', $1::text::jsonb) as id`,
      [JSON.stringify(orders[0])],
    );
    console.log(`order ${orders[0].id}: webhook ${sent[0].id}`);
    if (total > 50_000) throw new Error('payment declined');
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}

await placeOrder('Zoë', 1250);
// This order is rolled back, and its webhook with it.
await placeOrder('Zoë', 99_000).catch(({ message }) => console.log(`rolled back: ${message}`));
await pool.end();
