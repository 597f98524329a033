"""The command `rolloutwatch notify`: try whether those who are told of alerts can be reached, and see how that goes."""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rolloutwatch_server.commands.when import moment
from rolloutwatch_server.data_dir import ANNOUNCEMENT, NoDataDir, named, owned, server_of
from rolloutwatch_server.notify.checking import usable_targets
from rolloutwatch_server.notify.children import Painter, surroundings
from rolloutwatch_server.notify.events import Links, decode, key_of
from rolloutwatch_server.notify.example import Example, invented_example, recorded_example
from rolloutwatch_server.notify.notifier import departed
from rolloutwatch_server.notify.posts import Post, World
from rolloutwatch_server.notify.targets import Target, TargetsError
from rolloutwatch_server.settings import SETTINGS
from rolloutwatch_server.store import ARCHIVE, Delivery, DeliveryTally, Store, StoreError

_FILE = next(setting for setting in SETTINGS if setting.name == "notify_file")
_PUBLIC_URL = next(setting for setting in SETTINGS if setting.name == "public_url")
MOST_DEAD_SHOWN = 20


class _CannotDo(RuntimeError):
    """What was asked for cannot be done; the message says why, and what to do."""


def notify(arguments: Sequence[str]) -> int:
    """Do what is asked; returns the exit code: 1 if a target did not take the test, 2 if there is none to be tried."""
    given = _parser().parse_args(arguments)
    try:
        code: int = given.do(given)
    except (TargetsError, StoreError, NoDataDir, _CannotDo) as error:
        print(f"rolloutwatch notify: {error}", file=sys.stderr)
        return 2
    return code


def _test(given: argparse.Namespace) -> int:
    targets = _chosen(_targets(given), given.target)
    test = _wanted(given)
    with _painter(given.data_dir) as (painter, environment):
        picture = painter.draw(test.drawing) if test.drawing is not None and _any_wants(targets) else None
        world = World(Links(_base(given.data_dir)), environment)
        outcomes = [_told(one, test, picture, world) for one in targets]
    return 0 if all(outcomes) else 1


def _told(target: Target, test: Example, picture: bytes | None, world: World) -> bool:
    """Send a test to a target, and say how it went."""
    begin = time.monotonic()
    outcome = Post(target, world).send(
        key_of(test.content.events), test.content, picture if target.picture else None
    )
    how = f"did not take it: {outcome.error}" if outcome.error else "has taken it"
    print(f"{_name(target)} {how} ({time.monotonic() - begin:.1f} s)", flush=True)
    return not outcome.error


def _list(given: argparse.Namespace) -> int:
    targets = _targets(given)
    tallies: dict[str, DeliveryTally] = {}
    dead: list[Delivery] = []
    if (given.data_dir / ARCHIVE).is_file():
        with contextlib.closing(Store.reading(given.data_dir / ARCHIVE)) as store:
            tallies, dead = store.delivery_tallies(), store.deliveries("dead", limit=MOST_DEAD_SHOWN)
    for target in targets:
        runs = "" if target.runs == ("*",) else f", runs {' '.join(target.runs)}"
        print(
            f"{_name(target)}: {target.severity.word} and worse{runs}; {_standing(tallies.get(target.name))}"
        )
    for one in departed(tallies, [target.name for target in targets]):
        print(
            f"{one.name} (not in the file any more): {one.waiting} waiting, for a day at most, {one.dead} given up"
        )
    if dead:
        print("\ngiven up, the newest first; `rolloutwatch notify retry ID` sends one anew:")
    for message in dead:
        rules = ", ".join(dict.fromkeys(event.rule for event in decode(message.events).events))
        print(f"  {message.id}  {message.target}  {message.run}: {rules}: {message.error}")
    return 0


def _standing(tally: DeliveryTally | None) -> str:
    if tally is None:
        return "nothing was sent yet"
    parts = [f"{tally.waiting} waiting"] if tally.waiting else []
    parts += [f"{tally.dead} given up"] if tally.dead else []
    parts += [f"last taken {moment(tally.last_success)}"] if tally.last_success else []
    failing = f"fails since {moment(tally.failing_since)}: {tally.error}" if tally.failing_since else ""
    return ", ".join([*parts, *([failing] if failing else [])]) or "nothing was sent yet"


