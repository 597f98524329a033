"""Every page there is: where it is, when it is there, and what can be opened on it; and an archive for all of them."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import numpy as np

from rolloutwatch_contract import Heartbeat, Mark, RunEnd, RunStart, StepRecord
from rolloutwatch_contract.keys import split_run_id
from tests.browser.ailing import stale, unclear
from tests.browser.site import CONFIG, Site
from tests.step_records import step_record

LIVE = "math~grpo"
OVER = "math~older"
UNCLEAR = "math~unclear"
STEPS = 48
SECONDS_BETWEEN_BREATHS = 5.0
ILL = range(40, STEPS)
TRAINING = {"reward": 0.4, "response_length": 512.0, "entropy": 1.1, "mismatch_k3_kl@algebra": 1e-4}
VETOED = {"rollout_is_veto_fraction": 0.14}


class Opening(NamedTuple):
    """Where one presses Enter, one after the other, and what is there then; Escape or the first one again closes it."""

    keys: tuple[str, ...]
    there: str


class Place(NamedTuple):
    """A page by name: its pattern in pages/routes.py, None if the server has it elsewhere, and an address that fits.

    `drawn` is there when the page is, `part` is what axe looks at where another place has the rest of the page too.
    """

    name: str
    pattern: str | None
    path: str
    drawn: str
    openings: tuple[Opening, ...] = ()
    part: str = ""


def button(text: str, where: str = "main") -> str:
    return f'{where} button:text-is("{text}"):visible'


def dialog(*keys: str) -> Opening:
    return Opening(keys, "dialog")


ROW_MENU, ROW_ITEMS = "#runs .row-menu summary", "#runs .row-menu-items"
PLACES = (
    Place(
        "runs", "", "/", "#runs .spark",
        (
            Opening((ROW_MENU,), ROW_ITEMS),
            dialog(ROW_MENU, button("Tags…", ROW_ITEMS)),
            dialog('#runs tr:has-text("older") .row-menu summary', button("Delete…", ROW_ITEMS)),
            dialog("#keys"),
            dialog("#tell"),
        ),
    ),
    Place(
        "run", "runs/*", f"/runs/{LIVE}", "#chart-ess .main-svg",
        (
            Opening((".chart-menu summary",), ".chart-menu[open] div"),
            dialog(button("Acknowledge", "#why")),
            Opening((".facts > summary",), ".facts table"),
            dialog(button("Tags…")),
            dialog("#keys"),
        ),
    ),
    Place(
        "run whose cause is unclear", "runs/*", f"/runs/{UNCLEAR}", ".diagnosis .candidates",
        (Opening((".diagnosis summary",), ".diagnosis details[open] p"),), part="#why",
    ),
    Place("replay", "runs/*", f"/runs/{OVER}?at=43", "#replay:not([hidden])", part="#replay"),
    Place("step", "runs/*/steps/*", f"/runs/{LIVE}/steps/{STEPS - 1}", "#step-scatter .main-svg"),
    Place("what if", "runs/*/whatif", f"/runs/{OVER}/whatif?rollout_is=sequence", "#whatif-table td"),
    Place(
        "compare", "compare", f"/compare?run={LIVE}&run={OVER}", ".js-plotly-plot .main-svg",
        (dialog(button("Choose runs")),),
    ),
    Place(
        "alerts", "alerts", "/alerts", "#alerts .alert",
        (
            dialog(button("Acknowledge", ".alert")),
            dialog(button("Silence", ".alert")),
            Opening((button("What happened", ".alert"),), ".alert .life li"),
        ),
    ),
    Place("rules", "rules", "/rules", "#rules-lines:not(:empty)", (dialog(button("Edit")),)),
    Place("guides", None, "/guides", "main h1"),
    Place("a guide", None, "/guides/too_many_vetoed", "main h1"),
    Place("docs", None, "/docs", "h1"),
    Place("nothing here", None, "/runs/nobody~none", "h1"),
)  # fmt: skip


def figures(step: int, run: str) -> dict[str, float]:
    ailing = (unclear if run == UNCLEAR else stale)(step, ILL.start)
    return ailing | (VETOED if step in ILL else {}) | TRAINING | {"reward": 0.4 + step / 100}


def whole(step: int, time_of_it: float, run: str) -> StepRecord:
    """A step with all that goes along with one."""
    rng = np.random.default_rng(step)
    spread = 0.5 if step in ILL else 0.02
    sequences = [rng.normal(0, spread, 12 + 3 * at).astype(np.float32) for at in range(6)]
    texts = {0: [f" word{at}" for at in range(12)], 5: ["\n", *(f" ⟨{at}⟩" for at in range(26))]}
    return step_record(
        step, time_of_it, sequences, figures(step, run), groups=("algebra", "geometry"), texts=texts
    )


def record(site: Site, run: str, begin: float, **config: str | float) -> None:
    """A run that went wrong at its end."""
    project, name = split_run_id(run)
    environment = {"host": "trainer-7", "pid": "4711", "torch": "2.9.0"}
    records = [
        RunStart(project, name, begin, CONFIG | config, environment),
        *(whole(step, begin + 2.0 * step, run) for step in range(STEPS)),
        Mark(10, begin + 20.0, "weight_sync", {"version": 7}),
        Mark(20, begin + 40.0, "checkpoint", {"path": "/checkpoints/20"}),
    ]
    site.archive(run, "session-1", *records)
    site._sessions[run], site._sequences[run] = 1, len(records)


def fill(site: Site) -> None:
    """Record a run that is over, one that lives and whose alerts fire, and what people have done about them."""
    now = time.time()
    record(site, OVER, now - 7200.0, rollout_is_threshold=5.0)
    site.put(OVER, RunEnd(now - 7000.0))
    record(site, UNCLEAR, now - 2.0 * STEPS)
    record(site, LIVE, now - 2.0 * STEPS)
    with httpx.Client(base_url=f"{site.url}/api/v1") as api:
        api.patch(f"/runs/{LIVE}", json={"tags": ["baseline", "8×H100"]}).raise_for_status()
        silence = {"run": OVER, "rule": "*", "minutes": 60, "reason": "known"}
        api.post("/silences", json=silence).raise_for_status()


@contextlib.contextmanager
def breathing(site: Site) -> Iterator[None]:
    """Let runs that live say so all the while: when one that stalled goes on its page is made anew, which closes what is open."""
    over = threading.Event()

    def breathe() -> None:
        while not over.wait(SECONDS_BETWEEN_BREATHS):
            for run in (LIVE, UNCLEAR):
                site.put(run, Heartbeat(time.time()))

    thread = threading.Thread(target=breathe)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
