"""Alerts are the same however the records of a run are cut into batches, and the archive can say so again."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rolloutwatch_contract import Record, RunEnd, RunStart, StepRecord, stream_key
from rolloutwatch_server.store import Entry, Position, Store
from tests.server.judging import document, judged_again, rule, timeline
from tests.server.records import RUN

FIRST = document(
    rule("high", "kl > 0.5", clear_steps=2),
    rule("lasting", "kl > 0.5", for_steps=2, for_seconds=2.0),
    rule("both", "kl > 0.5 and ess > 0.5"),
    rule("mean", "mean(kl, 3) > 0.5"),
    rule("gone", "absent(ess, 2)"),
    rule("share", "share(ess > 0.5, 3) >= 0.5"),
    rule("rewarded", "reward > 0.5 or ess > 0.9"),
)
SECOND = document(
    rule("high", "kl > 0.4", clear_steps=2),
    rule("mean", "mean(kl, 3) > 0.5", summary="in other words"),
    rule("max", "max(kl, 2) > 0.9"),
    rule("rewarded", "reward > 0.5 or ess > 0.9"),
)


class Rules(NamedTuple):
    """Somebody saves rules."""

    document: str


Happening = tuple[int, Record] | Rules  # the number of a session, and what it brings


class Stage:
    """Archives what happens, in batches, and opens the archive anew in between."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1000.0
        self.store = Store(path, lambda: self.now)
        self.numbers: dict[int, int] = {}

    def anew(self) -> None:
        self.store.close()
        self.store = Store(self.path, lambda: self.now)

    def bring(self, batch: Sequence[tuple[int, Record]]) -> None:
        by_stream: list[tuple[str, list[Entry]]] = []
        for session, record in batch:
            stream = stream_key(RUN, f"s{session}")
            number = self.numbers[session] = self.numbers.get(session, 0) + 1
            if not by_stream or by_stream[-1][0] != stream:
                by_stream.append((stream, []))
            by_stream[-1][1].append(Entry(Position(number), record))
        for stream, entries in by_stream:
            self.store.archive(stream, entries)


figures = st.sampled_from([0.0, 0.3, 0.45, 0.6, 0.95, 1.0, math.nan, math.inf])


@st.composite
def happenings(draw: st.DrawFn) -> list[Happening]:
    """A run of one or several sessions, with what a run brings: late, again, resumed, ended, and rules that change."""
    found: list[Happening] = []
    session, step, time = 0, draw(st.integers(0, 3)), 100.0
    found.append((session, RunStart("math", "a", time)))
    for _ in range(draw(st.integers(5, 40))):
        kind = draw(
            st.sampled_from(
                ["step"] * 8 + ["part", "late", "again", "resume", "rules", "end", "other", "back", "lost"]
            )
        )
        time += draw(st.sampled_from([0.5, 1.0, 3.0]))
        names = draw(
            st.lists(st.sampled_from(["kl", "ess", "reward", "other"]), min_size=1, max_size=4, unique=True)
        )
        metrics = {name: draw(figures) for name in names}
        if kind == "step":
            step += draw(st.sampled_from([1, 1, 1, 2]))
            found.append((session, StepRecord(step, time, metrics)))
        elif kind == "lost":
            step += 1
            found.append((session, StepRecord(step, time, metrics, dropped={"queue_full": step})))
        elif kind == "part":
            found.append((session, StepRecord(step, time, metrics)))
        elif kind in ("late", "again"):
            name = names[0]
            found.append(
                (session, StepRecord(max(0, step - draw(st.integers(0, 5))), time, {name: metrics[name]}))
            )
        elif kind == "back":
            step = max(0, step - draw(st.integers(0, 5)))
            found.append(
                (session, StepRecord(step, time, dict.fromkeys(["kl", "ess", "reward", "other"], 0.6)))
            )
        elif kind == "resume":
            session, step = session + 1, max(0, step - draw(st.integers(0, 5)))
            found.append((session, RunStart("math", "a", time)))
            found.append((session, StepRecord(step, time, metrics)))
        elif kind == "other" and session:
            found.append((session - 1, StepRecord(max(0, step - draw(st.integers(-2, 3))), time, metrics)))
        elif kind == "end":
            found.append((session, RunEnd(time)))
        elif kind == "rules":
            found.append(Rules(draw(st.sampled_from([FIRST, SECOND]))))
    return found


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happened=happenings(), data=st.data())
def test_batches_and_restarts_change_nothing_and_the_archive_gives_the_same_again(
    happened: list[Happening], data: st.DataObject, tmp_path_factory: object
) -> None:
    """Record by record, or in batches with the server started anew in between; and from what is shown and noted."""
    whole, cut = (Stage(tmp_path_factory.mktemp("alerts") / "archive.db") for _ in range(2))
    for stage in (whole, cut):
        stage.store.save_rule_set(FIRST, "api", "somebody")
    waiting: list[tuple[int, Record]] = []
    for one in happened:
        if isinstance(one, Rules):
            cut.bring(waiting)
            waiting = []
            for stage in (whole, cut):
                stage.store.save_rule_set(one.document, "api", "somebody")
            continue
        whole.bring([one])
        waiting.append(one)
        if data.draw(st.booleans()):
            cut.bring(waiting)
            waiting = []
            if data.draw(st.booleans()):
                cut.anew()
    cut.bring(waiting)
    assert whole.store.broken_alerts == cut.store.broken_alerts == {}
    assert timeline(cut.store, RUN) == timeline(whole.store, RUN)
    assert judged_again(whole.store, RUN) == []
    assert judged_again(cut.store, RUN) == []
    for stage in (whole, cut):
        stage.store.close()
