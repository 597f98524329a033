"""Bring the server up, in an order in which nothing is started that cannot be used, and take it down again."""

import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import uvicorn

from rolloutwatch_contract.urls import without_password
from rolloutwatch_server.access_log import AccessLog
from rolloutwatch_server.alerts.herald import Herald
from rolloutwatch_server.alerts.publishing import Publisher
from rolloutwatch_server.alerts.rulebook import Rulebook
from rolloutwatch_server.alerts.ticker import Ticker, TickerThread
from rolloutwatch_server.amounts import Kept
from rolloutwatch_server.app import create_app
from rolloutwatch_server.data_dir import ANNOUNCEMENT, NoDataDir, clear, holder_of, owned
from rolloutwatch_server.ingest import Ingest
from rolloutwatch_server.keeper import Keeper
from rolloutwatch_server.live import LiveFeed
from rolloutwatch_server.notify.checking import usable_targets
from rolloutwatch_server.notify.children import surroundings
from rolloutwatch_server.notify.events import Links
from rolloutwatch_server.notify.notifier import Notifier
from rolloutwatch_server.notify.posts import World
from rolloutwatch_server.notify.targets import TargetsError
from rolloutwatch_server.presence import Sign
from rolloutwatch_server.security import Access, AccessError, opened
from rolloutwatch_server.security.secret import OTHERS, write_private
from rolloutwatch_server.settings import Settings
from rolloutwatch_server.store import ARCHIVE, DamagedArchive, Limits, Store, StoreError
from rolloutwatch_server.store.integrity import quarantine
from rolloutwatch_server.transport import Transport, TransportError, connect, find

log = logging.getLogger(__name__)

SECONDS_FOR_OPEN_REQUESTS = 5


class CannotServe(RuntimeError):
    """Something the server needs cannot be had; the message says what and how to cure it."""


def serve(settings: Settings) -> None:
    """Serve until interrupted; CannotServe if that cannot begin."""
    with contextlib.ExitStack() as stack:
        wish = stack.enter_context(_Wish())
        stack.enter_context(_own(settings.data_dir))
        clear(settings.data_dir)
        if settings.asks_for_login and settings.data_dir.stat().st_mode & OTHERS:
            log.warning(
                "--data-dir %s can be entered by other users of this host. Run: chmod 700 %s",
                *(settings.data_dir, settings.data_dir),
            )
        access = stack.enter_context(_access(settings))
        listener = stack.enter_context(_listen(settings.host, settings.port))
        store = stack.enter_context(_archive(settings, wish))
        transport = stack.enter_context(_transport(settings, wish))
        rulebook = _rules(settings, store)
        feed = LiveFeed()
        herald = Herald(store, feed)
        ingest = Ingest(store, lambda: connect(transport.url), herald.announce, cure=transport.cure)
        stack.enter_context(Keeper(store))
        stack.enter_context(Sign(ingest, lambda: connect(transport.url)))
        publisher = stack.enter_context(contextlib.closing(Publisher(lambda: connect(transport.url))))
        ticker = Ticker(store, rulebook, ingest, publisher, herald.tell)
        herald.starts = ticker.started
        clockwork = stack.enter_context(TickerThread(ticker))
        notifier = stack.enter_context(_notifier(settings, store, _url(listener)))
        app = create_app(
            store,
            feed,
            ingest,
            access=access,
            metrics_runs=settings.metrics_runs,
            rulebook=rulebook,
            clockwork=clockwork,
            notifier=notifier,
        )
        server = _Server(AccessLog(app) if settings.access_log else app, feed, ingest)
        stack.enter_context(_announced(settings, _url(listener), transport, server, access))
        wish.concerns(server)
        server.run([listener])
    if wish.is_urgent:
        _end_at_once()


def _end_at_once() -> NoReturn:
    """End the process with nothing running but the ingest, for whose batch an end in good order would wait."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


class _Server(uvicorn.Server):
    """uvicorn, told to end open event streams when it is asked to end, and telling when it is ready."""

    def __init__(self, app: object, feed: LiveFeed, ingest: Ingest) -> None:
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]  # uvicorn's own types for ASGI are narrower than starlette's
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=SECONDS_FOR_OPEN_REQUESTS,
            server_header=False,
            # who is trusted to say from where a request comes is a setting of ours
            proxy_headers=False,
            ws="none",
        )
        super().__init__(config)
        self._feed = feed
        self._ingest = ingest
        self.messages: list[str] = []

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End in good order; asked twice, wait for nobody.

        uvicorn's own handler raises the signal once more when it is done, which would end the process before its Redis.
        """
        self._feed.close()
        if self.should_exit:
            self.force_exit = True
            self._ingest.hurry()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for message in self.messages:
            print(message, flush=True)


