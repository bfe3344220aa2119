# pip install -r requirements.txt && python main.py
import json

import dj_database_url
import django
from django.conf import settings
from django.db import connection, models, transaction

# In a project, the settings are in settings.py, and the model in models.py.
settings.configure(DATABASES={"default": dj_database_url.config()})
django.setup()


class Order(models.Model):
    customer = models.TextField()
    total = models.IntegerField()

    class Meta:
        app_label = "shop"
        db_table = "orders"


@transaction.atomic
def place_order(customer: str, total: int) -> None:
    """Stores the order and sends the webhook in one transaction: both happen, or neither."""
    order = Order.objects.create(customer=customer, total=total)
    data = {"id": order.id, "customer": order.customer, "total": order.total}
    with connection.cursor() as cursor:
        cursor.execute("select posthorn.send('order.created', %s::text::jsonb)", [json.dumps(data)])
        [webhook_id] = cursor.fetchone()
    print(f"order {order.id}: webhook {webhook_id}")
    if total > 50_000:
        raise ValueError("payment declined")


place_order("Zoë", 1250)
try:
    # This order is rolled back, and its webhook with it.
    place_order("Zoë", 99_000)
except ValueError as error:
    print(f"rolled back: {error}")
