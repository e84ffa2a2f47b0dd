"""The recovery kit's words: vectors, each pair of the three, and what people get wrong."""

from __future__ import annotations

import re
from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client.cards import DeviceCard, Sheet
from memsync_client.errors import InvalidKit
from memsync_client.keys import HolderKey
from memsync_client.kit import NEEDED, SHARES, WORDS, checked, combine, phrase, split
from memsync_client.sealing import sha256
from tests.client.material import holder, secret

# Frozen: SLIP-39, identifier and shares drawn once, over the secret below.
SECRET = bytes.fromhex("7ed6a325c8b9ad6d6d66440214bb8e6b6eb1f486063284d1062647a2d6316b46")
LISTS = (
    "reject fragment academic acid already teammate brother birthday plains image analysis station else prepare "
    "venture pipeline together best elephant club spider yield frequent adapt campus bracelet swimming raspy wrote "
    "mountain scramble tricycle weapon",
    "reject fragment academic agency avoid survive furl funding crush chemical capacity verdict profile adjust primary "
    "enjoy ending soldier lying focus mansion enlarge merit username response slap imply daughter typical vitamins "
    "purchase unusual tackle",
    "reject fragment academic always alarm careful mustang trial beyond stadium ceramic overall license island expect "
    "cargo born multiple slow punish simple born tadpole thank game patent ocean trial suitable black auction making "
    "species",
)
SHEET = (
    "memsync-sheet1:qGNycGN1aHR0cDovLzEyNy4wLjAuMTo4NTQ1ZG1hZGUaawGHwGViYXNlc4FuZmlsZTovLy9ibG9icy9lY2hhaW4Zemllb3duZXJU"
    "1NTU1NTU1NTU1NTU1NTU1NTU1NRmaG9sZGVyWCDXHuGk8TAdupDzuTez7OvsWTBl-mf30OPuj2vcSkuQt2dhbmNob3JzgYRYILKysrKysrKysrKysrKy"
    "srKysrKysrKysrKysrKysrKyA1gg5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eVYIPb29vb29vb29vb29vb29vb29vb29vb29vb29vb29vb2"
    "aHJlZ2lzdHJ5VKGhoaGhoaGhoaGhoaGhoaGhoaGh:f225263d"
)


@pytest.mark.parametrize("pair", permutations(LISTS, NEEDED))
def test_combine__frozen_lists__give_the_frozen_secret(pair: tuple[str, str]) -> None:
    assert combine(pair).export() == SECRET


def test_combine__all_three__give_it_too() -> None:
    assert combine(LISTS).export() == SECRET


def test_split__each_pair_gives_the_secret_and_no_two_kits_are_alike() -> None:
    key = HolderKey(secret("kit of split"))
    first, second = split(key), split(key)
    assert len(first) == SHARES
    assert all(len(share.split()) == WORDS for share in first)
    for pair in combinations(first, NEEDED):
        assert combine(pair).export() == key.export()
    assert not set(first) & set(second)


def test_split__header_words__say_two_of_three_extendable_and_no_stretching() -> None:
    """Read by hand: SLIP-39 has identifier 15 bits, flag 1, exponent 4, then five numbers of 4 bits."""
    from shamir_mnemonic.wordlist import WORD_INDEX_MAP

    for index, share in enumerate(split(HolderKey(secret("kit of header")))):
        number = 0
        for word in share.split()[:4]:
            number = number << 10 | WORD_INDEX_MAP[word]
        assert number >> 24 & 1 == 1  # extendable
        assert number >> 20 & 15 == 0  # iteration exponent
        assert [number >> shift & 15 for shift in (16, 12, 8, 4, 0)] == [0, 0, 0, index, NEEDED - 1]


def test_checked__four_letters_capitals_and_line_breaks__are_enough() -> None:
    short = "\n ".join(word[:4].upper() for word in LISTS[0].split())
    assert checked(short) == LISTS[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has 33 words, and this one 0"),
        (LISTS[0].rsplit(" ", 1)[0], "has 33 words, and this one 32"),
        (LISTS[0] + " weapon", "has 33 words, and this one 34"),
        (LISTS[0].replace("plains", "plainly"), "Word 9 is not in the list"),
        (LISTS[0].replace("plains", "pla"), "Word 9 is not in the list"),
        (LISTS[0].replace("already teammate", "teammate already"), "checksum does not fit"),
        (LISTS[0].replace("weapon", "acid"), "checksum does not fit"),
        (LISTS[0].replace("\u0061cid", "\u0430cid"), "Word 4 is not in the list"),
    ],
)
def test_checked__mistyped__names_the_place_and_no_word(text: str, said: str) -> None:
    with pytest.raises(InvalidKit) as refused:
        checked(text)
    assert said in refused.value.cause
    told = set(re.findall(r"[a-z]+", (refused.value.cause + refused.value.next_step).lower()))
    assert not told & set(LISTS[0].split()) - {"else", "best", "together"}