class _Wish:
    """The wish that the server end, heard from the first moment on.

    Left alone, a signal during the start would end this process before the Redis that it has just started.
    """

    def __init__(self) -> None:
        self.is_there = False
        self._server: _Server | None = None
        self._former: dict[int, Any] = {}

    def __enter__(self) -> "_Wish":
        self._former = {one: signal.signal(one, self._hear) for one in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._former.items():
            signal.signal(one, handler)

    @property
    def is_urgent(self) -> bool:
        """Whether it was uttered twice, once there was a server to hear it."""
        return self._server is not None and self._server.force_exit

    def concerns(self, server: _Server) -> None:
        """Pass the wish on to a server, which ends as soon as it has begun if it is there already."""
        self._server = server
        server.should_exit = self.is_there

    def _hear(self, sig: int, frame: FrameType | None) -> None:
        self.is_there = True
        if self._server is not None:
            self._server.handle_exit(sig, frame)


@contextlib.contextmanager
def _own(data_dir: Path) -> Iterator[None]:
    """Keep a second server off the data dir."""
    with contextlib.ExitStack() as stack:
        try:
            is_ours = stack.enter_context(owned(data_dir))
        except NoDataDir as error:
            raise CannotServe(str(error)) from error
        if not is_ours:
            raise CannotServe(
                f"--data-dir {data_dir} is in use by the server with process id {holder_of(data_dir) or 'unknown'}. "
                "Stop that one, or name another folder with --data-dir."
            )
        yield


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    """Take the port before anything is started for it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # named as TCP, or else asyncio leaves Nagle on: answers to a kept connection then wait 40 ms for an acknowledgement
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            # bound alone it could still be shared with another server that binds it too
            listener.listen(2048)
        except OSError as error:
            raise CannotServe(
                f"{host}:{port} cannot be listened on: {error.strerror}. Choose another port with --port."
            ) from error
        yield listener


@contextlib.contextmanager
def _archive(settings: Settings, wish: _Wish) -> Iterator[Store]:
    """Open the archive; a damaged one is refused, or put aside if that is permitted.

    Close it unless the wish to end is urgent: a batch at hand would be waited for.
    """
    tables = settings.keep_sequences or Kept()
    limits = Limits(settings.keep_days, settings.keep_size, tables.steps, tables.days)
    path = settings.data_dir / ARCHIVE
    try:
        try:
            store = Store(path, limits=limits)
        except DamagedArchive as damage:
            if not settings.quarantine:
                raise
            log.error("%s", damage)
            log.error("It was put aside as %s, and a new archive is begun.", quarantine(path))
            store = Store(path, limits=limits)
    except StoreError as error:
        raise CannotServe(str(error)) from error
    for aside in store.quarantined():
        log.warning(
            "%s is a damaged archive, of which nothing is shown; delete it when you need it no more.", aside
        )
    try:
        yield store
    finally:
        if not wish.is_urgent:
            store.close()


def _rules(settings: Settings, store: Store) -> Rulebook:
    """Read the rules; a file that cannot be in force keeps nobody from serving, those of before stay in force."""
    rulebook = Rulebook(store, settings.rules_file)
    try:
        rulebook.open()
    except StoreError as error:
        raise CannotServe(str(error)) from error
    return rulebook


def _notifier(settings: Settings, store: Store, local_url: str) -> Notifier:
    """Read who is told of alerts; with a file that cannot be used nothing begins, or else nobody would be told."""
    environment = surroundings(settings.data_dir, os.environ)
    try:
        file = settings.notify_file
        targets = usable_targets(file, os.environ, environment) if file else ()
    except TargetsError as error:
        raise CannotServe(str(error)) from error
    links = Links(settings.public_url or local_url)
    return Notifier(store, targets, World(links, environment))


@contextlib.contextmanager
def _transport(settings: Settings, wish: _Wish) -> Iterator[Transport]:
    try:
        transport = find(
            settings.redis_url, settings.data_dir, settings.redis_port, give_up=lambda: wish.is_there
        )
    except TransportError as error:
        raise CannotServe(str(error)) from error
    try:
        yield transport
    finally:
        transport.release()


@contextlib.contextmanager
def _access(settings: Settings) -> Iterator[Access]:
    with contextlib.ExitStack() as stack:
        try:
            access = stack.enter_context(opened(settings, os.environ))
        except AccessError as error:
            raise CannotServe(str(error)) from error
        yield access


@contextlib.contextmanager
def _announced(
    settings: Settings, local_url: str, transport: Transport, server: _Server, access: Access
) -> Iterator[None]:
    """Say where everything is: on the terminal when it is ready, and in a file that other programs read.

    `url` is for people, who may sit elsewhere; programs on this host use `local_url`.
    """
    url = settings.public_url or local_url
    told = {
        "pid": os.getpid(),
        "url": url,
        "local_url": local_url,
        "redis_url": transport.url,
        "login": settings.asks_for_login,
    }
    announcement = settings.data_dir / ANNOUNCEMENT
    write_private(announcement, json.dumps(told))  # a Redis URL may hold a password
    server.messages = [
        f"Redis: {without_password(transport.url)} ({transport.provider})",
        f"Dashboard: {url}/",
    ]
    if settings.require_login and access.has_links_alone() and (link := access.first_link(url)):
        server.messages.append(f"Log in as admin, once, within 15 minutes: {link}")
    try:
        yield
    finally:
        announcement.unlink(missing_ok=True)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"
