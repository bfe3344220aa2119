// npm ci && npx prisma generate && node main.ts
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from './generated/client.ts';

const adapter = new PrismaPg({ connectionString: process.env.DATABASE_URL });
const prisma = new PrismaClient({ adapter });

/** Stores the order and sends the webhook in one transaction: both happen, or neither. */
async function placeOrder(customer: string, total: number): Promise<void> {
  await prisma.$transaction(async (transaction) => {
    const order = await transaction.order.create({ data: { customer, total } });
    const [sent] = await transaction.$queryRaw<{ id: string }[]>`
      select posthorn.send('order.created', ${JSON.stringify(order)}::text::jsonb) as id`;
    console.log(`order ${order.id}: webhook ${sent?.id}`);
    if (total > 50_000) throw new Error('payment declined');
  });
}

await placeOrder('Zoë', 1250);
// This order is rolled back, and its webhook with it.
await placeOrder('Zoë', 99_000).catch(({ message }) => console.log(`rolled back: ${message}`));
await prisma.$disconnect();
