"""A program written against the Python client, which test/clients/clients.test.ts runs."""

import asyncio
import json
import os
from datetime import UTC, datetime
from urllib.request import urlopen

from posthorn import AsyncPosthorn, Posthorn, PosthornError, verify_webhook
from posthorn.api.api.history import list_deliveries
from posthorn.api.api.subscriptions import create_subscription
from posthorn.api.models import CreateSubscriptionBody

RECEIVER_URL = os.environ["RECEIVER_URL"]
PLACE = (os.environ["API_URL"], os.environ["API_KEY"])


async def send_and_list() -> tuple[list[str], list[str]]:
    async with AsyncPosthorn(*PLACE, wait=0.01) as posthorn:
        now = datetime.now(UTC)
        sent = [
            str((await posthorn.send("order.created", {"id": id}, deliver_at=now, headers={"x-n": "1"})).webhook_id)
            for id in (4, 5)
        ]
        return sent, [str(one.webhook_id) async for one in posthorn.list(list_deliveries.asyncio_detailed, limit=1)]


with Posthorn(*PLACE, wait=0.01) as posthorn:
    try:
        posthorn.call(create_subscription.sync_detailed, body=CreateSubscriptionBody(url="ftp://example.com"))
        raise SystemExit("That should not have worked.")
    except PosthornError as error:
        refused = {"status": error.status, "field": error.fields[0].field}
    created = posthorn.call(
        create_subscription.sync_detailed,
        body=CreateSubscriptionBody(url=RECEIVER_URL, event_types=["order.*"], generate_secret=True),
    )
    sent = [str(posthorn.send("order.created", {"id": id}).webhook_id) for id in (1, 2, 3)]
    more, all_sent = asyncio.run(send_and_list())
    sent += more
    assert sorted(all_sent) == sorted(sent)
    listed = [str(one.webhook_id) for one in posthorn.list(list_deliveries.sync_detailed, limit=2)]

with urlopen(RECEIVER_URL) as answer:
    received = json.load(answer)
body = received["body"].encode()
verified = verify_webhook(created.secret, body, received["headers"])
try:
    verify_webhook(created.secret, body.replace(b"order", b"older"), received["headers"])
    forged = "taken"
except ValueError:
    forged = "refused"
print(json.dumps({"refused": refused, "sent": sent, "listed": listed, "verified": verified["type"], "forged": forged}))
