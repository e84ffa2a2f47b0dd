"""Cards, invitations and sheets: what people paste, and what happens when they paste it wrongly."""

from __future__ import annotations

import base64
import textwrap
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client import canonical
from memsync_client.cards import Card, DeviceCard, Invitation, Sheet, check_name
from memsync_client.errors import InvalidCard, InvalidInvitation, InvalidKit, InvalidRequest, MemSyncError
from memsync_client.keys import Anchor
from memsync_client.sealing import Place, sha256
from tests.client.material import PLACE, holder, secret

KEY = holder("claude").xwing.public
CARD = Card("claude", KEY, bytes(range(20)), ("file", "https"))
ANCHOR = Anchor(3, secret("writer"), secret("check"))
BASES = ("file:///home/ines/blobs/", "https://blobs.example/novel/")
INVITATION = Invitation(PLACE, "http://127.0.0.1:8545", BASES, ANCHOR)
CARD_VALUE = {"name": "claude", "key": KEY.raw, "address": bytes(range(20)), "schemes": ["file", "https"]}
INVITATION_VALUE = {
    "chain": 31_337,
    "registry": PLACE.registry,
    "vault": PLACE.vault_id,
    "rpc": "http://127.0.0.1:8545",
    "bases": list(BASES),
    "anchor": [3, ANCHOR.writer_public, ANCHOR.check],
}
DEVICE = DeviceCard("laptop", KEY, 31_337, bytes(range(20)))
DEVICE_VALUE = {"name": "laptop", "key": KEY.raw, "chain": 31_337, "address": bytes(range(20))}
VAULTS = {PLACE.vault_id: ANCHOR, bytes.fromhex("b3" * 32): Anchor(1, secret("other writer"), secret("other check"))}
MADE = datetime(2026, 11, 21, 12, 30, 15, tzinfo=UTC)
SHEET = Sheet(KEY.id, 31_337, PLACE.registry, bytes(range(20)), "http://127.0.0.1:8545", BASES, VAULTS, MADE)
LINE: list[Any] = [PLACE.vault_id, 3, ANCHOR.writer_public, ANCHOR.check]
OTHER_LINE: list[Any] = [bytes.fromhex("b3" * 32), 1, secret("other writer"), secret("other check")]
SHEET_VALUE = {
    "holder": KEY.id,
    "chain": 31_337,
    "registry": PLACE.registry,
    "owner": bytes(range(20)),
    "rpc": "http://127.0.0.1:8545",
    "bases": list(BASES),
    "anchors": [LINE, OTHER_LINE],
    "made": 1_795_264_215,
}


def by_hand(prefix: str, value: Any) -> str:
    """The text of a card or an invitation, written without the code under test."""
    data = value if isinstance(value, bytes) else canonical.encode(value)
    text = f"{prefix}:{base64.urlsafe_b64encode(data).decode().rstrip('=')}"
    return f"{text}:{sha256(text.encode()).hex()[:8]}"


PAIRS = [
    pytest.param(Card, CARD, InvalidCard, id="card"),
    pytest.param(Invitation, INVITATION, InvalidInvitation, id="invitation"),
    pytest.param(DeviceCard, DEVICE, InvalidCard, id="device card"),
    pytest.param(Sheet, SHEET, InvalidKit, id="sheet"),
]


def test_card__is_one_line_of_the_stated_form_and_comes_back() -> None:
    text = str(CARD)
    assert text == by_hand("memsync-card1", CARD_VALUE)
    assert "\n" not in text
    assert Card.parse(text) == CARD


def test_invitation__is_one_line_of_the_stated_form_and_comes_back() -> None:
    text = str(INVITATION)
    assert text == by_hand("memsync-invitation1", INVITATION_VALUE)
    assert "\n" not in text
    assert Invitation.parse(text) == INVITATION


@pytest.mark.parametrize("address", [bytes(range(20)), None])
def test_device_card__is_one_line_of_the_stated_form_and_comes_back(address: bytes | None) -> None:
    card = DeviceCard("laptop", KEY, 31_337, address)
    assert str(card) == by_hand("memsync-device1", DEVICE_VALUE | {"address": address})
    assert DeviceCard.parse(str(card)) == card


def test_sheet__is_one_line_of_the_stated_form_and_comes_back() -> None:
    text = str(SHEET)
    assert text == by_hand("memsync-sheet1", SHEET_VALUE)
    assert Sheet.parse(text) == SHEET
    assert str(Sheet(**vars(SHEET) | {"anchors": dict(reversed(VAULTS.items()))})) == text


def test_sheet__of_fifteen_vaults__fits_into_a_qr_code() -> None:
    many = {secret(f"vault {number}"): ANCHOR for number in range(15)}
    assert len(str(Sheet(**vars(SHEET) | {"anchors": many}))) <= 2_953  # bytes of the largest, ISO/IEC 18004


NAMES = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=16)  # 64 bytes at most
PLACES = st.builds(
    Place, st.integers(1, 2**64 - 1), st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32)
)


