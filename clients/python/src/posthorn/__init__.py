"""A client for Posthorn, the webhook delivery service."""

from .client import AsyncPosthorn, Posthorn
from .errors import FieldError, PosthornError
from .verify import verify_webhook

__all__ = ["AsyncPosthorn", "FieldError", "Posthorn", "PosthornError", "verify_webhook"]
