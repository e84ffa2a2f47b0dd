"""Opening a vault that this home has not seen before: with whichever key opens it, and compared with what a sheet says.
No state of it is known here yet, so that a node could show an invented one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from .errors import AccessEnded, BlobMissing, ForeignKeyring, Rollback, StorageUnavailable, Tampered
from .keyring import Keyring, follows, open_keyring
from .keys import Anchor, PrivateKey
from .opened import left_out
from .reading import Fetch
from .records import VaultRecord
from .sealing import Place

if TYPE_CHECKING:
    from .registry import Registry


def open_first(
    place: Place, record: VaultRecord, fetch: Fetch, keys: Sequence[PrivateKey], anchor: Anchor | None = None
) -> Keyring:
    """The keyring of a vault that was not seen before, by the first of ``keys`` that opens it. Raises AccessEnded if
    none does, and ForeignKeyring or Rollback unless it follows from ``anchor``."""
    blob = fetch(record.keyring_hash, "keyring")
    for key in keys:
        with suppress(AccessEnded):
            keyring = open_keyring(place, record.head_epoch, blob, key)
            break
    else:
        raise left_out()
    if anchor:
        try:
            follows(keyring, anchor)
        except ForeignKeyring:
            raise ForeignKeyring(
                f"Vault 0x{place.vault_id.hex()} as the node shows it does not follow from the sheet.",
                "The node lies, or the sheet is not yours: use another node, and compare the sheet with your copy.",
            ) from None
    return keyring


def open_before(
    node: Registry, record: VaultRecord, fetch: Fetch, keys: Sequence[PrivateKey], anchor: Anchor | None
) -> Keyring | None:
    """The newest keyring that one of ``keys`` opens and that follows from ``anchor``, where all keyrings
    after it were brought by other accounts than the owner's, one of which may be hostile. None where there is none, or
    the owner's own account has ended these keys. Without an anchor it has to follow from the last keyring that the
    owner's own account has brought: a hostile one may open, too."""
    place = Place(node.chain_id, bytes.fromhex(node.address[2:]), record.vault_id)
    found: list[Keyring] = []
    for blob_hash, epoch, actor in reversed(node.keyring_history(record.vault_id)):
        owners = actor == record.owner
        for key in keys:
            with suppress(AccessEnded, BlobMissing, StorageUnavailable, Tampered):
                keyring = open_keyring(place, epoch, fetch(blob_hash, "earlier keyring"), key)
                if keyring.roster:
                    found.append(keyring)
                    anchor = anchor or (keyring.keys.anchor if owners else None)
                    break
        if owners:
            break
    if anchor is None:
        return None
    for keyring in found:
        with suppress(ForeignKeyring, Rollback):
            follows(keyring, anchor)
            return keyring
    return None
