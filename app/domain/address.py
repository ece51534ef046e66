"""Network addresses: which ones a client may call from, and whose a request is behind trusted proxies."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MOST_NETWORKS = 50
_MAPPED_BITS = 96


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Parse CIDR blocks and single addresses, IPv4 and IPv6. Raises ValueError, host bits set included.

    IPv4 inside IPv6 is IPv4, as it is in addresses.
    """
    return tuple(_parse_network(text) for text in texts)


def _parse_network(text: str) -> Network:
    if not text.isascii() or "%" in text:
        raise ValueError("a network is written in ASCII and without a zone")
    network = ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    # A wider one that begins there has host bits set: the last of ffff.
    return network if mapped is None else IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


@lru_cache(maxsize=4096)
def _networks_of(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return parse_networks(texts)


def parse_address(text: str) -> Address | None:
    """Parse an address; IPv4 inside IPv6 counts as IPv4. None for what is none."""
    try:
        address = ip_address(text.strip(" \t"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def may_call_from(address: Address | None, networks: tuple[str, ...]) -> bool:
    """Tell whether an address lies in one of the networks; without any network every caller may, known or not."""
    if not networks:
        return True
    return address is not None and any(address in network for network in _networks_of(networks))


def caller_address(
    peer: str | None, forwarded_for: str | None, *, trusted: Sequence[Network]
) -> Address | None:
    """Return whose request this is: the peer, or what trusted proxies say of it, nearest first.

    `X-Forwarded-For` is read from its end as long as the one who wrote an entry is a trusted proxy, so a caller
    cannot put an address of its choice before them. An entry that is no address ends the reading with None: unknown
    is never allowed.
    """
    address = parse_address(peer) if peer is not None else None
    entries = forwarded_for.split(",") if forwarded_for else []
    while entries and address is not None and any(address in network for network in trusted):
        address = parse_address(entries.pop())
    return address
