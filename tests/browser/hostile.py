"""What somebody may call or write who wants a page to do something else than show it; and an archive that is full of it."""

import json
import time

import httpx
import numpy as np

from rolloutwatch_contract import Mark, RunStart, StepRecord
from rolloutwatch_contract.record import MAX_TOKEN_LETTERS
from rolloutwatch_contract.tags import LETTERS_OF_A_TAG
from tests.browser.site import HEALTHY, STALE, Site
from tests.step_records import step_record

DEED = "window.canary=1"
TEXTS = (
    f"<script>{DEED}</script>",
    f"<img src=x onerror={DEED}>",
    f"\"'><svg onload={DEED}>",
    f"</textarea></title><script>{DEED}</script>",
    f"[x](javascript:{DEED})",
    f"<a href='javascript:{DEED}'>x</a>",
    "<b>b</b><sub>2</sub><br>&lt;&amp;",  # which plotly would read as markup
    "$x^2$",
    "\u202egnp.exe",
    "a\u200bb\u2060c",
    "Z" + "\u0351\u036b" * 12,
    "👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈",
    "__proto__",
    "constructor",
    "%2e%2e%2Fb%00",
    "{{7*7}} ${7*7} #{7*7} %{7*7}",
    "=cmd|'/C calc'!A0",
    "two\nlines\tand a tab",
    "no\x00thing",
    "\ufffd",  # what becomes of half a letter
    "w" * 128,
)
# of letters that names may have, and yet of what every object in a browser has
NAMES = ("__proto__", "constructor", "hasOwnProperty", "toString", "0", "m" * 128)
RUN, OTHER = "constructor~toString", "constructor~valueOf"
STEPS = 2 * len(TEXTS)
ILL = range(STEPS - 8, STEPS)
FEW = 6  # that a tag, a token and a bar have room for
TAGS = tuple(one for one in TEXTS if one.isprintable() and "," not in one and len(one) <= LETTERS_OF_A_TAG)[
    :20
]
TOKENS = tuple(one[:MAX_TOKEN_LETTERS] for one in TEXTS)
# what no page has of its own, and a run could only have planted
PLANTED = (
    "img, iframe, object, embed, base, [onload], [onerror], [onclick], a[href^='javascript'], main script, body > script,"
    " main b, main sub, tspan[style*='bold'], tspan[style*='baseline-shift']"
)


def figures(step: int) -> dict[str, float]:
    return (STALE if step in ILL else HEALTHY) | dict.fromkeys(NAMES, 0.5) | {"mismatch_k3_kl@__proto__": 0.2}


def whole(step: int, now: float) -> StepRecord:
    """A step with a sequence of each group, and the tokens of the first."""
    sequences = [np.linspace(-0.5, 0.5, len(TOKENS) + at).astype(np.float32) for at in range(len(TEXTS))]
    return step_record(step, now, sequences, figures(step), groups=TEXTS, texts={len(TEXTS) - 1: TOKENS})


def document() -> str:
    """A rule that fires, with all of it in its words."""
    words = json.dumps(" ".join(TEXTS), ensure_ascii=False).replace("\x7f", "")
    return (
        f'[[rule]]\nname = "constructor"\nseverity = "warning"\nwhen = "ratio_eff_sample_size < 0.5"\n'
        f"summary = {words}\ncure = {words}\n"
    )


def fill(site: Site) -> None:
    """Record two runs that have all of it, wherever texts are let through."""
    now = time.time()
    site.rules.save(document(), TEXTS[1])
    everything: dict[str, str | int | float | bool | None] = {one: one for one in TEXTS}
    for run in (RUN, OTHER):
        project, name = run.split("~")
        environment = {f"{one} ": one for one in TEXTS} | {"host": TEXTS[0], "pid": TEXTS[1]}
        marks = [
            Mark(at, now + at, NAMES[at % 4], {one: one, "version": one}) for at, one in enumerate(TEXTS)
        ]
        steps = [
            StepRecord(step, now + step, figures(step), dropped={"__proto__": 1}) for step in range(STEPS - 1)
        ]
        start = RunStart(project, name, now, everything if run == RUN else {"__proto__": run}, environment)
        site.archive(run, "constructor", start, *marks, *steps, whole(STEPS - 1, now + STEPS))
    with httpx.Client(base_url=f"{site.url}/api/v1") as api:
        api.patch(f"/runs/{RUN}", json={"tags": TAGS}).raise_for_status()
        (alert,) = api.get("/alerts", params={"run": RUN}).json()["alerts"]
        note = " ".join(TEXTS)[:500]
        api.post(f"/alerts/{alert['id']}/acknowledge", json={"minutes": 60, "note": note}).raise_for_status()
        api.post("/silences", json={"run": OTHER, "minutes": 60, "reason": note}).raise_for_status()
