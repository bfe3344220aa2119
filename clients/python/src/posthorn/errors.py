import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldError:
    """A field of a request that is wrong, such as ``body.url``, and why."""

    field: str
    message: str


class PosthornError(Exception):
    """Posthorn has refused a request, or could not do it.

    ``status`` is the status of the answer, ``type`` tells programs what is wrong (RFC 9457), and ``fields`` are the
    fields that are wrong.
    """

    def __init__(self, status: int, content: bytes) -> None:
        problem = _read(content)
        self.status = status
        self.type: str | None = problem.get("type")
        self.fields = [FieldError(one["field"], one["message"]) for one in problem.get("errors", [])]
        detail = problem.get("detail", f"Posthorn answered {status}.")
        super().__init__(" ".join([detail, *(f"{one.field} {one.message}" for one in self.fields)]))


def _read(content: bytes) -> dict[str, Any]:
    """The problem; nothing if the answer is not Posthorn's, but that of a proxy."""
    try:
        problem = json.loads(content)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) and "detail" in problem else {}
