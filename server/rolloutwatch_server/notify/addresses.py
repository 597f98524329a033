"""Which addresses a message may go to: those of the internet, unless a target allows others too."""

import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Sequence

from rolloutwatch_server.notify.networks import is_special_4, is_special_6

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NUMERIC = re.compile(r"(?:0[xX][0-9a-fA-F]+|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]+|[0-9]+)){0,3}\.?")


class AddressError(OSError):
    """A host has no address that may be used; the message says why, and how to cure it."""


def is_internal(text: str) -> bool:
    """Tell whether an address is not one of the internet: loopback, private, link-local, shared, multicast, and the like.

    An IPv4 address within an IPv6 one is judged as itself.

    >>> [is_internal(one) for one in ("127.0.0.1", "::ffff:10.0.0.1", "100.64.0.1", "fe80::1%eth0", "8.8.8.8")]
    [True, True, True, True, False]
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return _is_internal_4(address)
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and ipaddress.IPv6Address(int(address)) in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if inner is not None:
        return _is_internal_4(inner)
    if address.scope_id is not None or address not in _GLOBAL_UNICAST:
        return True
    return is_special_6(address) or not address.is_global


def _is_internal_4(address: ipaddress.IPv4Address) -> bool:
    # what Python calls global depends on its patch: 192.0.0.192 is so for 3.11.7
    return is_special_4(address) or not address.is_global or address.is_multicast or address.is_reserved


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses that the system knows for a host; OSError if it knows none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def vetted(host: str, port: int, *, allow_internal: bool, resolve: Resolve, seconds: float) -> list[str]:
    """Return the addresses of a host, all of them such as may be connected to; AddressError if one of them is not.

    `host` is a name or an address as a URL has it, without brackets. The addresses are for this attempt alone:
    whoever connects has to use them and not the name, for the next answer may be another one.
    """
    literal = _literal(host)
    found = [literal] if literal else _resolved(host, port, resolve, seconds)
    inside = [one for one in found if is_internal(one)]
    if inside and not allow_internal:
        raise AddressError(
            f"{host} is {inside[0]}, an address of an internal network, to which nothing is sent. "
            "If that is meant, set allow_internal = true for this target."
        )
    return found


def _literal(host: str) -> str | None:
    """Return the address that a host is, written in whatever way the system would read it; None if it is a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not _NUMERIC.fullmatch(host):
        return None
    try:  # 127.1, 2130706433, 0x7f.1, 0177.0.0.1
        return str(ipaddress.IPv4Address(socket.inet_aton(host.rstrip("."))))
    except OSError:
        raise AddressError(f"{host} is no address: write it as four numbers, 192.0.2.7 say.") from None


def _resolved(host: str, port: int, resolve: Resolve, seconds: float) -> list[str]:
    """Ask for addresses, for so many seconds: the system's own call could last as long as its servers like."""
    found: list[str] = []
    failure: list[Exception] = []

    def ask() -> None:
        try:
            found.extend(resolve(host, port))
        except (OSError, UnicodeError) as error:
            failure.append(error)

    asking = threading.Thread(target=ask, name="rolloutwatch-resolve", daemon=True)
    asking.start()
    asking.join(max(seconds, 0.0))
    if asking.is_alive():
        raise AddressError(f"the address of {host} could not be found in time: look at this host's DNS.")
    if failure or not found:
        why = getattr(failure[0], "strerror", None) or "it is no name" if failure else "there is none"
        raise AddressError(f"the address of {host} could not be found: {why}.")
    return list(found)
