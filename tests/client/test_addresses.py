from __future__ import annotations

import pytest

from memsync_client.addresses import checked_address
from memsync_client.errors import InvalidRequest

ADDRESS = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"


@pytest.mark.parametrize("given", [ADDRESS, ADDRESS.lower(), "0x" + ADDRESS[2:].upper()])
def test_checked_address__right_or_no_checksum__has_it_then(given: str) -> None:
    assert checked_address(given) == ADDRESS


@pytest.mark.parametrize("given", ["0x" + ADDRESS[2:].swapcase(), "0x" + ADDRESS[2:-1].lower() + "A", ADDRESS[:-1], ""])
def test_checked_address__wrong_checksum_or_none_at_all__is_refused(given: str) -> None:
    """A letter that was typed wrong would make it somebody else's."""
    with pytest.raises(InvalidRequest, match="no account's address"):
        checked_address(given)
