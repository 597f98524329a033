"""From the figures of a run to what is probably wrong with it: evidence, facts, hypotheses."""

import math
from collections.abc import Mapping

import msgspec
import numpy as np

from rolloutwatch_contract.diagnosis.evidence import METRICS, Evidence, Series, evidence_of
from rolloutwatch_contract.diagnosis.facts import FACTS
from rolloutwatch_contract.diagnosis.hypotheses import HYPOTHESES, Hypothesis

__all__ = ["METRICS", "Cause", "Diagnosis", "diagnose"]

SOMETHING_ELSE = 2.5  # points of all that is not in the table
SURE = 0.7  # of 1: below it nothing is said to be the cause
AT_ONCE = 0.7  # so much of its points counts in the first step, where chance says most
IN_FULL = 4  # steps after which all of them count
SHOWN = 0.05  # less likely ones are not worth a look


class Cause(msgspec.Struct, frozen=True):
    """One hypothesis, and what speaks for it and against it, the weightiest first.

    `confidence` is from 0 to 1; with those of the other causes, and of none of them, it adds up to 1.
    """

    name: str
    title: str
    confidence: float
    evidence_for: tuple[str, ...]
    evidence_against: tuple[str, ...]
    check: str
    cure: str
    guide: str


class Diagnosis(msgspec.Struct, frozen=True):
    """What is probably wrong at a step, the likeliest first.

    `onset` is since when. Without causes nothing is known to be otherwise than before.
    """

    step: int
    onset: int
    causes: tuple[Cause, ...] = ()

    @property
    def is_sure(self) -> bool:
        """Whether one cause is likely enough to be named."""
        return bool(self.causes) and self.causes[0].confidence >= SURE

    @property
    def headline(self) -> str:
        """Return it in a sentence."""
        if not self.causes:
            return "No cause is known."
        first = self.causes[0].title
        if self.is_sure:
            return f"Probably {first}."
        return f"Not sure; perhaps {first}."


def diagnose(series: Mapping[str, Series], step: int, onset: int) -> Diagnosis:
    """Say what is probably wrong at a step with what began at `onset`.

    Args:
        series: Steps, ascending, and values of `METRICS`, those there are, from well before the onset on.
        step: The step that is asked about.
        onset: When what is asked about began.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # figures may be as large as doubles are
        return _diagnosis(evidence_of(series, step, onset))


def _diagnosis(evidence: Evidence) -> Diagnosis:
    answers = {name: fact.holds(evidence) for name, fact in FACTS.items()}
    if answers["differs"] is None or not (answers["differs"] or answers["gap_moved"]):
        return Diagnosis(evidence.step, evidence.onset)
    counts = min(1.0, AT_ONCE + (1 - AT_ONCE) * (evidence.lasted - 1) / (IN_FULL - 1))
    weights = {one.name: math.exp(counts * _points(one, answers)) for one in HYPOTHESES}
    whole = sum(weights.values()) + math.exp(SOMETHING_ELSE)
    causes = [_cause(one, weights[one.name] / whole, evidence, answers) for one in HYPOTHESES]
    likely = sorted(causes, key=lambda cause: -cause.confidence)
    return Diagnosis(
        evidence.step, evidence.onset, tuple(cause for cause in likely if cause.confidence >= SHOWN)
    )


def _points(one: Hypothesis, answers: Mapping[str, bool | None]) -> float:
    return sum(_of(pair, answers[fact]) for fact, pair in one.points.items())


def _of(pair: tuple[float, float], answer: bool | None) -> float:
    return 0.0 if answer is None else pair[0] if answer else pair[1]


def _cause(
    one: Hypothesis, confidence: float, evidence: Evidence, answers: Mapping[str, bool | None]
) -> Cause:
    told = sorted(
        ((_of(pair, answers[fact]), fact) for fact, pair in one.points.items()),
        key=lambda each: -abs(each[0]),
    )
    said = [(points, FACTS[fact].yes if answers[fact] else FACTS[fact].no) for points, fact in told if points]
    return Cause(
        one.name,
        one.title,
        confidence,
        tuple(sentence(evidence) for points, sentence in said if points > 0),
        tuple(sentence(evidence) for points, sentence in said if points < 0),
        one.check,
        one.cure,
        one.guide,
    )
