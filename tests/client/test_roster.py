"""Rules over a roster: who may be added, who stays when an epoch ends, who is meant by a name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from eth_utils import to_checksum_address

from memsync_client.errors import AccessEnded, InvalidRequest, UnknownReader
from memsync_client.keyring import Holder, OwnerKeys, Role, open_keyring, seal_keyring
from memsync_client.records import Block, PublicGrant, VaultRecord
from memsync_client.rekeying import with_key
from memsync_client.roster import (
    account_of,
    expired,
    find_reader,
    first_epoch,
    keys_due,
    roster_of,
    stands,
    staying,
    with_reader,
)
from tests.client.material import EXPIRES, IMPORT_KEY, PLACE, ROTATED, device, holder, reader, roster, secret

OWN = device()
KIT = replace(device("kit"), role=Role.KIT)
CLAUDE = reader("claude")
OTHER = reader("other")
FRIEND = replace(reader("friend"), address=None)
NOW = EXPIRES - timedelta(days=30)


def record(time: datetime = NOW) -> VaultRecord:
    return VaultRecord(
        vault_id=PLACE.vault_id,
        owner="0x" + "11" * 20,
        version=9,
        epoch=3,
        tenure=1,
        head_version=8,
        head_epoch=2,
        content_hash=secret("head"),
        memory_root=secret("root"),
        keyring_hash=secret("keyring"),
        base_uri="file:///nowhere/",
        block=Block(70, bytes(32), time),
    )


def grant(to: Holder) -> PublicGrant:
    account = account_of(to)
    assert account
    return PublicGrant(account, 1, EXPIRES, 5, to.key.id[:20], True)


# Who is who -----------------------------------------------------------------------------------------------------------


def test_roster_of__owner_has_it_and_a_reader_has_none() -> None:
    keys = OwnerKeys.new(1)
    blob = seal_keyring(PLACE, keys, roster(OWN, CLAUDE))
    assert roster_of(open_keyring(PLACE, 1, blob, holder("laptop").xwing)) == roster(OWN, CLAUDE)
    with pytest.raises(AccessEnded):
        roster_of(open_keyring(PLACE, 1, blob, holder("claude").xwing))


def test_account_of__public_readers_only_with_its_checksum() -> None:
    assert CLAUDE.address
    assert account_of(CLAUDE) == to_checksum_address(CLAUDE.address)
    assert [account_of(other) for other in (FRIEND, OWN, KIT)] == [None, None, None]


def test_expired__from_the_second_of_its_expiry_on() -> None:
    second = timedelta(seconds=1)
    assert [expired(CLAUDE, record(EXPIRES + n * second)) for n in (-1, 0, 1)] == [False, True, True]
    assert not expired(replace(CLAUDE, expires=None), record(datetime(9999, 1, 1, tzinfo=UTC)))


# When new keys are due ------------------------------------------------------------------------------------------------


def test_keys_due__when_a_holder_has_expired_or_waits_for_its_first_epoch() -> None:
    assert not keys_due(roster(OWN, CLAUDE), record())
    assert keys_due(roster(OWN, CLAUDE), record(EXPIRES))
    assert not keys_due(roster(OWN, reader("claude", since=3)), record())
    assert keys_due(roster(OWN, reader("claude", since=4)), record())


@pytest.mark.parametrize(("seconds", "due"), [(-1, False), (0, True), (1, True)])
def test_keys_due__when_they_are_as_old_as_they_may_become(seconds: int, due: bool) -> None:
    day = timedelta(days=1)
    lines = replace(roster(OWN), rotate_every=day)
    assert keys_due(lines, record(ROTATED + day + timedelta(seconds=seconds))) == due
    assert not keys_due(roster(OWN), record(ROTATED + 9_999 * day))


def test_first_epoch__of_a_new_reader_the_next_and_of_another_its_own() -> None:
    lines = roster(OWN, CLAUDE, reader("other", since=2))
    assert first_epoch(lines, holder("friend").xwing.public, record()) == 4
    assert first_epoch(lines, OTHER.key, record()) == 2
    with pytest.raises(InvalidRequest, match="may read everything already"):
        first_epoch(lines, CLAUDE.key, record())


# A device's new key ---------------------------------------------------------------------------------------------------


def test_with_key__in_the_place_of_the_old_and_in_what_it_has_added() -> None:
    new, mine = holder("new").xwing.public, replace(OWN, pending=True)
    added = replace(CLAUDE, added_by=OWN.key.id)
    after = with_key(roster(mine, replace(KIT, pending=True), added, OTHER), OWN.key, new)
    assert after == roster(
        replace(OWN, key=new, added_by=new.id),
        replace(KIT, pending=True, added_by=new.id),
        replace(added, added_by=new.id),
        OTHER,
    )
    assert with_key(after, OWN.key, holder("newer").xwing.public) == after


# Whether the chain still has a grant ----------------------------------------------------------------------------------


def test_stands__grant_for_the_same_account_and_key_that_lives_and_reads() -> None:
    for rights in (1, 3, 5, 7):
        assert stands(CLAUDE, [grant(OTHER), replace(grant(CLAUDE), rights=rights)])


@pytest.mark.parametrize(
    "change",
    [
        {"living": False},
        {"rights": 0},
        {"rights": 6},
        {"key_id": OTHER.key.id[:20]},
        {"key_id": CLAUDE.key.id},
        {"grantee": grant(OTHER).grantee},
    ],
    ids=str,
)
def test_stands__anything_else_on_chain__not(change: dict[str, object]) -> None:
    assert not stands(CLAUDE, [replace(grant(CLAUDE), **change)])  # type: ignore[arg-type]


def test_stands__without_any_grant__only_those_who_need_none() -> None:
    assert [stands(other, []) for other in (CLAUDE, FRIEND, OWN, KIT)] == [False, True, True, True]


# Who stays ------------------------------------------------------------------------------------------------------------


def test_staying__all_who_still_have_access_in_their_order_and_nothing_else_changes() -> None:
    before = roster(OWN, CLAUDE, KIT, FRIEND, OTHER)
    grants = [grant(OTHER), grant(CLAUDE)]
    assert staying(before, record(), grants, keep_private=True, leave_out=None) == before


@pytest.mark.parametrize("living", [[], [grant(CLAUDE)], [replace(grant(OTHER), living=False)]])
def test_staying__public_readers_only_where_the_chain_says_so(living: list[PublicGrant]) -> None:
    after = staying(roster(OWN, CLAUDE, OTHER, KIT), record(), living, keep_private=True, leave_out=None)
    assert after.holders == ((OWN, CLAUDE, KIT) if living[:1] == [grant(CLAUDE)] else (OWN, KIT))
    assert (after.name, after.import_key) == ("the novel", IMPORT_KEY)


def test_staying__the_one_to_leave_out_goes_though_the_chain_still_has_it() -> None:
    grants = [grant(CLAUDE), grant(OTHER)]
    before = roster(OWN, CLAUDE, FRIEND, OTHER)
    assert staying(before, record(), grants, keep_private=True, leave_out=CLAUDE).holders == (OWN, FRIEND, OTHER)
    assert staying(before, record(), grants, keep_private=True, leave_out=FRIEND).holders == (OWN, CLAUDE, OTHER)


def test_staying__expired_readers_go_whatever_the_chain_says() -> None:
    before = roster(OWN, CLAUDE, FRIEND, KIT)
    assert staying(before, record(EXPIRES), [grant(CLAUDE)], keep_private=True, leave_out=None).holders == (OWN, KIT)


def test_staying__a_private_reader_without_a_word_on_it__asks_naming_it() -> None:
    with pytest.raises(InvalidRequest, match="'friend'") as caught:
        staying(roster(OWN, FRIEND), record(), [], keep_private=None, leave_out=None)
    assert "--keep-private" in caught.value.next_step
    assert "--drop-private" in caught.value.next_step


def test_staying__a_private_reader_after_a_no__goes() -> None:
    after = staying(roster(OWN, FRIEND), record(), [], keep_private=False, leave_out=None)
    assert after.holders == (OWN,)


def test_staying__no_question_where_no_private_reader_would_stay() -> None:
    for time, out in ((EXPIRES, None), (NOW, FRIEND)):
        after = staying(roster(OWN, KIT, FRIEND), record(time), [], keep_private=None, leave_out=out)
        assert after.holders == (OWN, KIT)


# Who may be added -----------------------------------------------------------------------------------------------------


def test_with_reader__adds_it_and_leaves_the_others() -> None:
    before = roster(OWN, KIT, FRIEND)
    assert with_reader(before, CLAUDE) == replace(before, holders=(OWN, KIT, FRIEND, CLAUDE))


def test_with_reader__for_a_longer_time_or_a_new_name__replaces_its_line() -> None:
    longer = replace(CLAUDE, expires=EXPIRES + timedelta(days=1), name="claude at work")
    assert with_reader(roster(OWN, CLAUDE, FRIEND), longer).holders == (OWN, FRIEND, longer)
    private = replace(FRIEND, expires=EXPIRES + timedelta(seconds=1))
    assert with_reader(roster(FRIEND, OWN), private).holders == (OWN, private)


@pytest.mark.parametrize("less", [timedelta(0), timedelta(seconds=1), timedelta(days=20)])
def test_with_reader__for_no_longer_than_it_has__refused(less: timedelta) -> None:
    with pytest.raises(InvalidRequest, match="until 2027-02-19 already"):
        with_reader(roster(OWN, CLAUDE), replace(CLAUDE, expires=EXPIRES - less))


@pytest.mark.parametrize(
    "other",
    [
        replace(OTHER, name="claude"),
        replace(OTHER, address=CLAUDE.address),
        replace(OTHER, name="claude", address=None),
    ],
    ids=["name", "address", "name of a private one"],
)
def test_with_reader__another_reader_has_its_name_or_address__refused(other: Holder) -> None:
    with pytest.raises(InvalidRequest, match="Another reader is named") as caught:
        with_reader(roster(OWN, other), CLAUDE)
    assert f"memsync revoke {other.name}" in caught.value.next_step


def test_with_reader__two_private_readers__share_no_address() -> None:
    other = replace(OTHER, address=None)
    assert with_reader(roster(OWN, other), FRIEND).holders == (OWN, other, FRIEND)


def test_with_reader__name_of_a_device__is_free() -> None:
    named = replace(CLAUDE, name=OWN.name)
    assert with_reader(roster(OWN), named).holders == (OWN, named)


@pytest.mark.parametrize(
    "line",
    [
        replace(CLAUDE, role=Role.DEVICE, address=None, expires=None),
        replace(CLAUDE, role=Role.KIT, address=None, expires=None),
        replace(CLAUDE, address=None),
        replace(CLAUDE, address=OTHER.address),
    ],
    ids=["device", "kit", "private", "other address"],
)
def test_with_reader__its_key_holds_another_kind_of_access__refused(line: Holder) -> None:
    with pytest.raises(InvalidRequest, match="another kind of access"):
        with_reader(roster(OWN, line), replace(CLAUDE, expires=EXPIRES + timedelta(days=9)))


# Who is meant ---------------------------------------------------------------------------------------------------------


def test_find_reader__by_name_or_address_in_any_case__line_and_grant() -> None:
    known, grants = roster(OWN, FRIEND, CLAUDE, OTHER), [grant(OTHER), grant(CLAUDE)]
    account = grant(CLAUDE).grantee
    for name in ("claude", account, account.lower(), "0x" + account[2:].upper()):
        assert find_reader(known, grants, name) == (CLAUDE, grant(CLAUDE))
    assert find_reader(known, [grant(OTHER)], "claude") == (CLAUDE, None)
    assert find_reader(known, grants, "friend") == (FRIEND, None)


def test_find_reader__on_chain_only__its_grant() -> None:
    account = grant(CLAUDE).grantee
    for name in (account, account.lower()):
        assert find_reader(roster(OWN, OTHER), [grant(OTHER), grant(CLAUDE)], name) == (None, grant(CLAUDE))


@pytest.mark.parametrize("name", ["laptop", "kit", "nobody", "", "Claude", "0x" + "22" * 20])
def test_find_reader__of_no_reader__unknown_and_says_who_there_is(name: str) -> None:
    """A device or kit is not to be revoked as a reader, and a name is meant as it is written."""
    with pytest.raises(UnknownReader, match=r"Readers of this vault: claude, friend\.$"):
        find_reader(roster(OWN, KIT, CLAUDE, FRIEND), [grant(CLAUDE)], name)
    with pytest.raises(UnknownReader, match=r"Readers of this vault: none\.$"):
        find_reader(roster(OWN, KIT), [], name)


# Devices with an account of their own ---------------------------------------------------------------------------------


def test_stands__device_with_an_account__as_long_as_it_has_a_grant_of_any_kind() -> None:
    """Revoked from any wallet it is out of the next keyring; expired, or with a key made anew, it stays."""
    laptop = replace(device(), address=bytes(range(20)))
    own = grant(laptop)
    for standing in (own, replace(own, living=False), replace(own, rights=6), replace(own, key_id=bytes(20))):
        assert stands(laptop, [standing])
    assert not stands(laptop, [])
    assert not stands(laptop, [grant(CLAUDE)])
    assert stands(device(), [])
    kept = staying(roster(device("desk"), laptop), record(), [], keep_private=None, leave_out=None)
    assert kept.holders == (device("desk"),)
