import random
import time

import httpx

MAX_WAIT = 10.0
# The service, or a proxy before it, could not do it now.
AWAY = (502, 503, 504)


class RetryTransport(httpx.BaseTransport):
    """Repeats requests, if that cannot do a thing twice: reads, and those with an ``Idempotency-Key``.

    Any request is repeated that was refused for its rate. The wait is that of ``Retry-After``, or else a random part of
    one that doubles, so that clients which failed together do not come back together.
    """

    def __init__(self, transport: httpx.BaseTransport, attempts: int, wait: float) -> None:
        self._transport = transport
        self._attempts = attempts
        self._wait = wait

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for attempt in range(1, self._attempts + 1):
            is_last = attempt == self._attempts
            backoff = random.random() * min(MAX_WAIT, self._wait * 2 ** (attempt - 1))
            try:
                response = self._transport.handle_request(request)
            except httpx.TransportError:
                if is_last or not _is_repeatable(request):
                    raise
                time.sleep(backoff)
                continue
            if is_last or not _may_repeat(request, response):
                return response
            response.close()
            after = _wait_of(response)
            time.sleep(backoff if after is None else after)
        raise AssertionError("attempts must be at least 1")

    def close(self) -> None:
        self._transport.close()


def _is_repeatable(request: httpx.Request) -> bool:
    return request.method == "GET" or "idempotency-key" in request.headers


def _may_repeat(request: httpx.Request, response: httpx.Response) -> bool:
    if response.status_code == 429:
        return True
    if not _is_repeatable(request):
        return False
    # The key is in use by an earlier try that has not ended.
    is_in_progress = response.status_code == 409 and "retry-after" in response.headers
    return is_in_progress or response.status_code in AWAY


def _wait_of(response: httpx.Response) -> float | None:
    """The seconds of ``Retry-After``, as Posthorn sends it."""
    text = response.headers.get("retry-after", "")
    return min(MAX_WAIT, float(text)) if text.isascii() and text.isdigit() else None
