"""A vault's events as the registry's client gives them, whatever the node gives of its logs."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from memsync_client.errors import NodeUnreachable, UnknownVault
from memsync_client.records import Offer, Recovery
from memsync_client.registry import Registry
from memsync_client.transactions import Call
from tests.client.bad_nodes import lying
from tests.nodes import transact

KEY_ID = b"\x07" * 20
DAY = timedelta(days=1)


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@pytest.fixture
def vault(registry, owner):
    call = registry.create(1, digest("head 1"), digest("root 1"), digest("keyring 1"), "https://example.org/blobs/")
    transact(registry, owner, call)
    return registry.vault_id_of(owner.address, 1)


def names(history) -> list[str]:
    return [event.name for event in history.events]


def test_history__of_every_verb__all_events_oldest_first(registry, chain, owner, reader, vault):
    expires = registry.latest().time + DAY
    helper = chain.wallet()
    for wallet, call in (
        (owner, registry.commit(vault, 1, 1, digest("head 2"), digest("root 2"))),
        (owner, registry.grant(vault, 2, reader.address, 1, expires, KEY_ID)),
        (owner, registry.set_base_uri(vault, 3, "https://example.org/other/")),
        (owner, registry.multicall([registry.revoke(vault, reader.address), registry.rotate(vault)])),
        (owner, registry.revoke_all(vault)),
        (owner, registry.offer(vault, 7, reader.address, expires)),
        (owner, registry.cancel_offer(vault)),
        (owner, registry.set_recovery(vault, helper.address)),
        (helper, registry.start_recovery(vault, reader.address)),
        (owner, registry.veto_recovery(vault)),
        (owner, registry.offer(vault, 9, reader.address, expires)),
        (reader, registry.accept(vault)),
        (reader, registry.set_recovery(vault, helper.address)),
        (helper, registry.start_recovery(vault, owner.address)),
    ):
        last = transact(registry, wallet, call)
    history = registry.history(vault)
    assert names(history) == [
        *("Created", "Committed", "Granted", "BaseURISet", "Revoked", "Rotated", "RevokedAll", "Offered"),
        *("OfferCancelled", "RecoverySet", "RecoveryStarted", "RecoveryVetoed", "Offered", "Accepted"),
        *("RecoverySet", "RecoveryStarted"),
    ]
    assert history.complete
    granted, uri = history.events[2:4]
    assert (granted.actor, granted.values["grantee"]) == (owner.address, reader.address)
    assert (granted.values["rights"], granted.values["expiresAt"]) == (1, int(expires.timestamp()))
    assert uri.values == {"version": 4, "baseURI": "https://example.org/other/"}
    assert history.events[4].tx_hash == history.events[5].tx_hash
    ended = history.events[-1]
    assert (ended.block_number, ended.tx_hash, ended.actor) == (last.block.number, last.tx_hash, helper.address)
    assert registry.time_of(ended.block_number) == last.block.time


def test_history__of_a_closed_vault__ends_with_that(registry, owner, vault):
    transact(registry, owner, registry.close(vault, 1, b"\x05" * 32))
    assert names(registry.history(vault)) == ["Created", "Closed"]
    assert registry.history(vault).events[-1].values["successor"] == b"\x05" * 32


def test_history__unknown_vault__says_so(registry):
    with pytest.raises(UnknownVault):
        registry.history(b"\x11" * 32)


def test_history__base_uri_that_is_no_text__is_shown_with_marks(registry, owner, vault):
    call = registry.encode(Call("setBaseURI", (vault, 1, "https://xx/")))
    raw = registry.prepare(Call("multicall", ([call.replace(b"xx", b"\xff\xfe")],)), owner.address)
    registry.wait(registry.submit(raw, owner, lambda _: None))
    assert registry.history(vault).events[-1].values["baseURI"] == "https://\ufffd\ufffd/"


def refusing(limit: int, pruned_below: int = 0, asked: list | None = None):
    """A node that takes only so many blocks at once, and has no logs of before a block."""

    def change(method, params, response):
        if method == "eth_getLogs":
            first, last = (int(params[0][key], 16) for key in ("fromBlock", "toBlock"))
            if asked is not None:
                asked.append(first)
            if last - first >= limit or first < pruned_below:
                error = {"code": -32005, "message": "not so many, nor so old"}
                return {"jsonrpc": "2.0", "id": response["id"], "error": error}
        return response

    return change


def test_history__node_that_limits_ranges__asks_newest_first_and_no_further_than_the_creation(
    registry, chain, owner, reader
):
    chain.mine(600)
    transact(registry, owner, registry.create(1, digest("h"), digest("r"), digest("k"), ""))
    vault = registry.vault_id_of(owner.address, 1)
    chain.mine(300)
    transact(registry, owner, registry.rotate(vault))
    whole = registry.history(vault)
    asked: list[int] = []
    steps: list[tuple[int, int]] = []
    with lying(chain.rpc_url, refusing(100, asked=asked)) as url:
        found = Registry.connect(url).history(vault, lambda done, total: steps.append((done, total)))
    assert found.events == whole.events
    assert found.complete
    assert found.from_block > registry.latest().number - 600  # the rest was not looked through
    assert steps == sorted(steps)
    assert len(steps) >= 3


def test_history__node_without_old_logs__says_from_where_on(registry, chain, owner, vault):
    chain.mine(600)
    transact(registry, owner, registry.rotate(vault))
    edge = registry.latest().number - 200
    with lying(chain.rpc_url, refusing(1_000_000, pruned_below=edge)) as url:
        found = Registry.connect(url).history(vault)
    assert (names(found), found.complete) == (["Rotated"], False)
    assert edge <= found.from_block <= registry.latest().number


def test_history__node_that_gives_no_logs__is_an_error(registry, chain, vault):
    with lying(chain.rpc_url, refusing(0)) as url, pytest.raises(NodeUnreachable, match="not so many"):
        Registry.connect(url).history(vault)


def test_offer_and_recovery__as_they_stand(registry, chain, owner, reader, vault):
    assert registry.offer_of(vault) is None
    assert registry.recovery_of(vault) == Recovery(None, 0, None, None)
    expires = datetime(2099, 1, 1, tzinfo=UTC)
    transact(registry, owner, registry.offer(vault, 1, reader.address, expires))
    assert registry.offer_of(vault) == Offer(reader.address, expires, 2)
    helper = chain.wallet()
    transact(registry, owner, registry.set_recovery(vault, helper.address))
    started = transact(registry, helper, registry.start_recovery(vault, reader.address))
    recovery = registry.recovery_of(vault)
    assert recovery == Recovery(helper.address, 2, started.block.time + 21 * DAY, reader.address)
    transact(registry, owner, registry.set_recovery(vault, None))
    assert registry.recovery_of(vault) == Recovery(None, 3, None, None)


def test_grants__from_a_block_on__with_those_known_before(registry, owner, reader, chain, vault):
    expires, late = registry.latest().time + DAY, chain.wallet().address
    first = transact(registry, owner, registry.grant(vault, 1, reader.address, 1, expires, KEY_ID))
    transact(registry, owner, registry.grant(vault, 2, late, 1, expires, KEY_ID))
    after = first.block.number + 1
    assert [grant.grantee for grant in registry.grants(vault, after)] == [late]
    assert registry.grants(vault, after, [reader.address]) == registry.grants(vault)
