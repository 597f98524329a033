"""Which addresses a message may go to."""

import ipaddress
import socket
import time

import pytest

from rolloutwatch_server.notify.addresses import AddressError, is_internal, vetted
from rolloutwatch_server.notify.networks import NETWORKS_4, NETWORKS_6, is_special_4, is_special_6
from rolloutwatch_server.notify.targets import TargetsError
from rolloutwatch_server.notify.webhook import Webhook
from tests.server.notify.events import webhook
from tests.server.receiver import Mode, Receiver, always

LOOPBACK = ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0x7f000001", "017700000001", "::1"]
INTERNAL = [
    *LOOPBACK,
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::"),
    *("169.254.169.254", "169.254.0.1", "fe80::1%eth0", "fe80::1", "fe80::%eth0"),
    *(
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        "192.0.0.1",
        "198.18.0.1",
    ),
    *("100.64.0.1", "100.127.255.254", "0.0.0.0", "0", "0.1.2.3", "::", "::127.0.0.1"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "ff02::1", "2001:db8::1", "2001::1"),
]


# written down once more, so that a line that is lost from the table is missed
SPECIAL = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.0.0/29 192.0.0.8/32
192.0.0.9/32 192.0.0.10/32 192.0.0.170/31 192.0.0.192/32 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24
192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 255.255.255.255/32
::/128 ::1/128 ::/96 ::ffff:10.0.0.0/104 ::ffff:192.0.0.0/120 64:ff9b::a00:0/104 64:ff9b::c000:0/120 64:ff9b:1::/48 100::/64
100:0:0:1::/64 2001::/23 2001::/32 2001:1::1/128 2001:1::2/128 2001:1::3/128 2001:2::/48 2001:3::/32 2001:4:112::/48
2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32 2002:a00::/24 2002:c000::/40 2620:4f:8000::/48 3fff::/20 5f00::/16
fc00::/7 fe80::/10 fec0::/10 ff00::/8
""".split()

EMBEDDING = ("::ffff:", "64:ff9b::", "2002:")


def nobody(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} is an address and was looked up")


@pytest.mark.parametrize("host", INTERNAL)
def test_an_internal_address_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(AddressError, match=r"internal network.*allow_internal = true"):
        vetted(host, 443, allow_internal=False, resolve=nobody, seconds=5)


@pytest.mark.parametrize("network", SPECIAL)
def test_no_network_for_special_purposes_is_of_the_internet_with_whatever_python(network: str) -> None:
    """The first, the last and one in the middle of each network in IANA's registries."""
    one = ipaddress.ip_network(network)
    middle = one.network_address + one.num_addresses // 2
    tried = (one[0], middle, one[-1])
    assert [is_internal(str(each)) for each in tried] == [True] * 3
    if not network.startswith(EMBEDDING):  # by the table itself, and not because this Python knows it
        assert [is_special_4(each) if each.version == 4 else is_special_6(each) for each in tried] == [
            True
        ] * 3


def test_every_network_of_the_table_is_tried() -> None:
    assert {*NETWORKS_4, *NETWORKS_6} <= set(SPECIAL)
    assert not is_special_4(ipaddress.IPv4Address("8.8.8.8"))
    assert is_special_4(ipaddress.IPv4Address("192.0.0.192"))
    assert is_special_6(ipaddress.IPv6Address("3fff::1"))


@pytest.mark.parametrize("host", LOOPBACK)
def test_where_it_is_allowed_it_is_the_address_that_the_system_would_take(host: str) -> None:
    assert vetted(host, 443, allow_internal=True, resolve=nobody, seconds=5) in (["127.0.0.1"], ["::1"])


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "134744072", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_internet_is_taken(host: str) -> None:
    assert len(vetted(host, 443, allow_internal=False, resolve=nobody, seconds=5)) == 1


@pytest.mark.parametrize("host", ["localhost", "localhost."])
def test_localhost_is_found_out_by_what_it_resolves_to(host: str) -> None:
    with pytest.raises(AddressError, match="internal network"):
        vetted(host, 443, allow_internal=False, resolve=lambda *_: ["::1", "127.0.0.1"], seconds=5)


