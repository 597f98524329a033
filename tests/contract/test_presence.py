"""What a server says of itself comes as it was said, or not at all."""

import pytest

from rolloutwatch_contract.presence import Presence, decode_presence, encode_presence
from rolloutwatch_contract.record import SCHEMA_VERSION

SIGN = Presence(
    version="1.2", host="monitor", pid=7, time=10.5, redis_time=10.25, trouble="archive", reason="full"
)


def test_a_sign_is_json_that_comes_back_as_it_was() -> None:
    text = encode_presence(SIGN)
    assert text.startswith(b'{"version":"1.2","host":"monitor","pid":7,"time":10.5,"redis_time":10.25')
    assert decode_presence(text) == SIGN
    assert SIGN.schema == SCHEMA_VERSION


def test_a_sign_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    later = encode_presence(SIGN).replace(b"}", b',"mood":"good"}')
    assert decode_presence(later) == SIGN


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"\xff", encode_presence(SIGN).replace(b"10.5", b'"noon"')]
)
def test_what_is_no_sign_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="is no sign of one"):
        decode_presence(text)
