"""What the page of a run tells of its configuration, and of what sessions changed of it."""

from typing import Any

import msgspec
from dash import html

from rolloutwatch_contract.protocol import RunState, SessionView
from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.components.configuration import configuration
from tests.dashboard.test_pages import text_of


def session(name: str, config: dict[str, Any], **environment: str) -> SessionView:
    return SessionView(name, RunState.FINISHED, 0.0, config, environment)


def changes(*sessions: SessionView) -> list[str]:
    source = MemorySource()
    source.add_run("math~a", sessions=sessions)
    run = source.run("math~a")
    assert run is not None
    rows = [one for one in configuration(run)._traverse() if isinstance(one, html.Tr)]
    return [text_of(one) for one in rows]


def test_what_a_session_changed_is_told_with_what_was_before() -> None:
    """What is off is not what nobody said; the number of a process is another one each time, which says nothing."""
    found = changes(
        session("one", {"rollout_is": "token", "seed": 1, "gone": None}, pid="1", commit="abc"),
        session("two", {"rollout_is": None, "seed": 1, "new": 1e-4}, pid="2", commit="abd"),
        session("three", {"rollout_is": None, "seed": 1, "new": 1e-4}, pid="3", commit="abd"),
    )
    began = "1970-01-01 00:00:00 UTC"
    assert found == [
        "What Before After Session that began",
        f"rollout_is token not set {began}",
        f"gone not set – {began}",
        f"new – 1.00e-4 {began}",
        f"commit abc abd {began}",
    ]


def test_a_run_of_one_session_has_changed_nothing() -> None:
    assert changes(session("one", {"rollout_is": "token"})) == []


def test_configuration_and_environment_may_use_the_same_name_for_two_things() -> None:
    source = MemorySource()
    source.add_run("math~a")
    run = source.run("math~a")
    assert run is not None
    both = msgspec.structs.replace(run, config={"torch": "compile"}, environment={"torch": "2.13.0"})
    said = text_of(configuration(both))
    assert said == "Configuration and environment Configuration torch compile Environment torch 2.13.0"
