"""What the OpenAPI document says is true, whatever is asked: no request ends in an error of the server's own.

Requests are made up from the document by schemathesis, also such as break it, and each answer is held against it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from rolloutwatch_contract import Heartbeat, Mark, encode
from rolloutwatch_contract.keys import RECORD_FIELD, entry_id
from tests.processes import ServerProcess, wait_for
from tests.server.records import DELICATE, RUN, STREAM, start, step

pytestmark = [pytest.mark.end_to_end, pytest.mark.redis]

EXAMPLES = 60  # of each operation and mode; always the same ones
# a file that is none, a range without a step, values of a configuration that do not go together, a text that is no rules,
# a tag of spaces
REFUSED_FOR_WHAT_IT_MEANS = (
    "/api/v1/imports",
    "/api/v1/runs/{run}",
    "/api/v1/runs/{run}/export",
    "/api/v1/runs/{run}/steps",
    "/api/v1/runs/{run}/whatif",
    "/api/v1/rules",
    "/api/v1/rules/check",
)
RECORDS = [
    start(lr="1e-6"),
    *(step(n, kl=value, ess=0.5) for n, value in enumerate(DELICATE)),
    Mark(3, 0.0, "checkpoint", {"path": "</script>", "version": 2**62}),
    Heartbeat(9.0, {"queue_full": 2}),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that has a run with everything delicate in it, and dead letters."""
    with ServerProcess(tmp_path / "data", "--metrics-runs") as one:
        with redis.Redis.from_url(one.redis_url) as client:
            frames = [*map(encode, RECORDS), b"noise"]
            for number, frame in enumerate(frames, 1):
                client.xadd(STREAM, {RECORD_FIELD: frame}, id=entry_id(number))
            wait_for("the records", lambda: one.get("/dead-letters")["dead_letters"] != [])
        yield one


def never_ends(operation: Any) -> bool:
    """Tell whether an operation answers with a stream of events, which has a test of its own, and by HEAD another."""
    answers = operation.definition.raw["responses"].values()
    return any("text/event-stream" in one.get("content", {}) for one in answers)


def can_be_broken(operation: Any) -> bool:
    """Tell whether an operation takes anything but a path, in which every text is a name."""
    return bool(operation.query.items or operation.body.items)


def is_refused_for_what_it_means(operation: Any) -> bool:
    """Tell whether what the document allows may be refused all the same, as no schema can say."""
    return operation.path in REFUSED_FOR_WHAT_IT_MEANS


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_as_documented(mode: GenerationMode, server: ServerProcess) -> None:
    """In status, type and shape; half of the requests are for a run that is there."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [one.ok() for one in schema.get_all_operations()]
    asked = [
        operation
        for operation in operations
        if not never_ends(operation) and (mode is GenerationMode.POSITIVE or can_be_broken(operation))
    ]
    asked.sort(
        key=lambda operation: operation.method.lower() == "delete"
    )  # last: there is no run any more then
    assert len(asked) >= {GenerationMode.POSITIVE: 9, GenerationMode.NEGATIVE: 3}[mode]
    for operation in asked:

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=operation.as_strategy(generation_mode=mode),
            known=st.booleans(),
            excluded=st.just([positive_data_acceptance] if is_refused_for_what_it_means(operation) else []),
        )
        def hold(case: Any, known: bool, excluded: list[Any]) -> None:
            if known and "run" in case.path_parameters:
                case.path_parameters["run"] = RUN
            answer = case.call(timeout=30)
            if (
                answer.status_code != 414
            ):  # the longest of them, which schemathesis does not know for a refusal
                case.validate_response(answer, excluded_checks=excluded)

        hold()
    assert server.is_ready()
