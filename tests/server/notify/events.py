"""Events as the archive gives them, and targets as a file says them."""

from typing import Any

from rolloutwatch_contract.alerts import Change, event_id
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.notify.targets import Target, parse_targets
from rolloutwatch_server.store import Event

RUN = "math~grpo-7b"
SECRET = "a-secret-of-these-tests"


def event(rule: str = "high_variance", **about: Any) -> Event:
    """An event of a rule that fired at step 412."""
    given = {
        "run": RUN,
        "change": Change.FIRING,
        "severity": Severity.CRITICAL,
        "epoch": 1,
        "step": 412,
        "time": 1000.0,
        "values": {"ratio_std": 1.42, "ratio_eff_sample_size": 0.21},
        "reason": "",
        "late": False,
        "created_at": 1000.0,
        "condition": "ratio_std > 1.0 and ratio_eff_sample_size < 0.3",
        "summary": "A few samples carry the whole gradient.",
        "cure": "Switch from sequence to geometric level.",
        "guide": "docs/guides/high_variance.md",
        "firing_step": 412,
    } | about
    alert = event_id(given["run"], rule, Change.FIRING, given["epoch"])
    identity = event_id(given["run"], rule, given["change"], given["epoch"])
    return Event(**({"id": identity, "alert": alert, "rule": rule} | given))


def webhook(url: str, name: str = "ops", more: str = "allow_internal = true") -> Target:
    """A target that is a webhook."""
    text = f'[[target]]\nname = "{name}"\nwebhook = "{url}"\nsecret = "{SECRET}"\n{more}\n'
    return parse_targets(text, "targets.toml", {})[0]


def apprise(url: str, name: str = "chat", more: str = "allow_internal = true") -> Target:
    """A target of Apprise."""
    return parse_targets(f'[[target]]\nname = "{name}"\nurl = "{url}"\n{more}\n', "targets.toml", {})[0]