def _retry(given: argparse.Namespace) -> int:
    """Let messages that were given up wait again, in the archive itself: a server that runs sends them, or the next one."""
    with owned(given.data_dir) as is_ours:
        if not is_ours:
            url = server_of(given.data_dir)
            raise _CannotDo(
                f"a server is running: ask it, by POST {url}/api/v1/notifications/dead/ID/retry, "
                "or on its page of alerts."
            )
        if not (given.data_dir / ARCHIVE).is_file():
            raise _CannotDo(f"--data-dir {given.data_dir} has no archive, and so nothing that was given up.")
        with contextlib.closing(Store(given.data_dir / ARCHIVE)) as store:
            ids = given.ids or [one.id for one in store.deliveries("dead", limit=1000)]
            missing = [one for one in ids if not store.retry_delivery(one)]
    print(f"{len(ids) - len(missing)} messages are sent anew by the next server")
    if missing:
        print(f"not among those that were given up: {', '.join(map(str, missing))}", file=sys.stderr)
    return 1 if missing else 0


def _targets(given: argparse.Namespace) -> tuple[Target, ...]:
    if given.notify_file is None:
        raise _CannotDo(
            f"nobody is told yet: name the file of targets with {_FILE.flag}, or in {_FILE.variable}."
        )
    with _environment(given.data_dir) as environment:
        targets = usable_targets(given.notify_file, os.environ, environment)
    if not targets:
        raise _CannotDo(f"{given.notify_file} has no [[target]]: docs/notifications.md has examples.")
    return targets


def _chosen(targets: Sequence[Target], names: Sequence[str] | None) -> list[Target]:
    """Return the targets of those names, all if none is named."""
    known = [one.name for one in targets]
    for name in names or ():
        if name not in known:
            raise _CannotDo(f"there is no target {name!r}: there are {', '.join(known)}.")
    return [one for one in targets if not names or one.name in names]


def _wanted(given: argparse.Namespace) -> Example:
    """Return the test: of a run of the archive, or of figures that are made up."""
    if given.run is None:
        return invented_example(time.time())
    with contextlib.closing(Store.reading(given.data_dir / ARCHIVE)) as store:
        detail = store.run(given.run)
        if detail is None:
            raise _CannotDo(
                f"there is no run {given.run!r} in {given.data_dir / ARCHIVE}: `rolloutwatch export --list`."
            )
        return recorded_example(detail, store, time.time())


def _any_wants(targets: Sequence[Target]) -> bool:
    return any(one.picture for one in targets)


@contextlib.contextmanager
def _environment(data_dir: Path) -> Iterator[dict[str, str]]:
    """Give processes an environment, with a folder for their files though there be no archive."""
    with contextlib.ExitStack() as stack:
        folder = data_dir
        if not data_dir.is_dir():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield surroundings(folder, os.environ)


@contextlib.contextmanager
def _painter(data_dir: Path) -> Iterator[tuple[Painter, dict[str, str]]]:
    with _environment(data_dir) as environment:
        painter = Painter(environment)
        try:
            yield painter, environment
        finally:
            painter.stop()


def _base(data_dir: Path) -> str:
    """Return where pages are: as the server says that runs, or else as it would by its settings."""
    public = os.environ.get(_PUBLIC_URL.variable)
    if public:
        return public.rstrip("/")
    with contextlib.suppress(NoDataDir):
        if (data_dir / ANNOUNCEMENT).is_file():
            return server_of(data_dir)
    return "http://127.0.0.1:8050"


def _name(target: Target) -> str:
    where = f" to {target.host}" if target.host else ""
    return f"{target.name} ({target.kind}{where})"


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r}: expected the number of a message, as `list` prints it")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rolloutwatch notify",
        description="Try whether those who are told of alerts can be reached; docs/notifications.md.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    test = commands.add_parser(
        "test",
        help="send a message to all targets, and say how each took it",
        description="Send a message that looks like an alert to all targets, and say how each took it. "
        "No server is needed, and one that runs is not disturbed.",
        allow_abbrev=False,
    )
    test.add_argument(
        "--target", metavar="NAME", action="append", help="this one alone; may be given several times"
    )
    test.add_argument("--run", metavar="ID", help="show the newest figures of a run of the archive")
    test.set_defaults(do=_test)
    listing = commands.add_parser(
        "list", help="print who is told, how that goes, and what was given up", allow_abbrev=False
    )
    listing.set_defaults(do=_list)
    retry = commands.add_parser(
        "retry", help="send messages anew that were given up, while no server runs", allow_abbrev=False
    )
    retry.add_argument("ids", metavar="ID", nargs="*", type=_number, help="which ones; all if none is named")
    retry.set_defaults(do=_retry)
    for one in (test, listing):
        one.add_argument(
            _FILE.flag,
            type=Path,
            default=os.environ.get(_FILE.variable) or None,
            help=f"file of the targets [{_FILE.variable}]",
        )
    for one in (test, listing, retry):
        one.add_argument("--data-dir", type=named, default=named(None), help="folder of the archive")
    return parser
