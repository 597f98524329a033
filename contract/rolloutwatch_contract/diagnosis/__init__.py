"""From the figures of a run to what is probably wrong with it: evidence, facts, hypotheses."""

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from rolloutwatch_contract.diagnosis.comparison import Comparison
from rolloutwatch_contract.diagnosis.evidence import METRICS, Evidence, Series
from rolloutwatch_contract.diagnosis.facts import FACTS, Answer
from rolloutwatch_contract.diagnosis.hypotheses import HYPOTHESES, Hypothesis

Answers = Mapping[str, Answer]

__all__ = ["METRICS", "Cause", "Comparison", "Diagnosis", "diagnose", "diagnosed"]

SOMETHING_ELSE = 2.5  # points of all that is not in the table
SURE = 0.7  # of 1: below it nothing is said to be the cause
AT_ONCE = 0.7  # so much of its points counts in the first step, where chance says most
IN_FULL = 4  # steps after which all of them count
LOOKS = 4  # steps, the last ones at which it is there, that are looked at: what one of them says by chance the others do not
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
    `over` is the step from which on log-probs agree as before again, None if they do not: then it says what was wrong.
    """

    step: int
    onset: int
    causes: tuple[Cause, ...] = ()
    over: int | None = None

    @property
    def is_sure(self) -> bool:
        """Whether one cause is likely enough to be named."""
        return bool(self.causes) and self.causes[0].confidence >= SURE

    @property
    def headline(self) -> str:
        """Return it in a sentence."""
        if not self.causes:
            return "No cause is known."
        said = f"{'probably' if self.is_sure else 'not sure; perhaps'} {self.causes[0].title}."
        if self.over is not None:
            return f"Over since step {self.over}: {said}"
        return said[0].upper() + said[1:]


def diagnose(series: Mapping[str, Series], step: int, onset: int) -> Diagnosis:
    """Say what is probably wrong at a step with what began at `onset`.

    Args:
        series: Steps, ascending, and values of `METRICS`, those there are, from well before the onset on.
        step: The step that is asked about.
        onset: When what is asked about began.
    """
    return diagnosed(Comparison(series, onset), step)


def diagnosed(comparison: Comparison, step: int) -> Diagnosis:
    """Say what is probably wrong at a step of what is compared, which several steps may be asked of."""
    with np.errstate(over="ignore", invalid="ignore"):  # figures may be as large as doubles are
        now = comparison.at(step)
        earlier = [_answers(comparison.at(one)) for one in now.measured_at[-LOOKS:-1]]
        return _diagnosis(now, [answers for answers in earlier if answers is not None])


def _answers(evidence: Evidence) -> Answers | None:
    """Return what each fact says; None where nothing is otherwise than before."""
    answers = {name: fact.holds(evidence) for name, fact in FACTS.items()}
    is_otherwise = answers["differs"] or (answers["differs"] is not None and answers["gap_moved"])
    return answers if is_otherwise else None


def _diagnosis(evidence: Evidence, earlier: Sequence[Answers]) -> Diagnosis:
    answers = _answers(evidence)
    if answers is None:
        return Diagnosis(evidence.step, evidence.onset)
    counts = min(1.0, AT_ONCE + (1 - AT_ONCE) * (evidence.lasted - 1) / (IN_FULL - 1))
    looks = [*earlier, answers]
    newer = np.arange(1, len(looks) + 1)  # looks count for more
    weights = {
        one.name: math.exp(counts * float(np.average([_points(one, look) for look in looks], weights=newer)))
        for one in HYPOTHESES
    }
    whole = sum(weights.values()) + math.exp(SOMETHING_ELSE)
    causes = [_cause(one, weights[one.name] / whole, evidence, answers) for one in HYPOTHESES]
    likely = sorted(causes, key=lambda cause: -cause.confidence)
    shown = tuple(cause for cause in likely if cause.confidence >= SHOWN)
    return Diagnosis(evidence.step, evidence.onset, shown, evidence.over)


def _points(one: Hypothesis, answers: Answers) -> float:
    return sum(_of(pair, answers[fact]) for fact, pair in one.points.items())


def _of(pair: tuple[float, float], answer: bool | None) -> float:
    return 0.0 if answer is None else pair[0] if answer else pair[1]


def _cause(one: Hypothesis, confidence: float, evidence: Evidence, answers: Answers) -> Cause:
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