ADDRESSES = st.binary(min_size=20, max_size=20)
SECRETS = st.binary(min_size=32, max_size=32)
ANCHORS = st.builds(Anchor, st.integers(1, 2**32 - 1), SECRETS, SECRETS)


@given(st.builds(Card, NAMES, st.just(KEY), ADDRESSES, st.lists(NAMES, max_size=3).map(tuple)))
@settings(max_examples=100, deadline=None)
def test_card__of_any_content__comes_back(card: Card) -> None:
    assert Card.parse(str(card)) == card


@given(st.builds(Invitation, PLACES, NAMES, st.lists(NAMES, max_size=3).map(tuple), ANCHORS))
@settings(max_examples=200, deadline=None)
def test_invitation__of_any_content__comes_back(invitation: Invitation) -> None:
    assert Invitation.parse(str(invitation)) == invitation


# As mail programs and fingers leave it --------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "item", "_error"), PAIRS)
def test_parse__wrapped_indented_or_surrounded_by_space__accepted(kind: Any, item: Any, _error: Any) -> None:
    text = str(item)
    for width in (20, 64, 76):
        lines = textwrap.wrap(text, width, break_on_hyphens=False)
        for layout in ("\n".join(lines), "\r\n".join(lines), "\n    ".join(lines), " \n".join(lines)):
            assert kind.parse(layout) == item
    assert kind.parse(f"\n\n \t{text}\u00a0\n") == item


@pytest.mark.parametrize(("kind", "item", "error"), PAIRS)
def test_parse__with_any_character_changed_left_out_or_doubled__refused(kind: Any, item: Any, error: Any) -> None:
    text = str(item)
    accepted = []
    for position, sign in enumerate(text):
        other = {"A": "B", "0": "1", ":": "."}.get(sign, "A" if sign.isalpha() else "0")
        for changed in (other, sign.swapcase() if sign.isalpha() else "-" + sign, "", sign * 2, "\u00e9", "\udc80"):
            try:
                kind.parse(text[:position] + changed + text[position + 1 :])
                accepted.append((position, changed))
            except error:
                pass
    assert accepted == []


@pytest.mark.parametrize(("kind", "item", "error"), PAIRS)
def test_parse__cut_or_with_text_around_it__refused(kind: Any, item: Any, error: Any) -> None:
    text = str(item)
    for length in range(len(text)):
        with pytest.raises(error):
            kind.parse(text[:length])
    far = f"{text}{' ' * 2**21}and more"
    for other in (f"my card: {text}", f"{text}.", f"{text}{text}", f"> {text}", "", "\n", far):
        with pytest.raises(error):
            kind.parse(other)


def test_parse__an_invitation_where_a_card_is_wanted__says_so() -> None:
    with pytest.raises(InvalidCard) as refused:
        Card.parse(str(INVITATION))
    assert refused.value.cause == "This is an invitation, and not a card."
    assert "`memsync reader join`" in refused.value.next_step
    assert "memsync-card1:" in refused.value.next_step
    with pytest.raises(InvalidInvitation) as refused_too:
        Invitation.parse(str(CARD))
    assert refused_too.value.cause == "This is a card, and not an invitation."
    assert "memsync-invitation1:" in refused_too.value.next_step
    with pytest.raises(InvalidCard, match="This is not a card"):
        Card.parse("README")


def test_parse__of_another_version__says_so() -> None:
    with pytest.raises(InvalidCard, match="another version"):
        Card.parse(by_hand("memsync-card2", CARD_VALUE))
    with pytest.raises(InvalidInvitation, match="another version"):
        Invitation.parse(by_hand("memsync-invitation10", INVITATION_VALUE))


