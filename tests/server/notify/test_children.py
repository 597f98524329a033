"""The processes that draw and send."""

import base64
import io
import math
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import msgspec
import numpy as np
import pytest
from PIL import Image

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.protocol import Series
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.notify.children import Messenger, Painter, inspected, surroundings
from rolloutwatch_server.notify.drawing import Drawing, Panel, drawing_of, panel
from rolloutwatch_server.notify.events import Content
from rolloutwatch_server.notify.memory import MemoryOutbox
from rolloutwatch_server.notify.messenger import Job, Report
from rolloutwatch_server.notify.services import Finding
from rolloutwatch_server.notify.thresholds import thresholds
from tests.server.notify.events import event
from tests.server.receiver import Mode, Receiver, always

LIMITS = thresholds("ratio_std > 1.0 and ratio_eff_sample_size < 0.3")
DRAWING = Drawing(
    "high_variance",
    "math/grpo-7b",
    Severity.CRITICAL,
    4,
    [
        panel("ratio_std", [1, 2, 3, 4], [0.4, math.nan, math.inf, 1.4], LIMITS),
        panel("ratio_eff_sample_size", [1, 2, 3, 4], [0.9, 0.8, 0.7, 0.2], LIMITS),
    ],
)


@pytest.fixture
def painter(tmp_path: Path) -> Iterator[Painter]:
    one = Painter(surroundings(tmp_path, os.environ))
    yield one
    one.stop()


def size(png: bytes | None) -> tuple[int, int]:
    assert png is not None
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return int(width), int(height)


def url(receiver: Receiver, more: str = "") -> str:
    return f"json://127.0.0.1:{receiver.port}/a-private-path{more}"


def test_a_picture_is_as_wide_as_a_phone_wants_and_higher_with_each_metric(painter: Painter) -> None:
    assert size(painter.draw(DRAWING)) == (1080, 931)
    one = Drawing("r", "p/n", Severity.WARNING, 1, [Panel("m", [1], [None], [1], [("above", 2.0)])])
    assert size(painter.draw(one)) == (1080, 580)


def shades(png: bytes | None) -> set[str]:
    """The colours of a picture that its letters and lines are drawn in, as far as they are not ink or grid."""
    assert png is not None
    with Image.open(io.BytesIO(png)) as image:
        found = image.convert("RGB").getcolors(image.width * image.height)
    assert isinstance(found, list)
    return {f"#{r:02x}{g:02x}{b:02x}" for count, (r, g, b) in found if count > 200}


def test_a_picture_of_an_end_is_not_that_of_an_alert_which_fires(painter: Painter) -> None:
    """Green is where it ended, and nothing is as red as what fires; from where to where it fired is shaded."""
    red, green = "#c0392b", "#1e7a4c"
    fires = shades(painter.draw(DRAWING))
    assert (red in fires, green in fires) == (True, False)
    over = shades(painter.draw(msgspec.structs.replace(DRAWING, fired=(2, 4))))
    assert (red in over, green in over) == (False, True)
    assert "#f6e3e1" in over


def test_a_picture_shows_the_end_where_an_alert_has_ended() -> None:
    outbox = MemoryOutbox(time.time)
    outbox.figures["ratio_std"] = Series(np.arange(400, 421), np.linspace(1.4, 0.4, 21))
    end = event(change=Change.RESOLVED, step=420)
    drawn = [drawing_of(Content((one,)), outbox) for one in (event(), end, event(change=Change.REPEAT))]
    assert [one and (one.mark, one.fired) for one in drawn] == [(412, None), (420, (412, 420)), (412, None)]


def test_a_painter_draws_again_after_it_has_died(painter: Painter) -> None:
    assert painter.draw(DRAWING) is not None
    assert painter._process is not None
    painter._process.kill()
    painter._process.wait()
    assert painter.draw(DRAWING) is not None


