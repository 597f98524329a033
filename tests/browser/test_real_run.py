"""The whole path: a real trainer, a real Redis, the real server, and a browser that watches."""

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.test_run_page import DRAWN
from tests.processes import ROOT, ServerProcess

CHARTS = ("chart-ess", "chart-veto", "chart-ppl", "chart-k3")
TRAIN = [sys.executable, "examples/tiny_rl.py", "--steps", "0", "--pace", "8", "--run", "watched"]
FAULT = ["--fault", "stale", "--fault-from", "60", "--fault-steps", "1000000"]


def test_a_small_rl_run_with_a_real_fault_is_seen_live(page: Page, tmp_path: Path) -> None:
    """The four charts move while it trains; stale weights turn it critical; its end is told."""
    page.set_viewport_size({"width": 1600, "height": 1600})
    with ServerProcess(tmp_path / "data") as server:
        trainer = subprocess.Popen([*TRAIN, *FAULT, "--redis-url", server.redis_url], cwd=ROOT)
        try:
            page.goto(server.url)
            page.get_by_role("link", name="tiny-rl / watched").click(timeout=60_000)
            expect(page.locator("#health")).to_have_text("healthy")
            for chart in CHARTS:
                # looked at each time anew: the page is built anew when a figure comes that it does not know
                see = f"document.getElementById('{chart}')?.scrollIntoView()"
                longer = f"(than) => {{ {see}; const n = ({DRAWN})('{chart}')?.[0]?.[0].length; return n > than && n; }}"
                before = page.wait_for_function(longer, arg=2).json_value()
                page.wait_for_function(longer, arg=before)
            expect(page.locator("#health")).to_have_text("critical", timeout=60_000)
        finally:
            trainer.terminate()
            ended = trainer.wait(30)
        assert ended == 0
        expect(page.locator("#state")).to_have_text("finished")
        last = server.get("/runs/tiny-rl~watched")["last_step"]
        for chart in CHARTS:
            see = f"document.getElementById('{chart}')?.scrollIntoView()"
            page.wait_for_function(
                f"() => {{ {see}; return ({DRAWN})('{chart}')?.[0]?.[0].at(-1) === {last}; }}"
            )
        series = server.get("/runs/tiny-rl~watched/series", metric=["mismatch_k3_kl", "reward"])["series"]
        ((steps, values),) = page.evaluate(DRAWN, "chart-k3")
        assert steps == series["mismatch_k3_kl"]["step"] == series["reward"]["step"] == list(range(last + 1))
        assert values == series["mismatch_k3_kl"]["value"]
        page.close()  # before the server ends, which it would rightly complain about
