"""What Apprise can do with a URL. For processes of their own: the server does not import Apprise."""

import difflib
import logging
from typing import Any

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """Why a URL cannot be used, '' if it can; nothing of the URL but the name of its service stands in it."""

    problem: str = ""


def asset() -> Any:
    """Return how Apprise works here: no redirections, nothing on disk, no ${VARIABLES} of the server in what it reads."""
    import apprise

    return apprise.AppriseAsset(
        app_id="Rolloutwatch",
        app_desc="Rolloutwatch",
        app_url="",
        async_mode=False,
        http_redirects=False,
        secure_logging=True,
        allow_templates=False,
        storage_mode="memory",
    )


def inspect(url: str) -> Finding:
    """Look at a URL without connecting to anything."""
    import apprise
    from apprise.manager_plugins import NotificationManager

    # what it complains of has parts of the URL in it
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    manager: Any = NotificationManager  # which has no types
    services, name = manager(), url.partition("://")[0].lower()
    if name not in services:
        near = difflib.get_close_matches(name, list(services.schemas()), 1)
        meant = (
            f"did you mean {near[0]!r}?" if near else "https://appriseit.com/services/ lists those there are."
        )
        return Finding(f"Apprise knows no service {name[:40]!r}: {meant}")
    service = services[name]
    if not service.enabled:
        return Finding(
            f"Apprise cannot use {name!r} here, for which a library is missing: {service.setup_url}"
        )
    if not apprise.Apprise(asset=asset()).add(url):
        form = next(iter(service.templates), "").replace("{schema}", name)
        return Finding(f"Apprise cannot use the URL: expected one such as {form}, {service.setup_url}")
    return Finding()
