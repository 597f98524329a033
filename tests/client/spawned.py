"""What a spawned worker does."""

from rolloutwatch import Monitor


def work(rank: int) -> None:
    """Log five steps to a run of its own."""
    with Monitor(project="math", run=f"worker{rank}") as one:
        for step in range(5):
            one.log(step, {"loss": float(rank)})
