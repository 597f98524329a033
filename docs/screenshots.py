"""Take pictures of all pages: starts a server and small runs with a fault, and looks at them with Chromium.

    make screenshots

Takes some minutes. It needs what `make test` installs, and Chromium (Debian: apt-get install chromium).
Each page is seen light and dark, on a desk and on a phone; pictures stand in `.screenshots`,
and those that the documentation shows in `docs/images` too.
"""

import contextlib
import itertools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
from playwright.sync_api import Browser, expect, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.processes import ServerProcess, wait_for  # noqa: E402 - this file is a command, not a part of a package

FOLDER = ROOT / ".screenshots"
IMAGES = ROOT / "docs" / "images"  # what stands there already is shown, and is taken anew
RUN = "tiny-rl~stale-weights"
LAST_STEP = 199
STEP_THAT_IS_LOOKED_AT = 170
FAULT = ["--fault", "stale", "--fault-from", "150", "--fault-steps", "1000"]
LEAST_ALERTS = 4
SIZES = {"desk": (1280, 1000), "phone": (390, 844)}
SCHEMES = ("light", "dark")
# by name: where it is, and what is there as soon as it is drawn
PAGES = {
    "run": (f"/runs/{RUN}", "#chart-ess .main-svg"),
    "replay": (f"/runs/{RUN}?at={STEP_THAT_IS_LOOKED_AT}", "#replay:not([hidden])"),
    "step": (f"/runs/{RUN}/steps/{STEP_THAT_IS_LOOKED_AT}", ".step-rows"),
    "whatif": (f"/runs/{RUN}/whatif?rollout_is=sequence", "#whatif-table td"),
    "compare": (f"/compare?run={RUN}&run=tiny-rl~healthy", ".js-plotly-plot .main-svg"),
    "rules": ("/rules", "#rules-editor"),
    "guides": ("/guides", "h1"),
    "missing": ("/runs/nobody~none", "h1"),
}
LIVE_PAGES = {
    "runs": ("/", "#runs tbody tr"),
    "run-alerts": ("/runs/tiny-rl~going-wrong", "#reasons .critical"),
    "alerts": ("/alerts", "#alerts .alert"),
}


def main() -> None:
    """Train, look, and leave the pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("No Chromium on PATH: apt-get install chromium")
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder)) as server:
        for name, options in (("healthy", []), ("stale-weights", FAULT)):
            train(name, server.redis_url, options)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            take_all(browser, server.url, PAGES)
            with going_wrong(server.redis_url, server.url):
                take_all(browser, server.url, LIVE_PAGES)
            browser.close()


def take_all(browser: Browser, url: str, pages: Mapping[str, tuple[str, str]]) -> None:
    """Take pictures of pages, each in every size and scheme."""
    for name, (path, drawn) in pages.items():
        for size, scheme in itertools.product(SIZES, SCHEMES):
            picture = take(browser, f"{name}-{size}-{scheme}", url + path, drawn, scheme, SIZES[size])
            if (IMAGES / picture.name).exists():
                shutil.copy(picture, IMAGES)


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


def take(browser: Browser, name: str, address: str, drawn: str, scheme: str, size: tuple[int, int]) -> Path:
    """Take one picture."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.goto(address)
    expect(page.locator(drawn).first).to_be_visible(timeout=30_000)
    page.wait_for_timeout(2000)  # what is drawn last is the hardest to name
    picture = FOLDER / f"{name}.png"
    page.screenshot(path=picture)
    print(picture.relative_to(ROOT))
    context.close()
    return picture


if __name__ == "__main__":
    main()
