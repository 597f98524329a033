"""Start a server and a small real training run beside it; Ctrl-C stops both.

This is what `make demo` runs. For the code that a trainer needs, read tiny_rl.py.
"""

import argparse
import ctypes
import difflib
import fcntl
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType

HERE = Path(__file__).parent
HOST = "127.0.0.1"
SECONDS_TO_START = 60.0
SECONDS_TO_STOP = 15.0
LOCK, ANNOUNCEMENT = "lock", "server.json"  # what a server keeps in its data folder while it runs
STEPS_A_SECOND = 10  # slow enough to be watched
FAULT_FROM, FAULT_STEPS = 150, 100  # after enough steps to know what is usual
PR_SET_PDEATHSIG = 1  # from linux/prctl.h


class Stop(Exception):
    """Someone asked the demo to end."""


def main() -> int:
    """Run the demo until it is interrupted; returns the exit code."""
    args = parse_arguments()
    if obstacle := find_obstacle(args):
        print(obstacle, file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    children: list[subprocess.Popen[bytes]] = []
    try:
        server = start("server", server_command(args), children)
        redis_url = wait_until_ready(server, args)
        # what a demo leaves is in its data folder, and nowhere else
        os.environ.setdefault("ROLLOUTWATCH_SPOOL_DIR", str(args.data_dir / "spool"))
        print("".join(f"{line}\n" for line in programme(args)), end="", flush=True)
        trainer = start("training run", trainer_command(args, redis_url), children)
        return watch(server, trainer)
    except Stop:
        print("\nStopping ...", flush=True)
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the ending is not to be interrupted; it is bounded
        for child in reversed(children):
            end(child)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--port", type=port, default=8050, help="port of the dashboard (default: %(default)s)"
    )
    parser.add_argument(
        "--steps", type=steps, default=2000, help="training steps, 0 = until stopped (default: %(default)s)"
    )
    parser.add_argument(
        "--fault", type=fault, help="break something in the run on purpose; see tiny_rl.py --list-faults"
    )
    parser.add_argument(
        "--data-dir", type=Path, default=Path(".rolloutwatch"), help="where the archive lives"
    )
    return parser.parse_args()


def port(text: str) -> int:
    """Read a port."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no port: expected 1 to 65535, as in make demo PORT=8051"
        )
    return int(text)


def steps(text: str) -> int:
    """Read a number of steps."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of steps: expected 0 or more, as in make demo STEPS=500"
        )
    return int(text)


def fault(text: str) -> str:
    """Read the name of a fault."""
    from tiny.faults import FAULTS  # brings torch, which a demo without a fault need not wait for

    if text in FAULTS:
        return text
    near = difflib.get_close_matches(text.lower(), FAULTS, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise argparse.ArgumentTypeError(
        f"{text!r} is no fault. {hint}Expected one of {', '.join(FAULTS)}, as in make demo FAULT={(near or ['stale'])[0]}"
    )


def find_obstacle(args: argparse.Namespace) -> str | None:
    """Return what keeps a demo from starting, and the cure; None if nothing does."""
    free = next_free_port(args.port) if port_is_taken(args.port) else args.port
    if is_in_use(args.data_dir):
        told = read_json(args.data_dir / ANNOUNCEMENT)
        shown = f", whose dashboard is {told['url']}/" if "url" in told else ""
        other = next(folder for folder in numbered(args.data_dir) if not is_in_use(folder))
        return (
            f"The data folder {args.data_dir} is in use by a server that runs{shown}. Look at that one, "
            f"or give this demo a folder of its own: make demo DATA={other} PORT={free}"
        )
    if free != args.port:
        return f"Port {args.port} is taken by another program. Choose another one: make demo PORT={free}"
    return None


def numbered(folder: Path) -> Iterator[Path]:
    """Return names for more folders like one."""
    return (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))


