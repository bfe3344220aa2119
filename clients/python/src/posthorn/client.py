import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, Self, TypeVar

import httpx

from .api.api.ingest import send_webhook
from .api.client import AuthenticatedClient, Client
from .api.errors import UnexpectedStatus
from .api.models import AcceptedWebhook, SendWebhookBody
from .api.types import UNSET, Response
from .errors import PosthornError
from .retries import RetryTransport

Answer = TypeVar("Answer")
Row = TypeVar("Row", covariant=True)


class Page(Protocol[Row]):
    """A page of a list."""

    @property
    def data(self) -> Sequence[Row]: ...

    @property
    def next_cursor(self) -> str | None: ...


class Posthorn:
    """A client of a running Posthorn. Use it as a context manager, or call ``close``. Threads may share it.

    :param url: where Posthorn is, as in ``https://webhooks.example.com``
    :param key: a key of Posthorn; without it, requests have no ``Authorization``
    :param attempts: how often a request is sent at most; 1: it is never repeated
    :param wait: the wait before the second try in seconds; each further one is twice as long
    :param timeout: after so many seconds without an answer, a try has failed
    :param transport: another transport than that of httpx, for tests or a proxy
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        attempts: int = 4,
        wait: float = 0.25,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if attempts < 1:
            raise ValueError("attempts must be at least 1")
        options: dict[str, Any] = {
            "base_url": url,
            "timeout": httpx.Timeout(timeout),
            # An answer that the document does not have is an error.
            "raise_on_unexpected_status": True,
            "httpx_args": {"transport": RetryTransport(transport or httpx.HTTPTransport(), attempts, wait)},
        }
        #: The generated client, for the functions of ``posthorn.api.api``.
        self.client: Any = Client(**options) if key is None else AuthenticatedClient(token=key, **options)

    def send(
        self,
        event_type: str,
        data: Any,
        *,
        tenant: str | None = None,
        channels: Sequence[str] | None = None,
        ordering_key: str | None = None,
        subscription_id: int | None = None,
        deliver_at: datetime | None = None,
        headers: Mapping[str, str] | None = None,
        raw: bool | None = None,
        idempotency_key: str | None = None,
    ) -> AcceptedWebhook:
        """Sends a webhook to all subscriptions that want its type.

        It has an idempotency key, so it is repeated without being accepted twice.

        :param idempotency_key: a key of your own, by which also a later call is no second webhook; 24 hours
        :raises PosthornError: Posthorn has refused it
        """
        fields = {
            "event_type": event_type,
            "channels": channels,
            "ordering_key": ordering_key,
            "subscription_id": subscription_id,
            "deliver_at": None if deliver_at is None else deliver_at.isoformat(),
            "headers": headers,
            "raw": raw,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        return self.call(
            send_webhook.sync_detailed,
            body=SendWebhookBody.from_dict({**given, "data": data}),
            tenant=UNSET if tenant is None else tenant,
            idempotency_key=idempotency_key or str(uuid.uuid4()),
        )

    def call(self, operation: Callable[..., Response[Answer]], *args: Any, **options: Any) -> Answer:
        """Calls a generated function, ``posthorn.api.api.….sync_detailed``, and returns what Posthorn answers.

        :raises PosthornError: the answer is an error
        """
        try:
            answer = operation(*args, client=self.client, **options)
        except UnexpectedStatus as error:
            raise PosthornError(error.status_code, error.content) from None
        return answer.parsed  # type: ignore[return-value]

    def list(self, operation: Callable[..., Response[Page[Row]]], **filters: Any) -> Iterator[Row]:
        """Iterates over all rows of a list: ``posthorn.list(list_deliveries.sync_detailed, state=…)``.

        ``limit`` is the number of rows of a page, not of all.

        :raises PosthornError: an answer is an error
        """
        cursor: Any = UNSET
        while cursor is not None:
            page = self.call(operation, cursor=cursor, **filters)
            yield from page.data
            cursor = page.next_cursor

    def close(self) -> None:
        """Closes the connections."""
        self.client.get_httpx_client().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
