"""By what the receiver of a webhook knows that a message is ours, and not an old one that somebody sends again."""

import hashlib
import hmac


def sign(secret: str, now: int, body: bytes) -> str:
    """Return the header `X-Rolloutwatch-Signature` of a body that is sent at `now`, in seconds since 1970."""
    code = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now},v1={code}"
