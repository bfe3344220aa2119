import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, Self, TypedDict, TypeVar, Unpack

import httpx

from .api.api.ingest import send_webhook
from .api.client import AuthenticatedClient, Client
from .api.errors import UnexpectedStatus
from .api.models import AcceptedWebhook, SendWebhookBody
from .api.types import UNSET, Response
from .errors import PosthornError
from .retries import AsyncRetryTransport, RetryPolicy, RetryTransport

Answer = TypeVar("Answer")
Row = TypeVar("Row", covariant=True)


class Page(Protocol[Row]):
    """A page of a list."""

    @property
    def data(self) -> Sequence[Row]: ...

    @property
    def next_cursor(self) -> str | None: ...


class SendOptions(TypedDict, total=False):
    """What a webhook may have besides its event type and data."""

    tenant: str
    channels: Sequence[str]
    ordering_key: str
    subscription_id: int
    deliver_at: datetime
    headers: Mapping[str, str]
    raw: bool
    idempotency_key: str
    """A key of your own, by which also a later call is no second webhook; 24 hours."""


class _Base:
    def __init__(self, url: str, key: str | None, attempts: int, timeout: float, httpx_args: dict[str, Any]) -> None:
        if attempts < 1:
            raise ValueError("attempts must be at least 1")
        options: dict[str, Any] = {
            "base_url": url,
            "timeout": httpx.Timeout(timeout),
            # An answer that the document does not have is an error.
            "raise_on_unexpected_status": True,
            "httpx_args": httpx_args,
        }
        #: The generated client, for the functions of ``posthorn.api.api``.
        self.client: Any = Client(**options) if key is None else AuthenticatedClient(token=key, **options)


class Posthorn(_Base):
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
        repeating = RetryTransport(transport or httpx.HTTPTransport(), RetryPolicy(attempts, wait))
        super().__init__(url, key, attempts, timeout, {"transport": repeating})

    def send(self, event_type: str, data: Any, **options: Unpack[SendOptions]) -> AcceptedWebhook:
        """Sends a webhook to all subscriptions that want its type.

        It has an idempotency key, so it is repeated without being accepted twice.

        :raises PosthornError: Posthorn has refused it
        """
        return self.call(send_webhook.sync_detailed, **_request_of(event_type, data, options))

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


class AsyncPosthorn(_Base):
    """A client of a running Posthorn for asyncio, alike to ``Posthorn``. Operations are ``….asyncio_detailed``."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        attempts: int = 4,
        wait: float = 0.25,
        timeout: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        repeating = AsyncRetryTransport(transport or httpx.AsyncHTTPTransport(), RetryPolicy(attempts, wait))
        super().__init__(url, key, attempts, timeout, {"transport": repeating})

    async def send(self, event_type: str, data: Any, **options: Unpack[SendOptions]) -> AcceptedWebhook:
        """Sends a webhook as ``Posthorn.send`` does."""
        return await self.call(send_webhook.asyncio_detailed, **_request_of(event_type, data, options))

    async def call(self, operation: Callable[..., Awaitable[Response[Answer]]], *args: Any, **options: Any) -> Answer:
        """Calls a generated function, ``posthorn.api.api.….asyncio_detailed``, and returns what Posthorn answers.

        :raises PosthornError: the answer is an error
        """
        try:
            answer = await operation(*args, client=self.client, **options)
        except UnexpectedStatus as error:
            raise PosthornError(error.status_code, error.content) from None
        return answer.parsed  # type: ignore[return-value]

    async def list(self, operation: Callable[..., Awaitable[Response[Page[Row]]]], **filters: Any) -> AsyncIterator[Row]:
        """Iterates over all rows of a list as ``Posthorn.list`` does."""
        cursor: Any = UNSET
        while cursor is not None:
            page = await self.call(operation, cursor=cursor, **filters)
            for row in page.data:
                yield row
            cursor = page.next_cursor

    async def close(self) -> None:
        """Closes the connections."""
        await self.client.get_async_httpx_client().aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _request_of(event_type: str, data: Any, options: SendOptions) -> dict[str, Any]:
    """The arguments of the generated function that sends a webhook."""
    fields: dict[str, Any] = {"event_type": event_type, "data": data, **options}
    tenant = fields.pop("tenant", UNSET)
    idempotency_key = fields.pop("idempotency_key", None) or str(uuid.uuid4())
    if "deliver_at" in fields:
        fields["deliver_at"] = fields["deliver_at"].isoformat()
    return {"body": SendWebhookBody.from_dict(fields), "tenant": tenant, "idempotency_key": idempotency_key}
