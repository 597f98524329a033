"""A Redis URL as others may see it."""

import re


def without_password(url: str) -> str:
    """Return a URL, or what was meant to be one, as it may be shown."""
    # as much as there is up to the last @, and without urlsplit: a password that breaks the URL is still a password
    url = re.sub(r":(?!//).*@", ":***@", url)
    return re.sub(r"(?<=password=)[^&]*", "***", url)