def test_parse__damaged__says_that_some_is_missing_or_changed() -> None:
    with pytest.raises(InvalidCard, match="wrong checksum: some of it is missing or changed"):
        Card.parse(str(CARD)[:-20])


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"name": ""},
        {"name": " claude"},
        {"name": "cla\nude"},
        {"name": "x" * 65},
        {"name": b"claude"},
        {"key": KEY.raw[:-1]},
        {"key": b"\xff" * 1_216},
        {"key": KEY.raw[:1_184] + bytes(32)},
        {"address": bytes(19)},
        {"address": bytes(21)},
        {"address": "0x" + "00" * 20},
        {"schemes": "file"},
        {"schemes": [b"file"]},
        {"schemes": [["file"]]},
    ],
    ids=lambda change: str(change)[:40],
)
def test_card__malformed_with_the_right_checksum__invalid_card(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidCard):
        Card.parse(by_hand("memsync-card1", CARD_VALUE | change))


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"chain": 0},
        {"chain": -1},
        {"chain": True},
        {"chain": "31337"},
        {"registry": bytes(19)},
        {"registry": None},
        {"vault": bytes(33)},
        {"rpc": b"http://127.0.0.1"},
        {"bases": "file:///"},
        {"bases": [b"file:///"]},
        {"bases": [None]},
        {"anchor": None},
        {"anchor": []},
        {"anchor": [3, ANCHOR.writer_public]},
        {"anchor": [0, ANCHOR.writer_public, ANCHOR.check]},
        {"anchor": [2**32, ANCHOR.writer_public, ANCHOR.check]},
        {"anchor": [True, ANCHOR.writer_public, ANCHOR.check]},
        {"anchor": [3, ANCHOR.writer_public[:31], ANCHOR.check]},
        {"anchor": [3, ANCHOR.writer_public, ANCHOR.check + b"\0"]},
        {"anchor": [3, ANCHOR.writer_public.hex(), ANCHOR.check]},
    ],
    ids=lambda change: str(change)[:40],
)
def test_invitation__malformed_with_the_right_checksum__invalid_invitation(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInvitation):
        Invitation.parse(by_hand("memsync-invitation1", INVITATION_VALUE | change))


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"name": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"},
        {"key": KEY.raw[:-1]},
        {"chain": 0},
        {"chain": 2**64 - 1, "address": bytes(19)},
        {"address": bytes(21)},
        {"address": "0x" + "00" * 20},
    ],
    ids=lambda change: str(change)[:40],
)
def test_device_card__malformed_with_the_right_checksum__invalid_card(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidCard):
        DeviceCard.parse(by_hand("memsync-device1", DEVICE_VALUE | change))


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"holder": KEY.id[:31]},
        {"chain": 0},
        {"registry": bytes(21)},
        {"owner": bytes(19)},
        {"owner": "0x" + "00" * 20},
        {"rpc": None},
        {"bases": [b"file:///"]},
        {"anchors": [LINE, LINE]},
        {"anchors": [OTHER_LINE, LINE]},
        {"anchors": [LINE[:3]]},
        {"anchors": [[*LINE, 1]]},
        {"anchors": [[LINE[0][:31], *LINE[1:]]]},
        {"anchors": [[LINE[0], 0, *LINE[2:]]]},
        {"anchors": [[LINE[0], 2**32, *LINE[2:]]]},
        {"anchors": [[LINE[0], 3, LINE[2], LINE[3][:31]]]},
        {"anchors": [3]},
        {"made": -1},
        {"made": 253_402_300_800},
        {"made": None},
    ],
    ids=lambda change: str(change)[:40],
)
def test_sheet__malformed_with_the_right_checksum__invalid_kit(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidKit):
        Sheet.parse(by_hand("memsync-sheet1", SHEET_VALUE | change))


@pytest.mark.parametrize("data", [b"", b"\xf6", b"\x80", canonical.encode(CARD_VALUE) + b"\0"], ids=len)
def test_parse__another_value_with_the_right_checksum__refused(data: bytes) -> None:
    with pytest.raises(InvalidCard):
        Card.parse(by_hand("memsync-card1", data))
    with pytest.raises(InvalidInvitation):
        Invitation.parse(by_hand("memsync-invitation1", data))


def test_parse__no_base64_with_the_right_checksum__refused() -> None:
    for payload in ("A", "A===", "AA*A", "\u00e9"):
        text = f"memsync-card1:{payload}"
        with pytest.raises(InvalidCard):
            Card.parse(f"{text}:{sha256(text.encode()).hex()[:8]}")


ANY_TEXT = st.text(st.characters(), max_size=80)  # lone surrogates too: files that are no UTF-8 are read so


@given(ANY_TEXT | ANY_TEXT.map("memsync-card1:".__add__) | ANY_TEXT.map("memsync-invitation1:".__add__))
@settings(max_examples=500, deadline=None)
def test_parse__of_arbitrary_text__raises_its_error_only(text: str) -> None:
    with pytest.raises(InvalidCard):
        Card.parse(text)
    with pytest.raises(InvalidInvitation):
        Invitation.parse(text)
    with pytest.raises(InvalidKit):
        Sheet.parse(text)


def test_sheet__of_more_vaults_than_anybody_has__comes_back() -> None:
    many = {secret(f"vault {number}"): ANCHOR for number in range(1_000)}
    sheet = Sheet(**vars(SHEET) | {"anchors": many})
    assert Sheet.parse(str(sheet)) == sheet


def test_parse__of_a_very_long_text__is_not_read_to_its_end() -> None:
    with pytest.raises(InvalidCard):
        Card.parse("memsync-card1:" + "A" * 50_000_000)


# Names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "Ines' tool", "0x", "0xed", "\u6c34", "x" * 64, "\u00fc" * 32, "a/b"])
def test_check_name__of_a_printable_name__gives_it(name: str) -> None:
    assert check_name(name, InvalidRequest) == name


@pytest.mark.parametrize("error", [InvalidCard, InvalidRequest])
@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "a ", "\ta", "a\nb", "a\0b", "\x1b[31m", "\u202eevil", "\udc80", "x" * 65, "\u00fc" * 33),
        *("0x" + "00" * 20, "0X70997970c5", "0x7099797\u202679C8", "0x 70997970C51812dc3A01"),
    ],
)
def test_check_name__of_anything_else__the_error(name: str, error: type[MemSyncError]) -> None:
    with pytest.raises(error):
        check_name(name, error)