def test_what_cannot_be_drawn_costs_the_picture_and_nothing_else(
    painter: Painter, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Drawing("r", "p/n", Severity.WARNING, 1, [Panel("m", [1, 2], [1.0], [], [])])
    assert painter.draw(broken) is None
    assert "the message goes without it" in caplog.text
    assert painter.draw(DRAWING) is not None


def test_a_painter_that_is_stopped_starts_no_more(painter: Painter) -> None:
    painter.warm()
    painter.stop()
    painter.warm()
    assert painter.draw(DRAWING) is None
    assert painter._process is None


def test_fonts_are_remembered_in_the_folder_of_the_archive(painter: Painter, tmp_path: Path) -> None:
    painter.draw(DRAWING)
    assert list((tmp_path / "matplotlib").glob("fontlist-*.json"))


def test_the_server_imports_neither_apprise_nor_matplotlib() -> None:
    """Both take time and memory, which is that of the processes that need them."""
    program = (
        "import sys, rolloutwatch_server.notify.notifier, rolloutwatch_server.commands.notify\n"
        "sys.exit(bool({'apprise', 'matplotlib', 'PIL'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_secrets_of_the_server_stay_out_of_these_processes(tmp_path: Path) -> None:
    environment = surroundings(tmp_path, {"ROLLOUTWATCH_TOKENS": "a:admin:b", "HTTPS_PROXY": "http://proxy"})
    assert "ROLLOUTWATCH_TOKENS" not in environment
    assert environment["HTTPS_PROXY"] == "http://proxy"


def test_apprise_delivers_words_and_picture(tmp_path: Path) -> None:
    with Receiver() as receiver:
        job = Job(
            url(receiver),
            "a title",
            "a body",
            "critical",
            base64.b64encode(b"a picture").decode(),
            allow_internal=True,
        )
        assert Messenger(surroundings(tmp_path, os.environ)).send(job) == Report()
        (request,) = receiver.requests
    assert request.path == "/a-private-path"
    assert (request.content["title"], request.content["message"]) == ("a title", "a body")
    assert request.content["type"] == "failure"
    (attached,) = request.content["attachments"]
    assert (attached["filename"], base64.b64decode(attached["base64"])) == ("alert.png", b"a picture")


@pytest.mark.parametrize(
    ("form", "expected"), [("text", "a_b <b>& *c*"), ("html", "a_b&nbsp;&lt;b&gt;&amp;&nbsp;*c*")]
)
def test_what_is_said_is_shown_as_it_is_and_never_as_markup(tmp_path: Path, form: str, expected: str) -> None:
    with Receiver() as receiver:
        job = Job(url(receiver, f"?format={form}"), "t", "a_b <b>& *c*", allow_internal=True)
        assert Messenger(surroundings(tmp_path, os.environ)).send(job) == Report()
        assert receiver.requests[0].content["message"] == expected


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "[::1]", "169.254.169.254", "10.1.2.3"]
)
def test_apprise_connects_to_no_internal_address(tmp_path: Path, host: str) -> None:
    with Receiver() as receiver:
        job = Job(f"json://{host}:{receiver.port}/a-private-path", "t", "b")
        error = Messenger(surroundings(tmp_path, os.environ)).send(job).error
        assert "an address of an internal network" in error
        assert receiver.requests == []


def test_apprise_follows_no_redirection(tmp_path: Path) -> None:
    with Receiver(always(Mode.REDIRECT)) as receiver:
        job = Job(url(receiver), "t", "b", allow_internal=True)
        assert Messenger(surroundings(tmp_path, os.environ)).send(job).error
        assert [one.path for one in receiver.requests] == ["/a-private-path"]


def test_why_a_service_did_not_take_it_is_told(tmp_path: Path) -> None:
    messenger = Messenger(surroundings(tmp_path, os.environ))
    with Receiver(always(Mode.ERROR)) as receiver:
        report = messenger.send(Job(url(receiver), "t", "b", allow_internal=True))
    assert "error=500" in report.error
    assert not report.is_final


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ("slak://TokenA/TokenB", "Apprise knows no service 'slak': did you mean 'slack'?"),
        (
            "nothing-like-it://a",
            "Apprise knows no service 'nothing-like-it': https://appriseit.com/services/",
        ),
        (
            "slack://bad-and-secret",
            "cannot use the URL: expected one such as slack://{token_a}/{token_b}/{token_c}",
        ),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_it_and_never_tried_again(
    tmp_path: Path, bad: str, expected: str
) -> None:
    environment = surroundings(tmp_path, os.environ)
    report = Messenger(environment).send(Job(bad, "t", "b"))
    assert report.is_final
    assert expected in report.error
    assert inspected([bad, "json://a.example/"], environment) == [Finding(report.error), Finding()]
    for secret in ("TokenA", "bad-and-secret"):
        assert secret not in report.error


