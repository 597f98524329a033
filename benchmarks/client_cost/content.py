"""What a trainer logs in a step: forty scalars, and figures of so many sequences."""

THRESHOLD = 2.0
CONFIG = {"rollout_is": "token", "rollout_is_threshold": THRESHOLD, "rollout_token_veto_threshold": 1e-4}
NAMES = tuple(f"train/figure_{number:02}" for number in range(40))
NONE, FEW, MANY = 0, 256, 4096  # sequences; without any, scalars are logged alone
