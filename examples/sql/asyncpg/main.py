# pip install -r requirements.txt && python main.py
import asyncio
import json
import os

import asyncpg


async def place_order(connection: asyncpg.Connection, customer: str, total: int) -> None:
    """Stores the order and sends the webhook in one transaction: both happen, or neither."""
    async with connection.transaction():
        order = await connection.fetchrow(
            "insert into orders (customer, total) values ($1, $2) returning id, customer, total",
            customer,
            total,
        )
        webhook_id = await connection.fetchval(
            "select posthorn.send('order.created', $1::text::jsonb)", json.dumps(dict(order))
        )
        print(f"order {order['id']}: webhook {webhook_id}")
        if total > 50_000:
            raise ValueError("payment declined")


async def main() -> None:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await place_order(connection, "Zoë", 1250)
    try:
        # This order is rolled back, and its webhook with it.
        await place_order(connection, "Zoë", 99_000)
    except ValueError as error:
        print(f"rolled back: {error}")
    await connection.close()


asyncio.run(main())
