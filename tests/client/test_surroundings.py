"""What a run says of where it runs, and what it keeps to itself."""

from pathlib import Path

import pytest

from rolloutwatch.surroundings import devices, environment, git_commit, without_secrets

COMMIT = "c0ffee" * 6 + "c0de"


HARMLESS = [
    "--lr=1e-6 data=math --batch_size 512 -n 8 --offset -1",
    "--tokenizer=gpt2 --max_tokens=512 keyboard=1 --n-tokens 4096",
    "model.path=models/qwen2.5-7b/v0 trainer.logger=console,wandb algorithm.bypass_mode=true",
    "--resume ckpt/step_400 actor.optim.lr=3e-07 run",
]


@pytest.mark.parametrize("command", HARMLESS)
def test_a_command_is_shown_with_what_is_plainly_harmless(command: str) -> None:
    """Numbers, flags, and short paths of words; the script by its name."""
    assert without_secrets(["/home/me/train.py", *command.split()]) == ["train.py", *command.split()]


X = "geheim"  # which must not be seen, whatever it is the value of


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--wandb-key=" + X], ["--wandb-key=***"]),
        (["--wandb_api_key", X, "--lr", "1"], ["--wandb_api_key", "***", "--lr", "1"]),
        (["--password", "--" + X, "--lr=1"], ["--password", "***", "--lr=1"]),
        (["-token", X], ["-token", "***"]),
        (["+trainer.hf_token=hf_abc " + X], ["+trainer.hf_token=***"]),
        (["DB_PASSWORD=a=" + X], ["DB_PASSWORD=***"]),
        (["--client-secret=" + X, "--passwd=" + X, "--apiKey=" + X],
         ["--client-secret=***", "--passwd=***", "--apiKey=***"]),
        (["--pass=" + X, "--pwd", X, "--pw=" + X, "-p", X], ["--pass=***", "--pwd", "***", "--pw=***", "-p", "***"]),
        (["--private_key_pem", X], ["--private_key_pem", "***"]),
        (["--api-key", "-", X], ["--api-key", "***", "***"]),
        (["--api-key:" + X], ["***"]),
        (["--api-key ", X], ["***", "***"]),
        (["--password=12345678", "--pin", "1234"], ["--password=***", "--pin", "***"]),
        (['--env={"API_KEY": "' + X + '", "lr": 1}'], ["--env=***"]),
        (["env={secret:" + X + ",lr:1}"], ["env=***"]),
        (["--redis=redis://user:" + X + "@host:1/0"], ["--redis=***"]),
        (["redis://u:p@" + X + "@host"], ["***"]),
        (["redis://u:a/" + X + "@host"], ["***"]),
        (["--redis", "user:" + X + "@host"], ["--redis", "***"]),
        (["https://h/x?sig=" + X], ["***"]),
        (["--at", "https://h/?X-Amz-Signature=" + X], ["--at", "***"]),
        (["-H", "Authorization: Bearer " + X], ["-H", "***"]),
        (["hf_geheim", "ghp_geheim", "sk-geheim", "--name", "sk-geheim"], ["***", "***", "***", "--name", "***"]),
        (["--wandb", "0123456789abcdefgeheim0123456789abcdef"], ["--wandb", "***"]),
        (["--tokens=" + X], ["--tokens=***"]),
        (["x" * 490 + "redis://:" + X + "12345678901@h"], ["***"]),
        (["redis://:" + X * 100 + "@h"], ["***"]),
        (["password\n" + X], ["***"]),
    ],
)  # fmt: skip
def test_a_command_is_shown_without_its_secrets(arguments: list[str], shown: list[str]) -> None:
    """Of whatever else there is the option's name alone: somebody may have put a password into it."""
    assert without_secrets(["train.py", *arguments]) == ["train.py", *shown]


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
