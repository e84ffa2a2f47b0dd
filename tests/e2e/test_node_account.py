"""An owner whose account's key is elsewhere: in a node, or in a signer at an address of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from memsync_client.client import Client, init
from memsync_client.errors import AccessEnded, InvalidRequest
from memsync_client.home import Home
from memsync_client.registry import Registry
from memsync_client.wallet import Account
from tests.e2e.machines import PASSPHRASE, grant, new_vault, texts
from tests.nodes import Chain


class Killed(BaseException):
    """Where a process dies: nothing that tidies up after errors sees it."""


def node_owner(chain: Chain, folder: Path, number: int, *, signer: bool = False) -> Client:
    """A home whose owner is an unlocked account of the node, as itself or as a signer at an address of its own."""
    address = Registry.connect(chain.rpc_url).node.web3.eth.accounts[number]
    home = Home(folder)
    account = Account(str(address), chain.rpc_url if signer else None)
    init(home, PASSPHRASE, kit=None, rpc=chain.rpc_url, wallet=account)
    assert not home.wallet.exists()
    return Client(home, PASSPHRASE)


@pytest.mark.parametrize("signer", [False, True])
def test_node_account__does_all_that_a_wallet_file_does(chain: Chain, tmp_path: Path, signer: bool) -> None:
    owner = node_owner(chain, tmp_path / "owner", 1 + signer, signer=signer)
    vault = new_vault(owner, f"of a node {signer}", tmp_path / "blobs")
    vault.remember("signed elsewhere")
    assert vault.sync().committed == 1
    reader = grant(vault, tmp_path / "tool", "claude")
    assert texts(reader.reader) == ["signed elsewhere"]
    assert len(vault.revoke("claude")) == 2
    with pytest.raises(AccessEnded):
        reader.reader.memories()
    assert vault.record().owner == owner.session.config.owner


def test_node_account__that_the_node_does_not_sign_for__is_refused_at_init(chain: Chain, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(InvalidRequest, match="does not sign for"):
        init(home, PASSPHRASE, kit=None, rpc=chain.rpc_url, wallet=Account("0x" + "11" * 20))
    assert not home.folder.exists()


@contextmanager
def killed(*, sends: bool) -> Iterator[None]:
    """What is done within ends before it hears the hash of its transaction, which was sent or not."""
    send = Registry._send_by

    def die(self: Registry, prepared: object, wallet: object) -> bytes:
        if sends:
            send(self, prepared, wallet)  # type: ignore[arg-type]
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry, "_send_by", die)
        with pytest.raises(Killed):
            yield


def test_node_account__killed_before_it_names_the_hash__the_commit_is_found(chain: Chain, tmp_path: Path) -> None:
    """The journal has no transaction's hash then: the chain of heads alone says that it landed."""
    owner = node_owner(chain, tmp_path / "owner", 3)
    vault = new_vault(owner, "killed", tmp_path / "blobs")
    vault.remember("sent, and not known to be")
    with killed(sends=True):
        vault.sync()
    assert vault.waiting() == 1
    after = Client(owner.home, PASSPHRASE).vault()
    result = after.sync()
    assert (result.committed, result.version, after.waiting()) == (0, 2, 0)
    assert texts(after) == ["sent, and not known to be"]
    assert after.verify().memories == 1


def test_node_account__killed_in_a_clean_rotation__what_was_to_go_is_deleted(chain: Chain, tmp_path: Path) -> None:
    """Nothing is deleted before the transaction is final, and which one it was only the chain can tell."""
    owner = node_owner(chain, tmp_path / "owner", 5)
    vault = new_vault(owner, "cut", tmp_path / "blobs")
    vault.remember("kept through the cut")
    vault.sync()
    before = {path.name for path in (tmp_path / "blobs").iterdir()}
    with killed(sends=True):
        vault.rotate(clean=True)
    after = Client(owner.home, PASSPHRASE).vault()
    after.sync()
    assert (after.record().epoch, texts(after)) == (2, ["kept through the cut"])
    assert not before & {path.name for path in (tmp_path / "blobs").iterdir()}


def test_node_account__killed_before_it_sends__the_commit_is_made_again(chain: Chain, tmp_path: Path) -> None:
    owner = node_owner(chain, tmp_path / "owner", 4)
    vault = new_vault(owner, "killed before", tmp_path / "blobs")
    vault.remember("never sent")
    with killed(sends=False):
        vault.sync()
    after = Client(owner.home, PASSPHRASE).vault()
    assert (after.sync().committed, after.waiting(), texts(after)) == (1, 0, ["never sent"])