def test_urls_are_not_looked_at_for_ever(tmp_path: Path) -> None:
    assert inspected(["json://a.example/"], surroundings(tmp_path, os.environ), seconds=0.01) is None


def test_what_apprise_reads_and_writes_is_kept_to_itself() -> None:
    """No ${VARIABLES} of the environment, no redirections, no files, no secrets in its complaints."""
    program = (
        "from rolloutwatch_server.notify.services import asset\n"
        "one = asset()\n"
        "print(one.allow_templates, one.http_redirects, one.storage_mode.value, one.secure_logging)"
    )
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert asked.stdout.split() == ["False", "False", "memory", "True"]


@pytest.mark.parametrize(
    "attempt",
    [
        "udp.sendto(b'x', there)",
        "udp.sendmsg([b'x'], [], 0, there)",
        "udp.connect(there)",
        "tcp.connect(there)",
        "tcp.connect_ex(there)",
        "socket.socket(socket.AF_UNIX).connect('/run/any')",
        "os.system('true')",
        "subprocess.run(['true'])",
    ],
)
def test_a_process_that_may_not_goes_nowhere_inside_by_any_way(attempt: str) -> None:
    """What goes over UDP needs no connection, such as syslog does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("127.0.0.1", 0))
        heard.settimeout(0.1)
        program = (
            "import os, socket, subprocess\n"
            "from rolloutwatch_server.notify.messenger import Refused, refuse_internal\n"
            "refused = refuse_internal()\n"
            "udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()\n"
            f"there = {heard.getsockname()!r}\n"
            f"try:\n    {attempt}\nexcept Refused:\n    print(len(refused))"
        )
        asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert asked.stdout == "1\n", asked.stderr
        with pytest.raises(TimeoutError):
            heard.recv(1)


def test_what_a_message_says_is_no_template_for_the_environment(tmp_path: Path) -> None:
    with Receiver() as receiver:
        job = Job(url(receiver), "t", "${PATH} $PATH", allow_internal=True)
        assert Messenger(surroundings(tmp_path, os.environ)).send(job) == Report()
        assert receiver.requests[0].content["message"] == "${PATH} $PATH"


def test_a_message_that_hangs_is_ended_in_time(tmp_path: Path) -> None:
    with Receiver(always(Mode.HANG)) as receiver:
        begin = time.monotonic()
        messenger = Messenger(surroundings(tmp_path, os.environ), seconds=2.0)
        slow = Job(url(receiver, "?rto=60"), "t", "b", allow_internal=True)
        assert messenger.send(slow) == Report("it took more than 2 s.")
        assert time.monotonic() - begin < 10


def test_a_message_that_hangs_ends_with_the_server(tmp_path: Path) -> None:
    with Receiver(always(Mode.HANG)) as receiver:
        messenger = Messenger(surroundings(tmp_path, os.environ))
        errors: list[str] = []
        job = Job(url(receiver, "?rto=60"), "t", "b", allow_internal=True)
        sending = Thread(target=lambda: errors.append(messenger.send(job).error))
        sending.start()
        receiver.wait(1)
        messenger.stop()
        sending.join(5)
        assert errors == ["the process that sends it ended without a word."]


def test_a_painter_ends_when_who_asked_it_was_killed(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path\n"
        "from rolloutwatch_server.notify.children import Painter, surroundings\n"
        f"p = Painter(surroundings(Path({str(tmp_path)!r}), os.environ)); p.warm()\n"
        "print(p._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    asked = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    pid = int(asked.stdout)
    until = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < until, "the painter outlives the server"
        time.sleep(0.05)
