"""Write `run-v1.rwz`, the archive file of version 1 that every later version reads; it is made once, and kept."""

from pathlib import Path

from rolloutwatch_contract import Mark, RunEnd, stream_key
from rolloutwatch_server.exports.export import Format, Wish, export
from rolloutwatch_server.store import MEMORY, Store
from tests.server.records import DELICATE, RUN, batch, start, step


def make() -> bytes:
    """Return the file: two sessions, of which the second does steps again, a mark, an end, delicate values."""
    clock = [0.0]
    store = Store(MEMORY, clock=lambda: clock[0])
    first = [step(n, kl=value) for n, value in enumerate(DELICATE)]
    store.archive(
        stream_key(RUN, "s1"), batch(start(lr="1e-6"), *first, Mark(3, 3.0, "checkpoint", {"n": 1}))
    )
    clock[0] = 100.0
    store.archive(stream_key(RUN, "s2"), batch(start(time=100.0), step(5, kl=50.0, ess=0.5), RunEnd(101.0)))
    detail = store.run(RUN)
    assert detail is not None
    return b"".join(export(store, detail, Wish(Format.RWZ)))


if __name__ == "__main__":
    Path(__file__).with_name("run-v1.rwz").write_bytes(make())
