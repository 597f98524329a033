"""A small but real RL problem: sort eight digits, with a transformer that fits one core."""
