"""The log: lines for people or for programs, on the standard error output, without a secret in any of them."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

_KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160)) if chr(code) not in "\n\t"}

# as much of a URL as may be a password: one that breaks the URL is still a password
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^\s:/@]*):[^\s]*@")
_NAMED_SECRET = re.compile(r"(?i)((?:password|passwd|token|secret|link)=|\bbearer\s+)[^\s&,;'\")]+")


def set_up(kind: str, level: str, stream: TextIO | None = None) -> None:
    """Let everything that is logged, uvicorn's too, go to `stream`, as lines of "text" or "json" from a level on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if kind == "json" else TextLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)


class TextLines(logging.Formatter):
    """One line for each message, and a traceback behind it if there is one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the text; what would begin a line of its own, or colour it, is written out."""
        return without_secrets(super().format(record)).translate(_CONTROL)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging calls it so
        """Return the line without a traceback."""
        return super().formatMessage(record).replace("\n", "\\n")


class JsonLines(logging.Formatter):
    """One JSON object for each message: time, level, logger, message, fields that came along, and a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object in one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _KNOWN}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: _shown(value) for name, value in line.items()}, default=str)


def without_secrets(text: str) -> str:
    """Return a text with passwords of URLs, and whatever is named as a secret, taken out."""
    return _NAMED_SECRET.sub(r"\1***", _PASSWORD_IN_URL.sub(r"\1:***@", text))


def _shown(value: object) -> object:
    if isinstance(value, bool | int | float) or value is None:
        return value
    return without_secrets(str(value))
