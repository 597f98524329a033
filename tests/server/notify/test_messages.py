"""What people read."""

import math

import pytest

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.notify.events import Content, Links, decode, encode, is_muted, key_of
from rolloutwatch_server.notify.messages import MOST_LETTERS, MOST_LETTERS_OF_A_TITLE, compose
from rolloutwatch_server.notify.thresholds import Threshold, thresholds
from rolloutwatch_server.store import Event
from tests.server.notify.events import event

LINKS = Links("https://watch.example")


def told(*events: Event, others: int = 0, over: tuple[str, ...] = (), now: float = 1010.0) -> tuple[str, str]:
    return compose(Content(events, others, over=over), LINKS, now)


def test_an_alert_is_told_with_figures_beside_limits_meaning_cure_and_links() -> None:
    title, body = told(event(), others=3)
    assert title == "[critical] math/grpo-7b: high_variance at step 412"
    assert (
        body
        == """\
high_variance fires. A few samples carry the whole gradient.
That was at 1970-01-01 00:16:40 UTC.

ratio_std: 1.42  (limit: above 1)
ratio_eff_sample_size: 0.21  (limit: below 0.3)
Condition: ratio_std > 1.0 and ratio_eff_sample_size < 0.3

What to do: Switch from sequence to geometric level.
Guide: https://watch.example/guides/high_variance

Run at step 412: https://watch.example/runs/math~grpo-7b?step=412
3 other alerts fire on this run."""
    )


@pytest.mark.parametrize(
    ("about", "title", "begin"),
    [
        (
            {"change": Change.RESOLVED, "step": 450},
            "[resolved] math/grpo-7b: high_variance at step 450",
            "high_variance is over: it fired from step 412 to 450. Its condition holds no more.",
        ),
        (
            {"change": Change.RESOLVED, "step": 450, "reason": "the run ended"},
            "[resolved] math/grpo-7b: high_variance at step 450",
            "high_variance is over: it fired from step 412 to 450. The run ended.",
        ),
        (
            {"change": Change.FLAPPING, "step": 430},
            "[flapping] math/grpo-7b: high_variance at step 430",
            "high_variance fires and ends again and again. You are told when that is over, and not each time.",
        ),
        (
            {"change": Change.STABLE, "step": 490, "reason": "firing"},
            "[no longer flapping] math/grpo-7b: high_variance at step 490",
            "high_variance fires and ends again and again no more. It fires now.",
        ),
        (
            {"change": Change.REPEAT, "step": 900},
            "[critical] math/grpo-7b: high_variance still fires, since step 412",
            "high_variance has fired since step 412, and nobody has acknowledged it.",
        ),
        (
            {"late": True, "step": 90},
            "[critical, found late] math/grpo-7b: high_variance at step 90",
            "These events were found long after they happened, because the server had been away.",
        ),
    ],
)  # fmt: skip
def test_each_change_has_words_of_its_own(about: dict[str, object], title: str, begin: str) -> None:
    message = told(event(**about))
    assert message[0] == title
    assert message[1].startswith(begin)


def test_what_is_over_has_no_cure_and_what_goes_on_has() -> None:
    assert "What to do" not in told(event(change=Change.RESOLVED))[1]
    assert "What to do" in told(event(change=Change.REPEAT))[1]
    assert "What to do" in told(event(change=Change.STABLE, reason="firing"))[1]


def test_several_events_are_one_message_the_worst_as_a_whole() -> None:
    mild = event("kl_high", severity=Severity.WARNING, step=413, values={"mismatch_k3_kl": 0.023})
    over = event("too_many_vetoed", change=Change.RESOLVED, step=414)
    title, body = told(over, mild, event())
    assert title == (
        "[critical] math/grpo-7b: 3 events at steps 412 to 414: high_variance, kl_high, too_many_vetoed"
    )
    assert body.startswith("high_variance fires.")
    assert "- [warning] kl_high at step 413, 1970-01-01 00:16:40 UTC: mismatch_k3_kl 0.023\n" in body
    assert "- [resolved] too_many_vetoed at step 414, 1970-01-01 00:16:40 UTC\n" in body


def test_what_began_and_ended_within_one_message_is_told_as_over() -> None:
    begin, end = event(), event(change=Change.RESOLVED, step=420)
    title, body = told(begin, end)
    assert title == "[resolved] math/grpo-7b: high_variance at step 420"
    assert "it fired from step 412 to 420" in body
    assert "?step=420" in body


def test_what_still_fires_is_not_told_beside_its_end() -> None:
    again, end = event(change=Change.REPEAT), event(change=Change.RESOLVED, step=420)
    assert told(again, end)[0] == "[resolved] math/grpo-7b: high_variance at step 420"


