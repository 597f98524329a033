"""Take the pictures of docs/images anew: starts a server and a small run with a fault, and looks at it with Chromium.

    .venv/bin/python docs/screenshots.py

Takes about a minute. It needs what `make test` installs, and Chromium (Debian: apt-get install chromium).
"""

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
from playwright.sync_api import Browser, expect, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.processes import ServerProcess, wait_for  # noqa: E402 - this file is a command, not a part of a package

IMAGES = ROOT / "docs" / "images"
RUN = "tiny-rl~stale-weights"
LAST_STEP = 199
FAULT = ["--fault", "stale", "--fault-from", "150", "--fault-steps", "1000"]
LEAST_ALERTS = 4
LOOKS = {
    "run-light": (f"/runs/{RUN}", "light", 1280, 1000),
    "run-dark": (f"/runs/{RUN}", "dark", 1280, 1000),
    "run-phone": (f"/runs/{RUN}", "light", 390, 844),
    "rules": ("/rules", "light", 1280, 900),
}
LIVE_LOOKS = {
    "runs": ("/", "light", 1280, 420),
    "run-alerts": ("/runs/tiny-rl~going-wrong", "light", 1280, 1000),
    "alerts-light": ("/alerts", "light", 1280, 1000),
    "alerts-dark": ("/alerts", "dark", 1280, 1000),
    "alerts-phone": ("/alerts", "light", 390, 844),
}


def main() -> None:
    """Train, look, and leave the pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("No Chromium on PATH: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder)) as server:
        for name, options in (("healthy", []), ("stale-weights", FAULT)):
            train(name, server.redis_url, options)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            for name, look in LOOKS.items():
                take(browser, name, server.url, *look)
            with going_wrong(server.redis_url, server.url):
                for name, look in LIVE_LOOKS.items():
                    take(browser, name, server.url, *look)
            browser.close()


def train(name: str, redis_url: str, options: list[str]) -> None:
    """Run the small RL run to its end."""
    command = training(name, redis_url, LAST_STEP + 1, options)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def training(name: str, redis_url: str, steps: int, options: list[str]) -> list[str]:
    """Return the command of the small RL run."""
    command = [sys.executable, str(ROOT / "examples" / "tiny_rl.py"), "--steps", str(steps), "--run", name]
    return [*command, *options, "--redis-url", redis_url]


@contextlib.contextmanager
def going_wrong(redis_url: str, url: str) -> Iterator[None]:
    """Let a run go on whose alerts fire, until it is looked at."""
    options = ["--fault", "stale", "--fault-from", "20", "--fault-steps", "100000", "--pace", "8"]
    command = training("going-wrong", redis_url, 0, options)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        try:
            wait_for(
                "alerts", lambda: len(httpx.get(f"{url}/api/v1/alerts").json()["alerts"]) >= LEAST_ALERTS
            )
            yield
        finally:
            running.terminate()


def take(browser: Browser, name: str, url: str, path: str, scheme: str, width: int, height: int) -> None:
    """Take one picture."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.goto(url + path)
    if path.startswith("/runs/"):
        expect(page.locator("#step")).to_have_text(
            f"step {LAST_STEP}" if path.endswith(RUN) else re.compile("step")
        )
        expect(page.locator("#chart-ess .main-svg").first).to_be_visible()
    expect(page.locator("h1")).to_be_visible()
    page.wait_for_timeout(1500)  # what is drawn last is the hardest to name
    page.screenshot(path=IMAGES / f"{name}.png")
    print(f"docs/images/{name}.png")
    context.close()


if __name__ == "__main__":
    main()
