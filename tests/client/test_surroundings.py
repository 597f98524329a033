"""What a run says of where it runs, and what it keeps to itself."""

from pathlib import Path

import pytest

from rolloutwatch.surroundings import devices, environment, git_commit, without_secrets

COMMIT = "c0ffee" * 6 + "c0de"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["train.py", "--lr=1e-6", "data=math"], ["train.py", "--lr=1e-6", "data=math"]),
        (["--wandb-key=abc"], ["--wandb-key=***"]),
        (["--wandb_api_key", "abc", "--lr", "1"], ["--wandb_api_key", "***", "--lr", "1"]),
        (["--api-token", "--lr=1"], ["--api-token", "--lr=1"]),
        (["-token", "abc"], ["-token", "***"]),
        (["+trainer.hf_token=hf_abc def"], ["+trainer.hf_token=***"]),
        (["DB_PASSWORD=a=b"], ["DB_PASSWORD=***"]),
        (["--client-secret=x", "--passwd=y", "--apiKey=z"], ["--client-secret=***", "--passwd=***", "--apiKey=***"]),
        (['--env={"API_KEY": "a b", "lr": 1}'], ['--env={"API_KEY": ***, "lr": 1}']),
        (["env={secret:a,lr:1}"], ["env={secret:***,lr:1}"]),
        (["--redis=redis://user:geheim@host:1/0"], ["--redis=redis://***@host:1/0"]),
        (["--tokenizer=gpt2", "--max_tokens=512", "keyboard=1"], ["--tokenizer=gpt2", "--max_tokens=512", "keyboard=1"]),
    ],
)  # fmt: skip
def test_a_command_is_shown_without_its_secrets(arguments: list[str], shown: list[str]) -> None:
    """An argument whose name says key, token, password or secret has a value that is nobody's business."""
    assert without_secrets(arguments) == shown


def test_of_the_environment_only_the_schedulers_number_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("HF_TOKEN", "hf_geheim")
    monkeypatch.setattr("sys.argv", ["train.py", "--key", "hf_geheim"])
    told = environment()
    assert told["slurm_job_id"] == "4711"
    assert "ray_job_id" not in told
    assert told["command"] == "train.py --key ***"
    assert not any("geheim" in value for value in told.values())


def test_versions_are_those_that_are_installed() -> None:
    """Of what is not installed there is none; "rank" is for those that have other ranks."""
    told = environment()
    assert {"host", "pid", "python", "torch", "numpy", "redis", "rolloutwatch"} <= told.keys()
    assert not {"verl", "rank", "world_size"} & told.keys()
    assert all(told.values())


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("worktree", [True, False])
def test_the_commit_is_found_above_a_folder(tmp_path: Path, packed: bool, worktree: bool) -> None:
    """In a repository, and in a worktree of one; where branches are files, and where they are packed."""
    git = tmp_path / "repository" / ".git"
    (git / "refs/heads").mkdir(parents=True)
    own = git
    if worktree:
        own = git / "worktrees/other"
        own.mkdir(parents=True)
        (own / "commondir").write_text("../..\n")
        (tmp_path / "other").mkdir()
        (tmp_path / "other/.git").write_text(f"gitdir: {own}\n")
    (own / "HEAD").write_text("ref: refs/heads/main\n")
    if packed:
        (git / "packed-refs").write_text(f"# packed\n{'0' * 40} refs/heads/mai\n{COMMIT} refs/heads/main\n")
    else:
        (git / "refs/heads/main").write_text(f"{COMMIT}\n")
    below = tmp_path / ("other" if worktree else "repository") / "examples"
    below.mkdir()
    assert git_commit(below) == COMMIT
    (own / "HEAD").write_text(f"{'1' * 40}\n")
    assert git_commit(below) == "1" * 40, "no branch is checked out"


def test_gpus_are_told_without_making_cuda_ready(tmp_path: Path) -> None:
    for place in ("0000:1a:00.0", "0000:1b:00.0"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "information").write_text("Model: \t\t Some GPU 80GB\nIRQ:   1\n")
    assert devices(tmp_path) == ["Some GPU 80GB"] * 2
    assert devices(tmp_path / "none") == []
