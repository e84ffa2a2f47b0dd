"""Chain and blob folder hold ciphertext and hashes: a search of all of both after a full life of a vault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from memsync_client.cards import Card
from memsync_client.client import Client
from memsync_client.home import Home
from memsync_client.interchange import jsonl
from memsync_client.keyring import ENVELOPE_BYTES, SLOTS, Keyring, open_keyring
from memsync_client.keys import HolderKey, envelope_info
from memsync_client.reader import Reader, new_reader
from memsync_client.sealing import derive
from memsync_client.transactions import Call
from memsync_client.vault import Vault
from memsync_client.wallet import Wallet
from tests.e2e.machines import PASSPHRASE, new_owner, new_vault
from tests.e2e.scanning import in_folder, on_chain, scan, words_of
from tests.nodes import Chain, running_chain, transact

SAMPLE = Path(__file__).parents[2] / "scripts" / "sample.jsonl"
VAULT, READERS = "Pelargonium-Conservatory", ("Claudette-Writing-Tool", "Quillfeather-Private")
REMEMBERED = [
    "Zephyrine plays the bassoon on Thursdays.",
    "The password hint is a hippopotamus.",
    "Grandmother's marmalade needs bergamot.",
    "Cardiologist appointment: Wednesday, quarter past eleven.",
    "Nightmares about the lighthouse have stopped.",
]
EDITS = ["Zephyrine changed to the contrabassoon.", "The works closed in springtime 1963."]


@dataclass
class Life:
    """A vault that has seen everything once, and every secret of the two parties."""

    chain: Chain
    blobs: Path
    vault: Vault
    secrets: dict[str, bytes]
    cards: list[Card]

    def places(self) -> dict[str, bytes]:
        return on_chain(self.chain.node) | in_folder(self.blobs)


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Life, Life]]:
    """Two lives, each on a chain of its own.

    Random bytes spell a given word of five letters now and then, in any case about once in a thousand runs. So only
    what is found in both lives counts: a leak is there each time.
    """
    with running_chain() as one, running_chain() as other:
        yield live(tmp_path_factory.mktemp("one"), one), live(tmp_path_factory.mktemp("other"), other)


def live(folder: Path, chain: Chain) -> Life:
    client = new_owner(folder / "owner", chain.rpc_url)
    vault = new_vault(client, VAULT, folder / "blobs")
    life = Life(chain, folder / "blobs", vault, {}, [])
    note_keyring(life, client)
    for text in REMEMBERED:
        vault.remember(text, tags=["Saltmarsh-Tag"])
    with SAMPLE.open("rb") as stream:
        vault.import_drafts(jsonl.read(stream, "sample").drafts)
    assert vault.sync().committed == 60

    readers = Home(folder / "readers")
    life.cards = [new_reader(readers, name, PASSPHRASE) for name in READERS]
    for card, private in zip(life.cards, (False, True), strict=True):
        joining = Reader(readers, card.name, PASSPHRASE)
        joining.join(vault.grant(card, private=private).invitation)
        assert len(joining.memories()) == 60
        note_holder(life, f"reader {card.name}", joining._key)
        note_keyring(life, client)

    known = {memory.content: memory.id.hex() for memory in vault.memories()}
    vault.edit(known[REMEMBERED[0]], EDITS[0])
    vault.sync()
    vault.revoke(READERS[0])
    note_keyring(life, client)
    vault.edit(known["The works closed in 1961, according to the plaque on the boiler house."], EDITS[1])
    transact(client.session.registry, client.session.wallet, client.session.registry.rotate(vault.place.vault_id))
    vault.sync(keep_private=True)
    note_keyring(life, client)
    assert vault.record().epoch == 3

    note_holder(life, "owner's device", client.session.device)
    wallet = client.session.wallet
    assert isinstance(wallet, Wallet)
    life.secrets |= {
        "passphrase": PASSPHRASE.encode(),
        "wallet key": bytes(wallet._account.key),
        "vault name": VAULT.lower().encode(),
        **{f"name of {name}": name.lower().encode() for name in READERS},
    }
    return life


def note_holder(life: Life, whose: str, key: HolderKey) -> None:
    life.secrets |= {
        f"secret of {whose}": key.export(),
        f"X-Wing seed of {whose}": derive(key.export(), "holder/x-wing"),
        f"state key of {whose}": key.state_key,
        f"account key of {whose}": key.account_secret,
    }


def note_keyring(life: Life, client: Client) -> None:
    """All secrets of the current keyring, those that stand only inside the owner's envelope too."""
    record, key = life.vault.record(), client.session.device.xwing
    place, epoch = life.vault.place, record.head_epoch
    blob = (life.blobs / record.keyring_hash.hex()).read_bytes()
    info = envelope_info(place, epoch, key.public.id)
    opened = (key.open(info, blob[at : at + ENVELOPE_BYTES]) for at in range(0, SLOTS * ENVELOPE_BYTES, ENVELOPE_BYTES))
    (envelope,) = filter(None, opened)
    keyring: Keyring = open_keyring(place, epoch, blob, key)
    keys = keyring.owner_keys
    assert keyring.roster is not None
    history = envelope[81:113]
    for earlier in (*keyring.links, "next"):
        life.secrets[f"history secret {earlier} of keyring {record.version}"] = history
        history = derive(history, "history/step")
    life.secrets |= {
        f"epoch secret {epoch}": keys.secret,
        f"pack key of epoch {epoch}": derive(keys.secret, "epoch/pack"),
        f"owner secret {epoch}": keys.owner_secret,
        f"writer key {epoch}": keys.writer_key.private_bytes_raw(),
        "import key": keyring.roster.import_key,
    }


