"""What people send: a key that is not known is refused, because one that is ignored may have been meant to narrow things."""

import difflib
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator
from pydantic_core import PydanticCustomError

IN_WORDS = "in_words"  # the type of a complaint whose message is all that there is to say


def complaint(text: str) -> PydanticCustomError:
    """Return what a validator raises to be told in these words."""
    return PydanticCustomError(IN_WORDS, "{text}", {"text": text})


def unknown_key(key: str, known: list[str]) -> str:
    """Return what is said of a key that is not known.

    >>> unknown_key("runs", ["run", "rule"])
    "unknown key 'runs'. Did you mean 'run'? There are run, rule."
    """
    near = difflib.get_close_matches(key, known, n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown key {key[:100]!r}.{meant} There {'is' if len(known) == 1 else 'are'} {', '.join(known)}."


class Sent(BaseModel):
    """A body in JSON that says nothing but what is known."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _says_nothing_else(cls, sent: Any, read: ModelWrapValidatorHandler["Sent"]) -> "Sent":
        known = list(cls.model_fields)
        for key in cast(dict[str, Any], sent) if isinstance(sent, dict) else ():
            if key not in known:
                raise complaint(unknown_key(key, known))
        return read(sent)
