"""Print facts and points, and figures of recorded runs, into docs/guides/diagnosis; --check only tells whether all is fresh."""

import inspect
import re
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from generate_metrics import table
from generating import write_or_check

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

# this file is a command, not a part of a package
from benchmarks.detection.cases import BEGINS, CAUSES, LASTS, UNSEEN  # noqa: E402
from benchmarks.detection.recording import FOLDER, read  # noqa: E402
from rolloutwatch_contract.diagnosis import SOMETHING_ELSE, SURE  # noqa: E402
from rolloutwatch_contract.diagnosis.facts import FACTS  # noqa: E402
from rolloutwatch_contract.diagnosis.hypotheses import HYPOTHESES  # noqa: E402
from rolloutwatch_contract.scales import scale_of  # noqa: E402
from tiny.faults import FAULTS  # noqa: E402

PAGES = Path(__file__).with_name("guides") / "diagnosis"
SEEDS = 0, 2  # of the runs whose figures are shown
LOOKED_AT = 20  # steps, the last ones of the fault and the last ones before it

# of each hypothesis the figures that its page shows
SHOWN: Mapping[str, Sequence[str]] = {
    "stale_weights": ("weight_age_steps", "logprob_abs_diff_mean", "mismatch_kl", "mismatch_k3_kl", "prob_pearson_corr"),
    "unsynced_tensor": ("logprob_abs_diff_mean", "mismatch_kl", "mismatch_k3_kl", "logprob_slope", "weight_age_steps"),
    "precision": ("logprob_abs_diff_mean", "mismatch_kl", "mismatch_k3_kl", "logprob_slope", "prob_pearson_corr"),
    "grows_with_position": (
        "logprob_abs_diff_first_quarter", "logprob_abs_diff_last_quarter", "logprob_abs_diff_mean", "prob_pearson_corr",
    ),
    "temperature": ("logprob_slope", "surprise_gap", "prob_pearson_corr", "logprob_abs_diff_mean", "mismatch_k3_kl"),
    "raw_logprobs": ("surprise_gap", "logprob_abs_diff_mean", "mismatch_kl", "mismatch_k3_kl", "logprob_slope"),
    "truncated_sampling": ("mismatch_kl", "mismatch_k3_kl", "ratio_mean", "ratio_max", "surprise_gap"),
    "misaligned_logprobs": ("prob_pearson_corr", "mismatch_kl", "mismatch_k3_kl", "logprob_abs_diff_mean", "ratio_max"),
    "mixed_sequences": (
        "mismatch_k3_seq_share_max", "mismatch_kl", "mismatch_k3_kl", "prob_pearson_corr", "logprob_abs_diff_median",
    ),
    "other_tokens": ("logprob_abs_diff_mean", "logprob_abs_diff_median", "ratio_min", "mismatch_kl", "mismatch_k3_kl"),
    "missing_logprobs": (
        "zero_logprob_fraction", "mismatch_kl", "mismatch_k3_kl", "ratio_mean", "logprob_abs_diff_median",
    ),
}  # fmt: skip


def main() -> int:
    """Write the pages, or compare them; returns the exit code."""
    index = PAGES / "README.md"
    codes = [write_or_check(index, replaced(index, "The whole table", points()), "the code says")]
    for one in HYPOTHESES:
        page = PAGES / f"{one.name}.md"
        codes.append(
            write_or_check(page, replaced(page, "How it looks", figures(one.name)), "recordings show")
        )
    return max(codes)


def replaced(page: Path, heading: str, printed: str) -> str:
    """Return a page with another table, and the line above it, at the end of one of its sections."""
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(f"\n## {heading}\n")
    section, following, after = rest.partition("\n## ")
    if not found or not following:
        raise SystemExit(f"{page}: expected a section {heading!r}, and one behind it")
    kept = re.split(r"^(?:Medians of|Printed by)", section, maxsplit=1, flags=re.MULTILINE)[0].rstrip("\n")
    return f"{before}{found}{kept and kept + chr(10)}\n{printed}{following}{after}"


def points() -> str:
    """Return all facts, and for each hypothesis how much it counts that one holds, and that it does not."""
    asked = (
        [f"`{name}`", (inspect.getdoc(fact.holds) or "").partition("\n")[0]] for name, fact in FACTS.items()
    )
    counted = (
        [
            f"`{name}`",
            *(" / ".join(map(signed, one.points[name])) if name in one.points else "" for one in HYPOTHESES),
        ]
        for name in FACTS
    )
    told = (
        "Printed by `make docs` from `facts.py` and `hypotheses.py`: what is asked, and the points for a yes / for a no. "
        f"What is not in the table has {SOMETHING_ELSE:g} points whatever the facts, "
        f"and a cause is named from a confidence of {SURE:g} on."
    )
    head = ["points", *(f"[`{one.name}`]({one.name}.md)" for one in HYPOTHESES)]
    return f"{told}\n\n{table(['fact', 'asks'], asked)}\n{table(head, counted)}"


def signed(value: float) -> str:
    """Return points with their sign."""
    return "0" if not value else f"{value:+g}".replace("-", "−")


def figures(name: str) -> str:
    """Return what the figures were in recorded runs that have it: before, and with the fault, the lowest run and the highest."""
    before: dict[str, list[float]] = {}
    during: dict[str, list[float]] = {}
    runs = list(recordings(name))
    for run in runs:
        records = read(run)
        for metric in SHOWN[name]:
            for into, end in ((before, BEGINS), (during, BEGINS + LASTS)):
                values = [
                    one.metrics[metric]
                    for one in records
                    if end - LOOKED_AT <= one.step < end and metric in one.metrics
                ]
                into.setdefault(metric, []).append(statistics.median(values))
    faults = dict.fromkeys(FAULTS[run.partition("_")[0]].what for run in runs)
    rows = (
        [f"`{metric}`", span(metric, before[metric]), span(metric, during[metric])] for metric in SHOWN[name]
    )
    told = (
        f"Medians of {LOOKED_AT} steps of {len(runs)} recorded runs, the lowest and the highest, at several strengths. "
        f"What is wrong in them: {'; '.join(faults)}."
    )
    return f"{told}\n\n{table(['figure', 'before', 'with the fault'], rows)}"


def recordings(name: str) -> Iterator[str]:
    """Yield the recordings of the faults that limits were chosen by."""
    for fault, cause in CAUSES.items():
        if cause == name and fault not in UNSEEN:
            for strength in FAULTS[fault].strengths:
                for seed in SEEDS:
                    if (FOLDER / f"{fault}_{strength:g}_bf16_{seed}.rwz").exists():
                        yield f"{fault}_{strength:g}_bf16_{seed}"


def span(metric: str, values: Sequence[float]) -> str:
    """Return the lowest and the highest of some values."""
    low, high = rounded(metric, min(values)), rounded(metric, max(values))
    return low if low == high else f"{low} to {high}"


def rounded(metric: str, value: float) -> str:
    """Return a value to two digits; one whose ideal is 1, and that is near it, to three behind the point."""
    scale = scale_of(metric)
    if scale is not None and scale.ideal == 1 and 0.1 < value < 10:
        return f"{value:.3f}"
    text = f"{float(f'{value:.1e}'):g}"
    return text.replace("e-0", "e-").replace("-", "−", 1) if value < 0 else text.replace("e-0", "e-")


if __name__ == "__main__":
    sys.exit(main())
