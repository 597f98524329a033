"""The command `rolloutwatch notify`."""

from contextlib import closing
from pathlib import Path

import pytest

from rolloutwatch_server.commands.notify import notify
from rolloutwatch_server.data_dir import owned
from rolloutwatch_server.notify.events import Content, encode
from rolloutwatch_server.store import NewDelivery, Store
from tests.server.notify.events import SECRET, event
from tests.server.receiver import Mode, Receiver, always
from tests.server.records import RUN, STREAM, batch, start, step


def targets(folder: Path, *receivers: Receiver, more: str = "allow_internal = true") -> str:
    path = folder / "targets.toml"
    path.touch(mode=0o600)
    path.write_text(
        "\n".join(
            f'[[target]]\nname = "t{number}"\nwebhook = "{one.url}"\nsecret = "{SECRET}"\n{more}\n'
            for number, one in enumerate(receivers)
        )
    )
    return str(path)


def test_a_test_reaches_every_target_without_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Receiver() as first, Receiver() as second:
        file = targets(tmp_path, first, second)
        code = notify(["test", "--notify-file", file, "--data-dir", str(tmp_path / "none")])
        told = capsys.readouterr().out.splitlines()
        assert (code, len(told)) == (0, 2)
        assert told[0].startswith("t0 (webhook to 127.0.0.1) has taken it (")
        for receiver in (first, second):
            (request,) = receiver.requests
            assert request.content["test"] is True
            assert request.content["events"][0]["values"].keys() == {"ratio_std", "ratio_eff_sample_size"}
            assert request.content["picture"]
    assert not (tmp_path / "none").exists()


def test_a_test_says_which_target_failed_and_why_and_the_others_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Receiver(always(Mode.GONE)) as bad, Receiver() as good:
        code = notify(["test", "--notify-file", targets(tmp_path, bad, good), "--data-dir", str(tmp_path)])
        told = capsys.readouterr().out.splitlines()
        assert code == 1
        assert "t0 (webhook to 127.0.0.1) did not take it: 127.0.0.1 answered 410" in told[0]
        assert "t1 (webhook to 127.0.0.1) has taken it" in told[1]
        assert len(good.requests) == 1


def test_an_internal_target_is_told_its_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Receiver() as receiver:
        file = targets(tmp_path, receiver, more="picture = false")
        assert notify(["test", "--notify-file", file, "--data-dir", str(tmp_path)]) == 1
        assert "set allow_internal = true for this target" in capsys.readouterr().out
        assert receiver.requests == []


def test_one_target_alone_is_tried_with_the_figures_of_a_run(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "archive.db")) as store:
        store.archive(STREAM, batch(start(), *(step(n, reward=n / 7) for n in range(1, 9))))
    with Receiver() as first, Receiver() as second:
        file = targets(tmp_path, first, second)
        options = ["--notify-file", file, "--data-dir", str(tmp_path), "--target", "t1", "--run", RUN]
        assert notify(["test", *options]) == 0
        assert first.requests == []
        (told,) = second.requests[0].content["events"]
        assert (told["run_url"], told["values"]) == (
            f"http://127.0.0.1:8050/runs/{RUN}?step=8",
            {"reward": 8 / 7},
        )
        assert second.requests[0].content["picture"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["test"], "name the file of targets with --notify-file, or in ROLLOUTWATCH_NOTIFY_FILE"),
        (["test", "--notify-file", "none.toml"], "none.toml cannot be read"),
        (["test", "--notify-file", "TARGETS", "--target", "x"], "there is no target 'x': there are t0."),
        (["test", "--notify-file", "TARGETS", "--run", "p~r"], "there is no run 'p~r'"),
        (["list"], "nobody is told yet"),
        (["retry"], "has no archive"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_cure(
    options: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--run" in options:
        Store(tmp_path / "archive.db").close()
    with Receiver() as receiver:
        file = targets(tmp_path, receiver)
        given = [file if one == "TARGETS" else one for one in options]
        assert notify([*given, "--data-dir", str(tmp_path)]) == 2
        told = capsys.readouterr().err
        assert told.startswith("rolloutwatch notify: ")
        assert expected in told
        assert receiver.requests == []


@pytest.mark.parametrize("command", ["list", "test"])
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("slak://TokenAAAAA/TokenBBBBB", "knows no service 'slak': did you mean 'slack'?"),
        ("slack://TokenAAAAA", "expected one such as slack://"),
    ],
)
def test_a_target_that_apprise_cannot_use_is_refused_by_its_name_and_without_its_url(
    command: str, url: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Receiver() as receiver:
        file = targets(tmp_path, receiver)
        with Path(file).open("a") as more:
            more.write(f'[[target]]\nname = "chat"\nurl = "{url}"\n')
        assert notify([command, "--notify-file", file, "--data-dir", str(tmp_path)]) == 2
        told = capsys.readouterr()
        assert f"rolloutwatch notify: {file}, target chat: Apprise " in told.err
        assert expected in told.err
        assert "TokenAAAAA" not in told.err + told.out
        assert receiver.requests == []


def test_the_list_has_targets_and_what_was_given_up_and_retry_lets_it_wait_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = encode(Content((event("high_variance"),)))
    with closing(Store(tmp_path / "archive.db")) as store:
        store.make_deliveries([NewDelivery("key", "t0", "math~a", content, 0.0)], [])
        store.delivery_dead(1, "127.0.0.1 answered 410.")
        store.make_deliveries([NewDelivery("key", "gone", "math~a", content, 0.0)], [])
    with Receiver() as receiver:
        file = targets(tmp_path, receiver, more='severity = "critical"\nruns = ["math~*"]')
    options = ["--data-dir", str(tmp_path)]
    assert notify(["list", "--notify-file", file, *options]) == 0
    told = capsys.readouterr().out
    assert "t0 (webhook to 127.0.0.1): critical and worse, runs math~*; 1 given up, fails since " in told
    assert "  1  t0  math~a: high_variance: 127.0.0.1 answered 410.\n" in told
    assert "gone (not in the file any more): 1 waiting, for a day at most, 0 given up\n" in told
    assert SECRET not in told
    assert notify(["retry", "7", *options]) == 1
    assert "not among those that were given up: 7" in capsys.readouterr().err
    assert notify(["retry", *options]) == 0
    with closing(Store.reading(tmp_path / "archive.db")) as store:
        assert [one.target for one in store.due_deliveries()] == ["t0", "gone"]


def test_while_a_server_runs_it_is_the_one_to_be_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "server.json").write_text('{"local_url": "http://127.0.0.1:8050"}')
    with owned(tmp_path):
        assert notify(["retry", "--data-dir", str(tmp_path)]) == 2
    assert "POST http://127.0.0.1:8050/api/v1/notifications/dead/ID/retry" in capsys.readouterr().err