def all_words() -> set[str]:
    with SAMPLE.open("rb") as stream:
        drafts = jsonl.read(stream, "sample").drafts
    sources = [text for d in drafts if d.source for text in (d.source.platform, d.source.conversation or "")]
    return words_of("Saltmarsh", *REMEMBERED, *EDITS, *sources, *(draft.content for draft in drafts))


def test_scan__after_a_full_life__finds_no_word_and_no_secret(lives: tuple[Life, Life]) -> None:
    one, other = lives
    assert {"veyrmouth", "zephyrine", "assistant", "saltmarsh"} <= all_words()
    assert len(one.secrets) > 30
    assert one.secrets.keys() == other.secrets.keys()
    found = (scan(life.places(), all_words(), life.secrets) for life in lives)
    assert set.intersection(*found) == set()


def test_scan__homes_with_waiting_memories__hold_no_word_and_no_key(lives: tuple[Life, Life]) -> None:
    """Names of vaults and readers stand there, for the command to be told which; texts and keys do not."""
    for life in lives:
        life.vault.remember("A zeppelin over Veyrmouth.")
        assert life.vault.waiting() == 1
    keys = [{n: secret for n, secret in life.secrets.items() if "name" not in n} for life in lives]
    words = all_words() - {"version"} | {"zeppelin"}  # a word of the keystore format too
    found = (scan(in_folder(life.blobs.parent), words, secrets) for life, secrets in zip(lives, keys, strict=True))
    assert set.intersection(*found) == set()


def test_scan__after_a_full_life__covers_all_that_was_written(lives: tuple[Life, Life]) -> None:
    life, _ = lives
    places = life.places()
    record = life.vault.record()
    kinds = {"calldata": 0, "log": 0, "storage": 0, "blob": 0}
    for place in places:
        kinds[place.partition(" ")[0]] += 1
    assert kinds == {
        # Two contracts; create, sync, grant, private grant, sync, revoke in two, rotate, sync.
        "calldata": 2 + 9,
        "log": 9,
        "storage": 2,  # of the registry, and of the deployer
        "blob": 2 + 2 + 1 + 2 + 2 + 2 + 3,  # of each of these: packs, head, keyring
    }
    standing = {place.partition(" ")[0] for place, data in places.items() if record.content_hash in data}
    assert standing == {"calldata", "log", "storage"}
    assert record.content_hash.hex() in {place.partition(" ")[2] for place in places}


