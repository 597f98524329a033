"""What to put into a trainer, for those whose page is empty yet."""

from dash import html

TRAINER = """import rolloutwatch

monitor = rolloutwatch.Monitor(
    project="math", run="grpo-7b",
    config={"rollout_is": "token", "rollout_is_threshold": 2.0},
)
for step in range(steps):
    ...
    correction = monitor.correct(
        step=step, training_logprobs=old_logprobs,
        rollout_logprobs=rollout_logprobs, response_mask=response_mask,
    )
monitor.close()"""


def lines() -> html.Pre:
    """Return the lines, which can be moved sideways by keys."""
    return html.Pre(html.Code(TRAINER), tabIndex=0)
