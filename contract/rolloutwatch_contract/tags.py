"""What people may call a run beside its name: its tags."""

from collections.abc import Iterable

MOST_TAGS = 20  # of a run
LETTERS_OF_A_TAG = 60
REFERENCE = "reference"  # the run of a project that later ones are compared with from their first step on
BETWEEN_TAGS = ","  # where several are written in one line


def check_tags(tags: Iterable[object]) -> tuple[str, ...]:
    """Return tags in their order, each once, without the space around them; ValueError if they are none.

    A tag is text of 1 to 60 letters in one line, of any alphabet, without a comma, which stands between tags.

    >>> check_tags([" baseline", "8×H100", "baseline"])
    ('baseline', '8×H100')
    """
    found = tuple(dict.fromkeys(_checked(tag) for tag in tags))
    if len(found) > MOST_TAGS:
        raise ValueError(f"tags are {len(found)}: expected at most {MOST_TAGS}. Take some away.")
    return found


def _checked(tag: object) -> str:
    text = tag.strip() if isinstance(tag, str) else ""
    if 1 <= len(text) <= LETTERS_OF_A_TAG and text.isprintable() and BETWEEN_TAGS not in text:
        return text
    shown = ascii(tag)[:80]
    raise ValueError(
        f"tag {shown} is none: expected text of 1 to {LETTERS_OF_A_TAG} letters in one line, without a comma."
    )