@pytest.mark.parametrize(
    "planted",
    [
        b"Veyrmouth",
        b"VEYRMOUTH",
        b"Veyrmouth".hex().encode(),
        b"VmV5cm1vdXRo",  # base64
        b"IFZleXJtb3V0aA",  # the same with a space before it
    ],
)
def test_scan__word_in_a_copy_of_a_blob__is_reported(lives: tuple[Life, Life], tmp_path: Path, planted: bytes) -> None:
    life, _ = lives
    for path in life.blobs.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    target = sorted(tmp_path.iterdir())[3]
    data = bytearray(target.read_bytes())
    data[1000 : 1000 + len(planted)] = planted
    target.write_bytes(data)
    assert ("veyrmouth", "blob") in scan(in_folder(tmp_path), all_words(), life.secrets)


def test_scan__every_secret_in_a_copy_of_a_blob__is_reported(lives: tuple[Life, Life]) -> None:
    life, _ = lives
    for name, secret in life.secrets.items():
        for form in (secret, secret.hex().encode()):
            assert (name, "blob") in scan({"blob x": b"\xff" + form + b"\xff"}, (), {name: secret})


def test_scan__word_written_to_a_chain__is_reported_wherever_it_stands(tmp_path: Path) -> None:
    with running_chain() as chain:
        client = new_owner(tmp_path / "owner", chain.rpc_url)
        vault = new_vault(client, "plain", tmp_path / "blobs")
        registry, record = client.session.registry, vault.record()
        told = "file:///a/folder/of/the/salt/works/at/Veyrmouth/for/all/to/see/"  # longer than a slot
        call: Call = registry.set_base_uri(record.vault_id, record.version, told)
        transact(registry, client.session.wallet, call)
        found = scan(on_chain(chain.node), ["veyrmouth"], {})
        assert found == {("veyrmouth", "calldata"), ("veyrmouth", "log"), ("veyrmouth", "storage")}


def test_scan__private_grant__nothing_on_chain_names_the_reader(lives: tuple[Life, Life]) -> None:
    life, _ = lives
    public, private = life.cards
    assert [grant.grantee for grant in life.vault.public_grants()] == []
    traces = {
        f"{what} of {card.name}": value
        for card in (public, private)
        for what, value in {
            "address": card.address,
            "key id": card.key.id[:20],
            "key": card.key.raw[:64],
            "X25519 key": card.key.raw[-32:],
        }.items()
    }
    assert scan(on_chain(life.chain.node), (), traces) == {
        (f"address of {public.name}", "calldata"),
        (f"address of {public.name}", "log"),
        (f"key id of {public.name}", "calldata"),
        (f"key id of {public.name}", "log"),
    }
    assert scan(in_folder(life.blobs), (), traces) == set()
    assert not life.vault._session.registry.can_read(life.vault.place.vault_id, "0x" + private.address.hex())


def test_scan__private_grant_on_chain__looks_like_any_commit(lives: tuple[Life, Life]) -> None:
    """Same function, same events, and a head of the same size as one with memories."""
    life, _ = lives
    commits = life.vault._session.registry.commits(life.vault.place.vault_id)
    transactions = [life.chain.node.request("eth_getTransactionByHash", "0x" + c.tx_hash.hex()) for c in commits[1:]]
    assert len({(t["input"][:10], len(t["input"])) for t in transactions}) == 1
    assert len({(life.blobs / commit.content_hash.hex()).stat().st_size for commit in commits}) == 1
    keyrings = [commit.keyring_hash for commit in commits if commit.keyring_hash]
    assert len({(life.blobs / ring.hex()).stat().st_size for ring in keyrings}) == 1
