import asyncio
import random
import time

import httpx

MAX_WAIT = 10.0
# The service, or a proxy before it, could not do it now.
AWAY = (502, 503, 504)


class RetryPolicy:
    """When requests are repeated, and after which wait.

    Only those are repeated that cannot do a thing twice: reads, and those with an ``Idempotency-Key``. Any request is
    repeated that was refused for its rate. The wait is that of ``Retry-After``, or else a random part of one that
    doubles, so that clients which failed together do not come back together.
    """

    def __init__(self, attempts: int, wait: float) -> None:
        self._attempts = attempts
        self._wait = wait

    def wait_after(self, request: httpx.Request, attempt: int, response: httpx.Response | None) -> float | None:
        """The seconds until the next try; None: there is none. Without a response, the try had no answer."""
        if attempt >= self._attempts or not _may_repeat(request, response):
            return None
        after = None if response is None else _wait_of(response)
        if after is not None:
            return after
        return random.random() * min(MAX_WAIT, self._wait * 2 ** (attempt - 1))


class RetryTransport(httpx.BaseTransport):
    """Repeats requests as a policy says."""

    def __init__(self, transport: httpx.BaseTransport, policy: RetryPolicy) -> None:
        self._transport = transport
        self._policy = policy

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        attempt = 0
        while True:
            attempt += 1
            try:
                response = self._transport.handle_request(request)
            except httpx.TransportError:
                wait = self._policy.wait_after(request, attempt, None)
                if wait is None:
                    raise
            else:
                wait = self._policy.wait_after(request, attempt, response)
                if wait is None:
                    return response
                response.close()
            time.sleep(wait)

    def close(self) -> None:
        self._transport.close()


class AsyncRetryTransport(httpx.AsyncBaseTransport):
    """Repeats requests as a policy says, for asyncio."""

    def __init__(self, transport: httpx.AsyncBaseTransport, policy: RetryPolicy) -> None:
        self._transport = transport
        self._policy = policy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        attempt = 0
        while True:
            attempt += 1
            try:
                response = await self._transport.handle_async_request(request)
            except httpx.TransportError:
                wait = self._policy.wait_after(request, attempt, None)
                if wait is None:
                    raise
            else:
                wait = self._policy.wait_after(request, attempt, response)
                if wait is None:
                    return response
                await response.aclose()
            await asyncio.sleep(wait)

    async def aclose(self) -> None:
        await self._transport.aclose()


def _may_repeat(request: httpx.Request, response: httpx.Response | None) -> bool:
    is_repeatable = request.method == "GET" or "idempotency-key" in request.headers
    if response is None:
        return is_repeatable
    if response.status_code == 429:
        return True
    # The key is in use by an earlier try that has not ended.
    is_in_progress = response.status_code == 409 and "retry-after" in response.headers
    return is_repeatable and (is_in_progress or response.status_code in AWAY)


def _wait_of(response: httpx.Response) -> float | None:
    """The seconds of ``Retry-After``, as Posthorn sends it."""
    text = response.headers.get("retry-after", "")
    return min(MAX_WAIT, float(text)) if text.isascii() and text.isdigit() else None
