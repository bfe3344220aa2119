"""A program written against the client that openapi-python-client makes from the document."""

import importlib
import json
import os
import pkgutil

import posthorn_client
from posthorn_client import AuthenticatedClient
from posthorn_client.api.ingest import ingest, send_webhook
from posthorn_client.api.subscriptions import create_subscription, list_subscriptions
from posthorn_client.models import CreateSubscriptionBody, Problem, SendWebhookBody

modules = [one.name for one in pkgutil.walk_packages(posthorn_client.__path__, "posthorn_client.")]
for name in modules:
    importlib.import_module(name)

posthorn = AuthenticatedClient(base_url=os.environ["API_URL"], token=os.environ["API_KEY"])
refused = create_subscription.sync(client=posthorn, body=CreateSubscriptionBody(url="ftp://example.com"))
assert isinstance(refused, Problem), refused
created = create_subscription.sync(
    client=posthorn,
    body=CreateSubscriptionBody(url=os.environ["RECEIVER_URL"], event_types=["order.*"]),
)
page = list_subscriptions.sync(client=posthorn, limit=10)
sent = send_webhook.sync(client=posthorn, body=SendWebhookBody(event_type="order.created", data={"id": 7}))
ingested = ingest.sync(created.id, client=posthorn, body={"id": 8})
print(
    json.dumps(
        {
            "refused": refused.errors[0].field,
            "listed": [one.url for one in page.data],
            "sent": str(sent.webhook_id),
            "ingested": str(ingested.webhook_id),
        }
    )
)
