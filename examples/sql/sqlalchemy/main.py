# pip install -r requirements.txt && python main.py
import json
import os

from sqlalchemy import create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_engine(os.environ["DATABASE_URL"])

SEND = text("select posthorn.send('order.created', cast(cast(:data as text) as jsonb))")


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    total: Mapped[int]


def place_order(customer: str, total: int) -> None:
    """Stores the order and sends the webhook in one transaction: both happen, or neither."""
    with Session(engine) as session, session.begin():
        order = Order(customer=customer, total=total)
        session.add(order)
        session.flush()
        data = {"id": order.id, "customer": order.customer, "total": order.total}
        webhook_id = session.scalar(SEND, {"data": json.dumps(data)})
        print(f"order {order.id}: webhook {webhook_id}")
        if total > 50_000:
            raise ValueError("payment declined")


place_order("Zoë", 1250)
try:
    # This order is rolled back, and its webhook with it.
    place_order("Zoë", 99_000)
except ValueError as error:
    print(f"rolled back: {error}")