def is_in_use(data_dir: Path) -> bool:
    """Tell whether a server runs on a data folder."""
    try:
        with (data_dir / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # not there yet, or not to be read, which the server will tell
        return False
    return False


def server_command(args: argparse.Namespace) -> list[str]:
    """Return the command that serves the dashboard."""
    rolloutwatch = Path(sys.executable).with_name("rolloutwatch")
    return [
        str(rolloutwatch),
        "serve",
        "--host",
        HOST,
        "--port",
        str(args.port),
        "--data-dir",
        str(args.data_dir),
    ]


def trainer_command(args: argparse.Namespace, redis_url: str) -> list[str]:
    """Return the command that trains."""
    command = [sys.executable, str(HERE / "tiny_rl.py"), "--steps", str(args.steps), "--redis-url", redis_url]
    command += ["--pace", str(STEPS_A_SECOND)]
    if args.fault:
        command += ["--fault", args.fault, "--fault-from", str(FAULT_FROM), "--fault-steps", str(FAULT_STEPS)]
    return command


def programme(args: argparse.Namespace) -> list[str]:
    """Return what will happen and when, in lines; nothing is said of a run without a fault."""
    if not args.fault:
        return []
    from tiny.faults import FAULTS  # brings torch

    if 0 < args.steps <= FAULT_FROM:
        return [
            f"Nothing will be wrong: the fault begins at step {FAULT_FROM}, and STEPS={args.steps} ends before it."
        ]
    fault, ends = FAULTS[args.fault], FAULT_FROM + FAULT_STEPS
    told = [
        f"What will happen, at {STEPS_A_SECOND} steps a second or as many as this machine makes:",
        f"  step   0  All is well; the first {FAULT_FROM} steps show what is usual in this run.",
        f"  step {FAULT_FROM:3}  The fault begins: {fault.what}. Look for: {fault.look_for}.",
        "            Alerts fire, and the page of the run says what it probably is. What to do is told by",
        f"            http://{HOST}:{args.port}/guides/diagnosis/{fault.cause}",
    ]
    if 0 < args.steps <= ends:
        return told
    return [
        *told,
        f"  step {ends:3}  It is mended; most alerts end after five good steps, and the run goes on.",
    ]


def start(name: str, command: list[str], children: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a child that does not get the terminal's Ctrl-C, but dies when the demo is killed."""
    child = subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent())
    children.append(child)
    return child


def die_with_parent() -> Callable[[], None] | None:
    """Return what a child has to call for that, on systems that can do it."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_until_ready(server: subprocess.Popen[bytes], args: argparse.Namespace) -> str:
    """Wait until the server serves, and return the URL of the Redis that trainers push to."""
    announcement = args.data_dir / ANNOUNCEMENT
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(
                "The server did not start; its message stands above. "
                "What it calls --data-dir and --port is DATA= and PORT= of make demo."
            )
        told = read_json(announcement)
        if told.get("pid") == server.pid and answers(f"http://{HOST}:{args.port}/readyz"):
            return str(told["redis_url"])
        time.sleep(0.05)
    raise SystemExit(f"The server did not start within {SECONDS_TO_START:.0f} s; its messages stand above.")


def watch(server: subprocess.Popen[bytes], trainer: subprocess.Popen[bytes]) -> int:
    """Wait until someone stops the demo or the server ends; the end of training is told and outlived."""
    told = False
    while server.poll() is None:
        if trainer.poll() is not None and not told:
            told = True
            how = "has finished" if trainer.returncode == 0 else f"has failed with code {trainer.returncode}"
            print(f"The training run {how}; the dashboard stays. Ctrl-C ends it.", flush=True)
        time.sleep(0.2)
    print(f"The server ended with code {server.returncode}; its messages stand above.", file=sys.stderr)
    return 1


def end(child: subprocess.Popen[bytes]) -> None:
    """Ask a child to end, and make it end if it does not."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def port_is_taken(port: int) -> bool:
    """Tell whether someone listens on a port of this host."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
        return False


def next_free_port(port: int) -> int:
    """Return the next port that nobody listens on."""
    others: Iterable[int] = itertools.chain(range(port + 1, 65536), range(1024, port + 1))
    return next(other for other in others if not port_is_taken(other))


def answers(url: str) -> bool:
    """Tell whether a URL answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def read_json(path: Path) -> dict[str, object]:
    """Return the object in a JSON file, an empty one if it is not there or half written."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def stop(number: int, frame: FrameType | None) -> None:
    """Turn a signal into an exception."""
    raise Stop


if __name__ == "__main__":
    sys.exit(main())
