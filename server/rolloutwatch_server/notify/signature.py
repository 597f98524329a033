"""How a receiver of webhooks knows that a message is ours, and not an old one that somebody sends again."""

import hashlib
import hmac
import re

SECONDS_THAT_CLOCKS_MAY_DIFFER = 300.0

_FORM = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


def sign(secret: str, now: int, body: bytes) -> str:
    """Return the header `X-Rolloutwatch-Signature` of a body that is sent at `now`, in seconds since 1970."""
    return f"t={now},v1={_code(secret, now, body)}"


def is_signed(
    header: str, secret: str, now: float, body: bytes, tolerance: float = SECONDS_THAT_CLOCKS_MAY_DIFFER
) -> bool:
    """Tell whether a header is that of a body, signed with the secret, not longer ago than `tolerance` seconds."""
    found = _FORM.fullmatch(header)
    if found is None:
        return False
    then, code = int(found[1]), found[2]
    return abs(now - then) <= tolerance and hmac.compare_digest(code, _code(secret, then, body))


def _code(secret: str, now: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