def test_a_name_with_one_internal_address_among_others_is_refused() -> None:
    with pytest.raises(AddressError, match=r"10\.0\.0\.7"):
        vetted("a.example", 443, allow_internal=False, resolve=lambda *_: ["8.8.8.8", "10.0.0.7"], seconds=5)


@pytest.mark.parametrize("host", ["999.1.1.1", "1.2.3.4.5", "0x7g.1"])
def test_what_is_neither_a_name_nor_an_address_is_refused(host: str) -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(AddressError):
        vetted(host, 443, allow_internal=False, resolve=unknown, seconds=5)


def test_a_resolver_that_hangs_is_waited_for_no_longer_than_asked() -> None:
    begin = time.monotonic()
    with pytest.raises(AddressError, match="in time"):
        vetted("a.example", 443, allow_internal=False, resolve=lambda *_: time.sleep(3) or [], seconds=0.2)
    assert time.monotonic() - begin < 2


def test_no_address_is_an_internal_one() -> None:
    assert is_internal("no address")


def test_a_name_that_changes_between_two_looks_is_looked_up_once_and_connected_to_as_it_was_then() -> None:
    """The second answer, loopback, would be where a client that resolves by itself goes."""
    answers = [["8.8.8.8"], ["127.0.0.1"]]
    asked = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked) - 1, 1)]

    with Receiver() as receiver:
        target = webhook(f"http://rebinding.example:{receiver.port}/", more="")
        outcome = Webhook(target, resolve=rebinding, seconds=0.5).send("key", b"{}", 0.0)
        assert outcome.error.startswith("rebinding.example: ")
        assert asked == ["rebinding.example"]
        again = Webhook(target, resolve=rebinding, seconds=0.5).send("key", b"{}", 0.0)
        assert "internal network" in again.error
        assert receiver.requests == []


def test_the_connection_goes_to_the_address_that_was_looked_at_with_the_name_in_its_header() -> None:
    with Receiver() as receiver:
        target = webhook(f"http://alerts.example:{receiver.port}/hook")
        assert Webhook(target, resolve=lambda *_: ["127.0.0.1"]).send("key", b"{}", 0.0).error == ""
        assert receiver.requests[0].headers["host"] == f"alerts.example:{receiver.port}"


def test_a_redirection_to_loopback_is_not_followed() -> None:
    with Receiver(always(Mode.REDIRECT)) as receiver:
        outcome = Webhook(webhook(receiver.url)).send("key", b"{}", 0.0)
        assert "answered 302, a redirection, which is not followed" in outcome.error
        assert not outcome.is_final
        assert [one.path for one in receiver.requests] == ["/hook"]


def test_nothing_is_sent_to_a_receiver_on_this_host_unless_it_is_allowed() -> None:
    with Receiver() as receiver:
        outcome = Webhook(webhook(receiver.url, more="")).send("key", b"{}", 0.0)
        assert "allow_internal = true" in outcome.error
        assert receiver.requests == []


@pytest.mark.parametrize(
    "url",
    [
        *("https://user@8.8.8.8/", "https://user:password@8.8.8.8/", "https://8.8.8.8@127.0.0.1/"),
        *("https://8.8.8.8\\\\@127.0.0.1/", "https://8.8.8.8/\\r\\nHost: other", "https://a.example/\\u0000"),
        *("https://a.example/a b", "https://ä.example/", "ftp://8.8.8.8/", "//8.8.8.8/", "https:///path"),
        *("https://8.8.8.8:0/", "https://8.8.8.8:99999/", "https://[::1/", "https://127.0.0.1%2f.example/"),
        *("https://[fe80::1%25eth0]:x/", "javascript:alert(1)", ""),
    ],
)
def test_an_address_with_a_trick_in_it_is_refused_when_the_file_is_read(url: str) -> None:
    with pytest.raises(TargetsError, match=r"targets\.toml, target 1 \(ops\)") as refusal:
        webhook(url)
    assert "password" not in str(refusal.value).replace("a password before", "")
