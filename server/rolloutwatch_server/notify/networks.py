"""Networks that are not of the internet, whatever the Python at hand thinks of them.

From IANA's registries of special-purpose addresses, of IPv4 and IPv6
(https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry),
those that are reachable everywhere too: they belong to services such as AS112, of which none takes messages.
Beside them stand multicast, what is reserved, and what was special once.
Not here: 64:ff9b::/96 and 2002::/16, which have an IPv4 address within them that is judged.
"""

import ipaddress

NETWORKS_4 = (
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # shared, between a carrier and its customers
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local, with the metadata of clouds
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # IETF protocol assignments: DS-Lite, port control, TURN, NAT64 discovery, Oracle's metadata
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # automatic multicast tunneling
    "192.88.99.0/24",  # relays of 6to4, deprecated
    "192.168.0.0/16",  # private
    "192.175.48.0/24",  # AS112, delegated directly
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
)

NETWORKS_6 = (
    "::/96",  # unspecified, loopback, and the IPv4-compatible ones, deprecated
    "64:ff9b:1::/48",  # translation between IPv4 and IPv6, for local use
    "100::/64",  # discarded
    "100:0:0:1::/64",  # dummy
    "2001::/23",  # IETF protocol assignments: Teredo, benchmarks, ORCHID, AS112, DRIP, anycast of port control and TURN
    "2001:db8::/32",  # documentation
    "2620:4f:8000::/48",  # AS112, delegated directly
    "3fff::/20",  # documentation
    "5f00::/16",  # segment identifiers of SRv6
    "fc00::/7",  # unique local
    "fe80::/10",  # link-local
    "fec0::/10",  # site-local, deprecated
    "ff00::/8",  # multicast
)

_NETWORKS_4 = tuple(map(ipaddress.IPv4Network, NETWORKS_4))
_NETWORKS_6 = tuple(map(ipaddress.IPv6Network, NETWORKS_6))


def is_special_4(address: ipaddress.IPv4Address) -> bool:
    """Tell whether an address is in one of the networks of IPv4."""
    return any(address in network for network in _NETWORKS_4)


def is_special_6(address: ipaddress.IPv6Address) -> bool:
    """Tell whether an address is in one of the networks of IPv6."""
    return any(address in network for network in _NETWORKS_6)
