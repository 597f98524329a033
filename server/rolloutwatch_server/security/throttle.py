"""Whoever is wrong again and again waits longer and longer.

Only what is wrong waits: a session or a token that is right is let in at once, wherever it comes from,
so that nobody can lock out others by being wrong in their place.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

FREE_FAILURES = 5
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0
SECONDS_UNTIL_FORGOTTEN = 900.0
MOST_KEYS = 10_000
DIGITS_OF_A_NETWORK = 64  # one subscriber of IPv6 has so many addresses

Key = tuple[str, ...]


@dataclass
class _Record:
    failures: int = 0
    until: float = 0.0
    last: float = 0.0


class Throttle:
    """Failures by key, and how long each key has to wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[Key, _Record] = OrderedDict()

    def seconds_to_wait(self, keys: Iterable[Key]) -> float:
        """Return how long to wait before the next attempt; 0 for not at all."""
        now = self._clock()
        return max((self._records[key].until - now for key in keys if key in self._records), default=0.0)

    def attempt(self, keys: Iterable[Key]) -> None:
        """Count an attempt as failed until `succeed` says otherwise, so that many at once are counted too."""
        now = self._clock()
        for key in keys:
            record = self._records.get(key)
            if record is None or now - record.last > SECONDS_UNTIL_FORGOTTEN:
                record = self._records[key] = _Record()
            record.failures += 1
            record.last = now
            over = record.failures - FREE_FAILURES
            if over >= 0:
                record.until = now + min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(over, 10))
            self._records.move_to_end(key)
        while len(self._records) > MOST_KEYS:
            self._records.popitem(last=False)

    def succeed(self, keys: Iterable[Key]) -> None:
        """Forget the failures of keys."""
        for key in keys:
            self._records.pop(key, None)


def address_key(address: str) -> Key:
    """Return the key of an address: of IPv6 the network of one subscriber."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ("address", address[:100])
    if found.version == 4:
        return ("address", str(found))
    network = ipaddress.ip_network((int(found), DIGITS_OF_A_NETWORK), strict=False)
    return ("address", str(network.network_address))
