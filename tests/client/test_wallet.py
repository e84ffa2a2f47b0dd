import json
from functools import partial

import pytest
from eth_account import Account

from memsync_client import wallet
from memsync_client.errors import HomeDamaged, InvalidRequest, NotInitialised, WrongPassphrase
from memsync_client.wallet import Wallet

PASSPHRASE = "correct horse ✓"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A keystore file and its wallet; making one costs a second on purpose."""
    path = tmp_path_factory.mktemp("home") / "wallet.json"
    return path, wallet.create(path, PASSPHRASE)


@pytest.fixture(scope="module")
def hardly_stretched(tmp_path_factory):
    """A keystore file whose passphrase is tried in no time."""
    path = tmp_path_factory.mktemp("home") / "wallet.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Account, "encrypt", partial(Account.encrypt, iterations=2))
        wallet.create(path, PASSPHRASE)
    return path


def test_create__file_is_private_and_a_standard_keystore(kept):
    path, made = kept
    keystore = json.loads(path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    assert keystore["version"] == 3
    assert Account.from_key(Account.decrypt(keystore, PASSPHRASE)).address == made.address


def test_create__file_is_there__refused_and_unchanged(kept):
    path, _ = kept
    before = path.read_bytes()
    with pytest.raises(InvalidRequest, match="already"):
        wallet.create(path, PASSPHRASE)
    assert path.read_bytes() == before


def test_load_address__needs_no_passphrase(kept):
    path, made = kept
    assert wallet.load_address(path) == made.address


def test_unlock__signs_what_recovers_to_the_address(kept):
    path, made = kept
    opened = wallet.unlock(path, PASSPHRASE)
    fees = {"gas": 21_000, "maxFeePerGas": 2, "maxPriorityFeePerGas": 1}
    raw, tx_hash = opened.sign_transaction(
        {"type": 2, "chainId": 1, "nonce": 0, "to": made.address, "value": 0, "data": b"", **fees}
    )
    assert Account.recover_transaction(raw) == made.address
    assert len(tx_hash) == 32


def test_unlock__wrong_passphrase__says_so(hardly_stretched):
    with pytest.raises(WrongPassphrase) as refused:
        wallet.unlock(hardly_stretched, "wrong horse")
    assert "horse" not in str(refused.value)


def test_read__no_file__not_initialised(tmp_path):
    with pytest.raises(NotInitialised):
        wallet.load_address(tmp_path / "wallet.json")
    with pytest.raises(NotInitialised):
        wallet.unlock(tmp_path / "wallet.json", PASSPHRASE)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "\ud800",
        "[" * 100_000,
        '{"version": 3}',
        '{"version": 1}',
        '{"version": 3, "address": 5}',
    ],
    ids=lambda content: content[:12],
)
def test_read__not_a_keystore__home_damaged(tmp_path, content):
    path = tmp_path / "wallet.json"
    path.write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(HomeDamaged):
        wallet.load_address(path)
    with pytest.raises(HomeDamaged):
        wallet.unlock(path, PASSPHRASE)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("crypto",), None),
        (("crypto", "kdf"), "none"),
        (("crypto", "kdfparams", "n"), 2**40),
        (("crypto", "kdfparams", "n"), "many"),
        (("crypto", "kdfparams", "salt"), "zz"),
        (("crypto", "mac"), 5),
        (("address",), "00" * 20),
    ],
    ids=str,
)
def test_unlock__damaged_field__home_damaged(hardly_stretched, tmp_path, keys, value):
    keystore = json.loads(hardly_stretched.read_text())
    part = keystore
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    (tmp_path / "wallet.json").write_text(json.dumps(keystore))
    with pytest.raises(HomeDamaged):
        wallet.unlock(tmp_path / "wallet.json", PASSPHRASE)


def test_repr__shows_the_address_only():
    secret = b"\x01" * 32
    shown = repr(Wallet(secret))
    assert shown == "Wallet(0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1)"
    assert not hasattr(Wallet(secret), "__dict__")


def test_address_from_key__known_pair():
    assert wallet.address_from_key(b"\x01" * 32) == "0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1"


@pytest.mark.parametrize("secret", [b"", b"\x01" * 31, b"\x01" * 33, bytes(32), b"\xff" * 32], ids=len)
def test_wallet__not_a_private_key__refused_without_showing_it(secret):
    with pytest.raises(InvalidRequest) as refused:
        Wallet(secret)
    assert refused.value.__cause__ is None
    assert secret.hex() not in str(refused.value) or not secret
