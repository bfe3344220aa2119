from collections.abc import Mapping
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def verify_webhook(secret: str, body: bytes | str, headers: Mapping[str, str]) -> Any:
    """Verifies a webhook that was received, and returns its body, parsed.

    The official library of Standard Webhooks does it: one of the signatures must be right, and the webhook at most
    five minutes old.

    :param secret: the secret of the subscription, ``whsec_…``
    :param body: the bytes that were received. Parsed and serialized again, they may differ.
    :raises ValueError: for a webhook that is not from there
    """
    try:
        return Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
    except WebhookVerificationError as error:
        raise ValueError(str(error)) from error
