"""Base URIs, as people type them and as they stand on chain."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

IPFS = "ipfs://f01551220"  # base16, CID version 1, raw, SHA-256 of 32 bytes
EVM = "evm:"  # the vault's own chain
EVM_MEANS = (
    "On the chain itself everything stays for good, for all to see: sealed packs, and keyrings with the keys that they"
    " wrap. Nothing of it can be deleted: whoever ever gets an old key opens what it opened, also after a forget. Each"
    " byte costs about 40 gas, and each new keyring has 46,496 bytes. Nodes may prune logs: keep a mirror too."
)
# IPv6 networks whose last 32 bits are an IPv4 address: by NAT64, "compatible" and "translated". And of private networks
# those that the standard library takes for global: NAT64 of a network's own, and what was site-local.
_WRAPPING = [ipaddress.ip_network(network) for network in ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")]
_PRIVATE = [ipaddress.ip_network(network) for network in ("64:ff9b:1::/48", "fec0::/10")]
_LOCAL_NAMES = ("localhost", "local", "internal", "home.arpa")
_SHORT = {"ipfs:": IPFS, "ipfs://": IPFS}


def is_folder(uri: str) -> bool:
    """Whether a base URI is a folder's."""
    return uri.lower().startswith("file:")


def whole(uri: str) -> str:
    """The base URI that a person means: a folder's path may stand for it, ``ipfs:`` is enough, and a slash at the end
    may be left out."""
    if uri in _SHORT:
        return _SHORT[uri]
    if uri.startswith(("/", "./", "../", "~")):
        return Path(uri).expanduser().resolve().as_uri() + "/"
    if uri.startswith(("file:", "https:", "s3:")) and not uri.endswith(("/", IPFS.removeprefix("ipfs://"))):
        return uri + "/"
    return uri


def without_user(url: str) -> str:
    """An address fit to be shown: without user, password, query and fragment, which may carry a key."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return url.partition("?")[0].rpartition("@")[2]


def has_secret(url: str) -> bool:
    """Whether an address carries user, password, query or fragment: what ``without_user`` leaves out."""
    try:
        parts = urlsplit(url)
        return "@" in parts.netloc or bool(parts.query or parts.fragment)
    except ValueError:
        return True


def is_local(host: str) -> bool:
    """Whether a host is of a private network by its name or address alone: what a proxy would be asked for."""
    try:
        return not is_public(host)
    except ValueError:
        name = host.rstrip(".").lower()
        last = name.rpartition(".")[2]
        number = last.isdigit() or last.startswith("0x")  # no name, but an address as inet_aton reads it: 127.1
        return number or "." not in name or any(name.endswith(f".{local}") for local in _LOCAL_NAMES)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet, also where it is wrapped into another."""
    ip: Any = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6:
        if any(ip in network for network in _PRIVATE):
            return False
        wraps = any(ip in network for network in _WRAPPING)
        low = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF) if wraps else None
        ip = ip.ipv4_mapped or ip.sixtofour or low or ip
    return bool(ip.is_global and not ip.is_multicast)


def for_others(uri: str) -> bool:
    """Whether others may be told of a host: no folder, and none of a private network by its name or address."""
    try:
        parts = urlsplit(uri)
        return not is_folder(uri) and not (parts.scheme == "https" and is_local(parts.hostname or ""))
    except ValueError:
        return False
