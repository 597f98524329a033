"""How one message goes to one target, once."""

import base64
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rolloutwatch_server.notify.addresses import Resolve, resolve
from rolloutwatch_server.notify.children import Messenger, Painter
from rolloutwatch_server.notify.drawing import Drawing, drawing_of
from rolloutwatch_server.notify.events import Content, Links, encode
from rolloutwatch_server.notify.messages import compose
from rolloutwatch_server.notify.messenger import Job
from rolloutwatch_server.notify.outbox import Outbox
from rolloutwatch_server.notify.targets import Target
from rolloutwatch_server.notify.webhook import Outcome, Webhook, payload
from rolloutwatch_server.store import StoreError

PICTURES_KEPT = 16


@dataclass(frozen=True)
class World:
    """What a message depends on besides itself; all of it can be another one in a test."""

    links: Links
    environment: Mapping[str, str]  # of the processes that draw and send
    clock: Callable[[], float] = time.time
    resolve: Resolve = resolve


class Post:
    """Sends to one target; for one thread at a time."""

    def __init__(self, target: Target, world: World) -> None:
        self.target, self._world = target, world
        self._messenger = Messenger(world.environment)
        self._webhook = Webhook(target, resolve=world.resolve) if target.place is not None else None

    def send(self, key: str, content: Content, picture: bytes | None) -> Outcome:
        """Send a message once; tell how it went."""
        now = self._world.clock()
        if self._webhook is not None:
            return self._webhook.send(key, payload(key, content, self._world.links, picture, now), now)
        message = compose(content, self._world.links, now)
        worst = content.worst
        job = Job(
            url=self.target.address.reveal(),
            title=message.title,
            body=message.body,
            severity="" if content.has_ended(worst) else worst.severity.word,
            picture=base64.b64encode(picture).decode() if picture else "",
            allow_internal=self.target.allow_internal,
        )
        report = self._messenger.send(job)
        return Outcome(self.target.hidden(report.error), report.is_final)

    def stop(self) -> None:
        """End what is being sent, as far as it can be ended."""
        self._messenger.stop()


class Pictures:
    """Pictures of messages, of which the same one for several targets, or tried once more, is drawn once."""

    def __init__(self, painter: Painter, outbox: Outbox) -> None:
        self._painter, self._outbox = painter, outbox
        self._lock = threading.Lock()  # so that who wants the same one at the same time waits for it
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def picture(self, content: Content) -> bytes | None:
        """Return the picture of a message, None if there is none, or none that can be had."""
        key = encode(content)
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                try:
                    kept = self.drawn(drawing_of(content, self._outbox))
                except StoreError:
                    return None  # of which everybody else tells; the message is not to wait for it
                self._keep(key, kept)
            return kept

    def drawn(self, drawing: Drawing | None) -> bytes | None:
        """Return the picture of a drawing that somebody else has made."""
        return None if drawing is None else self._painter.draw(drawing)

    def _keep(self, key: str, picture: bytes | None) -> None:
        if picture is not None:
            self._kept[key] = picture
            while len(self._kept) > PICTURES_KEPT:
                self._kept.popitem(last=False)