@given(st.integers(0, WORDS - 1), st.integers(1, 1023))
@settings(max_examples=200, deadline=None)
def test_checked__any_word_changed__is_noticed(place: int, step: int) -> None:
    from shamir_mnemonic.wordlist import WORD_INDEX_MAP, WORDLIST

    words = LISTS[1].split()
    words[place] = WORDLIST[(WORD_INDEX_MAP[words[place]] + step) % 1024]
    with pytest.raises(InvalidKit):
        checked(" ".join(words))


def shares_of(groups: int = 1, needed: int = 2, size: int = 32, **options: object) -> list[str]:
    from shamir_mnemonic import generate_mnemonics

    made = generate_mnemonics(groups, [(needed, 3)] * groups, secret("other")[:size], **options)
    return [share for group in made for share in group]


@pytest.mark.parametrize(
    "share",
    [
        shares_of(iteration_exponent=0, extendable=False)[0],
        shares_of(iteration_exponent=1)[0],
        shares_of(needed=3, iteration_exponent=0)[0],
        shares_of(groups=2, iteration_exponent=0)[0],
        shares_of(size=16, iteration_exponent=0)[0],
    ],
    ids=["not extendable", "stretched", "three needed", "two groups", "of 128 bits"],
)
def test_checked__share_of_something_else__is_refused(share: str) -> None:
    with pytest.raises(InvalidKit, match=r"not of a recovery kit|has 33 words"):
        checked(share)


def test_combine__same_list_twice__asks_for_another() -> None:
    with pytest.raises(InvalidKit, match="Two different lists"):
        combine([LISTS[0], LISTS[0].upper()])
    with pytest.raises(InvalidKit, match="Two different lists"):
        combine(LISTS[:1])


def test_combine__lists_of_two_kits__says_so() -> None:
    other = split(HolderKey(secret("another kit")))
    with pytest.raises(InvalidKit, match="two different kits"):
        combine([LISTS[0], other[1]])


def test_combine__of_one_identifier_but_not_of_one_kit__is_noticed() -> None:
    """Two kits share an identifier once in 32,768 times: the digest inside tells them apart."""
    from dataclasses import replace

    from shamir_mnemonic import Share

    own = Share.from_mnemonic(LISTS[0])
    other = replace(Share.from_mnemonic(split(HolderKey(secret("another kit")))[1]), identifier=own.identifier)
    with pytest.raises(InvalidKit, match="do not belong together"):
        combine([LISTS[0], other.mnemonic()])


@given(st.text(max_size=200) | st.lists(st.sampled_from(LISTS[0].split()), max_size=40).map(" ".join))
@settings(max_examples=300, deadline=None)
def test_checked__arbitrary_text__raises_its_error_only(text: str) -> None:
    with pytest.raises(InvalidKit):
        checked(text)


# What else stands in FORMAT.md ---------------------------------------------------------------------------------------


def test_phrase__frozen() -> None:
    assert phrase("memsync") == "lift lunar easy fiber pickup muscle invasion answer"


def test_device_card__frozen() -> None:
    card = DeviceCard("laptop", holder("laptop").xwing.public, 31_337, bytes(range(20)))
    assert sha256(str(card).encode()).hex() == "f2357bd76df820a69665f0b5697036f299c86d1c3637f41fb9f6bfcea8bf40f9"
    assert phrase(str(card)) == "magazine liberty corner bundle strike rebound emission auction"
    alone = DeviceCard("laptop", holder("laptop").xwing.public, 31_337, None)
    assert sha256(str(alone).encode()).hex() == "df4a329af5c59d52b26eb500fec985da42c8f7f514dfa9d4ce6e862a411aff55"


def test_sheet__frozen() -> None:
    sheet = Sheet.parse(SHEET)
    assert str(sheet) == SHEET
    assert sheet.holder == holder("kit").xwing.public.id
    (anchor,) = sheet.anchors.values()
    assert (anchor.epoch, anchor.writer_public, anchor.check) == (3, b"\xe5" * 32, b"\xf6" * 32)


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_phrase__eight_words_and_others_for_another_text(text: str) -> None:
    assert len(phrase(text).split()) == 8
    assert phrase(text) != phrase(text + " ")
