"""An event stream lasts no longer than what opened it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from rolloutwatch_server.security import Role
from rolloutwatch_server.security.credentials import parse_tokens
from rolloutwatch_server.security.gate import Gate
from rolloutwatch_server.security.guard import Guard
from rolloutwatch_server.security.ledger import Ledger
from tests.server.guarded import TOKEN_LINES, TOKENS, Clock

SECONDS = 20.0


class Stream:
    """A stream that would go on for ever, behind the guard."""

    def __init__(self, gate: Gate, header: tuple[bytes, bytes]) -> None:
        self.guard, self.header = Guard(self._go_on, gate), header
        self.sent: list[Message] = []
        self.begun = asyncio.Event()

    async def _go_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b": here\n\n", "more_body": True})
        self.begun.set()
        await asyncio.Event().wait()

    async def ask(self) -> None:
        async def receive() -> Message:
            return await asyncio.Event().wait()  # type: ignore[return-value]  # nobody hangs up

        async def send(message: Message) -> None:
            self.sent.append(message)

        path = "/api/v1/runs/a~b/live"
        scope = {"type": "http", "method": "GET", "path": path, "headers": [self.header], "query_string": b""}
        await self.guard(scope, receive, send)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with closing(Ledger(tmp_path / "access.db", Clock())) as ledger:
        yield Gate(ledger, fixed_tokens=parse_tokens(TOKEN_LINES, "tokens"), seconds_between_looks=0.01)


def is_ended_by(gate: Gate, secret: str, event: Callable[[], object]) -> bool:
    """Whether the stream of a session ends in good order by an event, and one of a token goes on."""

    async def scene() -> bool:
        ended = Stream(gate, (b"cookie", f"{gate.cookie}={secret}".encode()))
        other = Stream(gate, (b"authorization", f"Bearer {TOKENS[Role.OPERATOR]}".encode()))
        tasks = [asyncio.ensure_future(one.ask()) for one in (ended, other)]
        for one in (ended, other):
            await asyncio.wait_for(one.begun.wait(), SECONDS)
        event()
        await asyncio.wait_for(tasks[0], SECONDS)
        goes_on = not tasks[1].done()
        tasks[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        return goes_on and ended.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}

    return asyncio.run(scene())


def session(gate: Gate, proof: str = "link") -> str:
    return gate.ledger.begin("alice", Role.VIEWER, proof, 3600.0).reveal()


def test_a_logout_ends_the_streams_of_its_session(gate: Gate) -> None:
    secret = session(gate)
    assert is_ended_by(gate, secret, lambda: gate.ledger.end(secret))


def test_the_command_that_ends_sessions_ends_their_streams(gate: Gate, tmp_path: Path) -> None:
    """It is another process, with a ledger of its own on the same file."""
    with closing(Ledger(tmp_path / "access.db")) as other:
        assert is_ended_by(gate, session(gate), lambda: other.end_all("alice"))


def test_a_session_that_expires_ends_its_streams(gate: Gate) -> None:
    clock = gate.ledger._clock
    assert isinstance(clock, Clock)
    secret = session(gate)
    assert is_ended_by(gate, secret, lambda: setattr(clock, "now", clock.now + 3601.0))


def test_a_token_that_is_taken_away_ends_its_streams_and_is_no_guess(gate: Gate) -> None:
    async def scene() -> None:
        stream = Stream(gate, (b"authorization", f"Bearer {TOKENS[Role.VIEWER]}".encode()))
        task = asyncio.ensure_future(stream.ask())
        await asyncio.wait_for(stream.begun.wait(), SECONDS)
        gate.fixed_tokens = gate.fixed_tokens[1:]
        await asyncio.wait_for(task, SECONDS)

    asyncio.run(scene())
    assert not gate.throttle._records
