# pip install -r requirements.txt && python main.py
import json
import os

import psycopg
from psycopg.rows import dict_row


def place_order(customer: str, total: int) -> None:
    """Stores the order and sends the webhook in one transaction: both happen, or neither."""
    with connection.transaction():
        order = connection.execute(
            "insert into orders (customer, total) values (%s, %s) returning id, customer, total",
            [customer, total],
        ).fetchone()
        sent = connection.execute(
            "select posthorn.send('order.created', %s::text::jsonb) as id", [json.dumps(order)]
        ).fetchone()
        print(f"order {order['id']}: webhook {sent['id']}")
        if total > 50_000:
            raise ValueError("payment declined")


with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, row_factory=dict_row) as connection:
    place_order("Zoë", 1250)
    try:
        # This order is rolled back, and its webhook with it.
        place_order("Zoë", 99_000)
    except ValueError as error:
        print(f"rolled back: {error}")
