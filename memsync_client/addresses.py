"""Addresses of accounts with their checksum (EIP-55)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from .errors import InvalidRequest

if TYPE_CHECKING:
    from eth_typing import ChecksumAddress

# eth_utils is imported late: it brings pydantic, and takes half of the time in which `memsync --help` answers.


@lru_cache(1024)
def checksummed(address: bytes | str) -> ChecksumAddress:
    """An address, whatever the case of its letters. Raises ValueError where it is none."""
    from eth_utils import to_checksum_address

    return to_checksum_address(address)


@lru_cache(1024)
def is_address(text: str) -> bool:
    """Whether that is an address, in letters of one case or with the right checksum."""
    from eth_utils import is_checksum_address, is_checksum_formatted_address, is_hex_address

    return is_hex_address(text) and (is_checksum_address(text) or not is_checksum_formatted_address(text))


def checked_address(address: str) -> ChecksumAddress:
    """An address with its checksum. Raises InvalidRequest, for a wrong checksum too."""
    if not is_address(address):
        raise InvalidRequest("That is no account's address (0x and 40 hex digits).", "Check it for typing errors.")
    return checksummed(address)
