"""Records on disk: how they get there, who owns them, and what becomes of damaged ones."""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rolloutwatch.segments import FRAME, HEAD, pack, unpack
from rolloutwatch.spool import (
    KEPT_IN_QUARANTINE,
    Head,
    Spool,
    abandoned,
    limit_of,
    make_room,
    root_of,
    transport_of,
)

FRAMES = [(number, b"frame %d " % number * 20) for number in range(1, 41)]


def spool(root: Path, session: str = "s1", **options: int) -> Spool:
    return Spool(root, Head("math~a", session, "redis", FRAMES[0][1]), **options)


def written(root: Path, session: str = "s1") -> Path:
    """A session that its process has left."""
    one = spool(root, session)
    for number, frame in FRAMES:
        one.append(number, frame)
    one.close()
    return one.folder


def test_what_one_process_leaves_another_one_finds(tmp_path: Path) -> None:
    written(tmp_path)
    found = Spool.adopt(*abandoned(tmp_path))
    assert found is not None
    assert found.head == Head("math~a", "s1", "redis", FRAMES[0][1])
    assert (found.first, found.last) == (1, 40)
    assert list(found.read(1)) == FRAMES
    found.remove()
    assert list((tmp_path / "sessions").iterdir()) == []


def test_a_session_that_lives_is_left_alone(tmp_path: Path) -> None:
    """As long as its process holds the lock, also in another process."""
    one = spool(tmp_path)
    one.append(*FRAMES[0])
    assert list(abandoned(tmp_path)) == []
    assert Spool.adopt(one.folder) is None
    code = "import sys, pathlib, rolloutwatch.spool as s; print(s.Spool.adopt(pathlib.Path(sys.argv[1])))"
    told = subprocess.run(
        [sys.executable, "-c", code, str(one.folder)], capture_output=True, text=True, check=True
    )
    assert told.stdout == "None\n"
    one.close()
    assert list(abandoned(tmp_path)) == [one.folder]


def test_nothing_is_written_before_there_is_a_record(tmp_path: Path) -> None:
    one = spool(tmp_path / "deep" / "er")
    one.close()
    one.remove()
    assert list(tmp_path.iterdir()) == []


def test_files_go_when_all_in_them_is_archived(tmp_path: Path) -> None:
    one = spool(tmp_path)
    one.segment_bytes = 1000
    for number, frame in FRAMES:
        one.append(number, frame)
    assert len(one.segments) > 4
    second = one.segments[1]
    one.free(second.last - 1)
    assert one.first == second.first
    one.free(40)
    assert len(one.segments) == 1, "the one that is being written stays"
    one.remove()


def test_others_cannot_read_it(tmp_path: Path) -> None:
    folder = written(tmp_path / "spool")
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def sound_prefix(data: bytes) -> list[tuple[int, bytes]]:
    return unpack(data).frames


def test_a_file_that_was_cut_anywhere_gives_what_was_before_the_cut() -> None:
    """As a kill or a power cut leaves it."""
    records = [pack(HEAD, 0, b"head"), *(pack(FRAME, number, frame) for number, frame in FRAMES[:3])]
    data = b"".join(records)
    for length in range(len(data) + 1):
        whole = sum(1 for end in range(2, 5) if len(b"".join(records[:end])) <= length)
        assert sound_prefix(data[:length]) == FRAMES[:whole]


def test_flipped_bits_cost_a_record_and_no_more() -> None:
    """Reading goes on at the next mark, and never gives what was not written."""
    data = b"".join(pack(FRAME, number, frame) for number, frame in FRAMES)
    generator = random.Random(7)
    for _ in range(1500):
        damaged = bytearray(data)
        damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        found = unpack(bytes(damaged))
        assert set(found.frames) <= set(FRAMES)
        assert len(found.frames) == len(FRAMES) - 1
        assert found.damaged_bytes > 0


