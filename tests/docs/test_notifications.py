"""What docs/notifications.md shows is true: its targets are read, and its ten lines know what is ours."""

import re
import subprocess
import sys
import time
import tomllib

from rolloutwatch_server.notify.signature import sign
from rolloutwatch_server.notify.targets import parse_targets
from rolloutwatch_server.notify.webhook import Webhook
from tests.processes import ROOT
from tests.server.notify.events import SECRET, webhook
from tests.server.receiver import Receiver

TEXT = (ROOT / "docs/notifications.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_its_targets_are_read() -> None:
    environment = {"SLACK_URL": "slack://TokenAAAA/TokenBBBB/TokenCCCC/#alerts", "ON_CALL_SECRET": SECRET}
    names = [[one.name for one in parse_targets(block, "docs", environment)] for block in blocks("toml")]
    assert names == [
        ["chat", "on-call"],
        ["mail", "slack", "discord", "teams", "pager", "telegram", "phone", "own"],
    ]


def test_apprise_knows_every_kind_that_it_shows() -> None:
    """In a process of its own, as when a message is sent: what it imports is no affair of these tests."""
    program = (
        "import apprise, sys\n"
        "asset = apprise.AppriseAsset(storage_mode='memory')\n"
        "sys.exit('\\n'.join(url for url in sys.argv[1:] if not apprise.Apprise(asset=asset).add(url)) or 0)"
    )
    tables = [table for block in blocks("toml") for table in tomllib.loads(block)["target"]]
    urls = [table["url"] for table in tables if "url" in table]
    assert len(urls) == 7
    asked = subprocess.run(
        [sys.executable, "-c", program, *urls], capture_output=True, text=True, check=False
    )
    assert (asked.returncode, asked.stderr) == (0, "")


def test_its_ten_lines_know_what_is_ours() -> None:
    (program,) = blocks("python")
    names: dict[str, object] = {}
    exec(program, names)
    is_ours = names["is_ours"]
    assert callable(is_ours)
    with Receiver() as receiver:
        assert Webhook(webhook(receiver.url)).send("key", b'{"a": 1}', time.time()).error == ""
        (request,) = receiver.requests
    signature = request.headers["x-rolloutwatch-signature"]
    assert is_ours(signature, request.body, SECRET)
    assert not is_ours(signature, request.body + b" ", SECRET)
    assert not is_ours(signature, request.body, SECRET + "x")
    assert not is_ours(sign(SECRET, int(time.time()) - 400, request.body), request.body, SECRET)
    assert not is_ours("", request.body, SECRET)
