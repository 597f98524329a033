"""Sums by which a row is known to be what was written; SQLite itself does not notice a bit that has changed in a value."""

import zlib

from rolloutwatch_server.store.database import DamagedArchive


def sum_of(*parts: int | float | str | bytes | None) -> int:
    """Return the sum of a row's values."""
    total = 0
    for part in parts:
        total = zlib.crc32(part if isinstance(part, bytes) else repr(part).encode(), total)
    return total


def check(what: str, known: int | None, *parts: int | float | str | bytes | None) -> None:
    """DamagedArchive unless these values have the sum that is known of them, which old rows do not have."""
    if known is not None and known != sum_of(*parts):
        raise DamagedArchive(f"{what} is not what was written: its checksum is wrong")