def test_a_damaged_file_goes_into_quarantine_and_its_sound_records_are_delivered(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (path,) = folder.glob("*.seg")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    one = Spool.adopt(folder)
    assert one is not None
    assert len(one.read(1)) == 39
    one.remove()
    assert [file.read_bytes() for file in (tmp_path / "quarantine").iterdir()] == [bytes(data)]


@pytest.mark.parametrize("content", [b"", b"noise" * 100, bytes(5000)])
def test_a_file_without_anything_sound_is_no_obstacle(content: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "sessions" / "s0"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "0000000000000001.seg").write_bytes(content)
    written(tmp_path)
    found = [Spool.adopt(each) for each in abandoned(tmp_path)]
    assert [one.head.session for one in found if one is not None] == ["s1"]
    for one in found:
        if one is not None:
            one.close()


def test_quarantine_keeps_the_newest(tmp_path: Path) -> None:
    one = spool(tmp_path)
    for number in range(KEPT_IN_QUARANTINE + 5):
        one.quarantine(f"{number}.txt", b"poison")
        os.utime(tmp_path / "quarantine" / f"{number}.txt", (number, number))
    assert len(list((tmp_path / "quarantine").iterdir())) == KEPT_IN_QUARANTINE


def test_a_folder_beyond_its_limit_loses_the_oldest_sessions_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = [written(tmp_path, f"s{number}") for number in range(3)]
    size = sum(path.stat().st_size for path in folders[0].iterdir())
    assert make_room(tmp_path, 2 * size + 10) == 40
    assert list(abandoned(tmp_path)) == folders[1:]
    assert "40 records of session s0 of run math~a are lost" in caplog.text
    assert make_room(tmp_path, 2 * size + 10) == 0
    assert list(abandoned(tmp_path)) == folders[1:]


def test_where_records_stand_is_named_or_the_users_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert root_of("/data/spool") == Path("/data/spool")
    assert root_of("spool") == Path.cwd() / "spool", "a trainer may go to another folder"
    assert root_of("~/spool") == Path.home() / "spool"
    assert root_of("off") is None
    monkeypatch.setenv("ROLLOUTWATCH_SPOOL_DIR", "/elsewhere")
    assert root_of() == Path("/elsewhere")
    monkeypatch.setenv("ROLLOUTWATCH_SPOOL_DIR", "off")
    assert root_of() is None
    monkeypatch.delenv("ROLLOUTWATCH_SPOOL_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert root_of() == tmp_path / "rolloutwatch" / "spool"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert root_of() == tmp_path / ".local" / "state" / "rolloutwatch" / "spool"


def test_a_limit_is_a_number_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limit_of() == 1024**3
    assert limit_of(5) == 5
    monkeypatch.setenv("ROLLOUTWATCH_SPOOL_LIMIT", "1000")
    assert limit_of() == 1000
    monkeypatch.setenv("ROLLOUTWATCH_SPOOL_LIMIT", "1GB")
    with pytest.raises(ValueError, match="ROLLOUTWATCH_SPOOL_LIMIT is '1GB': expected a number of bytes"):
        limit_of()
    with pytest.raises(ValueError, match="spool_limit is 0"):
        limit_of(0)


def test_one_redis_is_told_from_another_and_passwords_do_not_matter() -> None:
    assert transport_of("redis://u:a@host:1/0") == transport_of("redis://u:b@host:1/0")
    assert transport_of("redis://host:1/0") != transport_of("redis://host:2/0")
    assert transport_of("redis://host:1/0") != transport_of("redis://host:1/1")
    assert transport_of("redis://host:1/10") != transport_of("redis://host:1/1")
    same = (
        "redis://127.0.0.1:6379/0",
        "redis://localhost",
        "redis://localhost:6379/",
        "redis://u:p@LOCALHOST/0",
    )
    assert len({transport_of(url) for url in same}) == 1
    nodes = ("redis+sentinel://a:1,b:2/main/0", "redis+sentinel://b:2,a:1/main")
    assert len({transport_of(url) for url in nodes}) == 1


def test_a_session_is_adopted_once(tmp_path: Path) -> None:
    """By whoever comes first; the other one looks on."""
    folder = written(tmp_path)
    first = Spool.adopt(folder)
    assert first is not None
    assert Spool.adopt(folder) is None
    first.close()
    second = Spool.adopt(folder)
    assert second is not None
    second.close()


def test_a_child_that_was_forked_holds_no_session(tmp_path: Path) -> None:
    """Neither one of its parent's own nor one that it is delivering: when the parent is gone, others may take them."""
    folder = written(tmp_path)
    code = """
import os, pathlib, sys, rolloutwatch.spool as s
own = s.Spool(pathlib.Path(sys.argv[1]), s.Head("math~a", "own", "redis", b"start"))
own.append(1, b"start")
adopted = s.Spool.adopt(pathlib.Path(sys.argv[2]))
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
os._exit(0)
"""
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(folder)], stdin=subprocess.PIPE)
    assert parent.wait(60) == 0
    assert sorted(one.name for one in abandoned(tmp_path)) == ["own", "s1"]
    assert parent.stdin is not None
    parent.stdin.close()


def test_what_is_none_of_ours_is_left_alone(tmp_path: Path) -> None:
    """A folder of that name may hold somebody's thesis, and so may a session's own."""
    thesis = tmp_path / "sessions" / "2024" / "thesis.tex"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("42")
    folder = written(tmp_path)
    notes = folder / "notes.txt"
    notes.write_text("why")
    assert list(abandoned(tmp_path)) == [folder]
    assert make_room(tmp_path, 1) == 40
    assert Spool.adopt(thesis.parent) is None
    assert thesis.read_text() == "42"
    assert notes.read_text() == "why"


def test_files_may_be_let_go_of_while_the_disk_is_told_to_keep_them(tmp_path: Path) -> None:
    """One thread writes and syncs, which may take long; another one frees what is archived, files that are open too."""
    one = spool(tmp_path)
    frame, writing, written = bytes(270_000), threading.Lock(), [0]
    done = threading.Event()

    def free() -> None:
        while not done.is_set():
            with writing:
                one.free(written[0])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # or the two would seldom meet
    freeing = threading.Thread(target=free)
    freeing.start()
    try:
        for number in range(1, 1501):
            with writing:
                one.append(number, frame)
                written[0] = number
            one.sync()
    finally:
        done.set()
        freeing.join()
        sys.setswitchinterval(interval)
        one.remove()


def test_a_session_that_cannot_be_read_now_is_left_for_later(tmp_path: Path) -> None:
    """Nothing of it is deleted or taken for damaged because a process has no file descriptor left."""
    folder = written(tmp_path)
    code = """
import os, pathlib, sys, rolloutwatch.spool as s
folder = pathlib.Path(sys.argv[1])
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    os.close(taken.pop())  # there is one for the lock, and none for a file
try:
    s.Spool.adopt(folder)
except OSError as error:
    print(error.strerror)
for one in taken:
    os.close(one)
print(len(s.Spool.adopt(folder).read(1)))
"""
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)){code}"
    told = subprocess.run(
        [sys.executable, "-c", limited, str(folder)], capture_output=True, text=True, check=True
    )
    assert told.stdout == "Too many open files\n40\n"