def test_who_is_not_told_of_ends_hears_of_what_is_over_that_it_was() -> None:
    """And what goes on stands before it, though it is less severe."""
    begin, mild = event(), event("kl_high", severity=Severity.WARNING)
    title, body = told(begin, over=(begin.alert,))
    assert title == "[over by now] math/grpo-7b: high_variance at step 412"
    assert body.startswith("high_variance fired at step 412, and is over by now. A few samples")
    assert "What to do" not in body
    title, body = told(begin, mild, over=(begin.alert,))
    assert title.startswith("[warning] math/grpo-7b: 2 events at step 412: kl_high, high_variance")
    assert "- [over by now] high_variance at step 412, 1970" in body


def test_when_it_happened_is_told_by_the_clock_of_the_record() -> None:
    assert "That was at 2026-09-21 14:13:20 UTC.\n" in told(event(time=1790000000.2))[1]
    assert "That was at an unknown time.\n" in told(event(time=1e300))[1]


def test_what_goes_out_long_after_it_was_known_says_so() -> None:
    assert "late" not in "".join(told(event(), now=1180.0))
    title, body = told(event(), now=1000.0 + 3 * 3600 + 720)
    assert title == "[critical, told late] math/grpo-7b: high_variance at step 412"
    assert body.startswith(
        "Told late: the server has known this for 3 h 12 min, and could not deliver it before. "
        "It may be otherwise by now.\n\nhigh_variance fires."
    )


def test_a_title_names_as_many_rules_as_it_has_room_for_and_counts_the_others() -> None:
    names = [f"{'r' * 30}_{number}" for number in range(9)]
    title, _ = told(*(event(name) for name in names))
    assert title == f"[critical] math/grpo-7b: 9 events at step 412: {', '.join(names[:4])} and 5 more"


def test_many_late_events_are_counted() -> None:
    title, body = told(*(event(f"rule_{number}", step=number, late=True) for number in range(30)))
    assert title.startswith("[critical, found late] math/grpo-7b: 30 events at steps 0 to 29: rule_29, ")
    assert "and 21 more" in body


def test_an_infinite_figure_is_told_as_one() -> None:
    assert "ratio_std: infinite  (limit: above 1)" in told(event(values={"ratio_std": math.inf}))[1]


def test_the_longest_message_fits_a_chat_and_keeps_its_link() -> None:
    long = event(
        cure="c " * 2000, summary="s " * 2000, condition="ratio_std > 1.0 or " * 50 + "ratio_std > 1.0"
    )
    title, body = told(*(event(f"{'r' * 100}{n}", values={"m" * 100: 1.0}) for n in range(9)), long)
    assert len(title) <= MOST_LETTERS_OF_A_TITLE
    assert len(body) <= MOST_LETTERS
    assert "Run at step 412: https://watch.example/runs/math~grpo-7b?step=412" in body


def test_a_text_of_a_rule_cannot_begin_a_line_of_its_own() -> None:
    body = told(event(summary="one\n\n[critical] another\r\nline", cure="do\nthis"))[1]
    assert "high_variance fires. one [critical] another line\n" in body
    assert "What to do: do this\n" in body


def test_a_guide_may_be_a_page_elsewhere() -> None:
    assert "Guide: https://wiki.example/a" in told(event(guide="https://wiki.example/a"))[1]
    assert "Guide" not in told(event(guide=""))[1]
    assert "Guide" not in told(event(guide="javascript:alert(1)"))[1]


def test_limits_are_those_that_a_figure_itself_is_compared_with() -> None:
    text = (
        "0.5 < ratio_mean and not (mean(ratio_std, 5) >= 2) or -1 > mismatch_kl and ratio_max / ratio_min > 3"
    )
    assert thresholds(text) == (
        Threshold("ratio_mean", "above", 0.5, is_direct=True),
        Threshold("ratio_std", "at least", 2.0, is_direct=False),
        Threshold("mismatch_kl", "below", -1.0, is_direct=True),
    )
    assert thresholds("what no version can read >") == ()


def test_a_content_survives_being_written_down_infinities_too() -> None:
    content = Content((event(values={"a": math.inf, "b": -math.inf, "c": 0.1}),), others=4)
    assert decode(encode(content)) == content


def test_a_key_depends_on_the_events_and_not_on_their_order() -> None:
    one, other = event("a"), event("b")
    assert key_of([one, other]) == key_of([other, one])
    assert len({key_of([one]), key_of([other]), key_of([one, other])}) == 3


def test_nobody_is_told_what_was_silenced_and_of_what_is_acknowledged_only_the_end() -> None:
    assert not is_muted(event())
    assert is_muted(event(is_silenced=True, change=Change.RESOLVED))
    assert is_muted(event(is_acknowledged=True, change=Change.REPEAT))
    assert not is_muted(event(is_acknowledged=True, change=Change.RESOLVED))
