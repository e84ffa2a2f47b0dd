"""The recovery kit on paper: a holder's secret as three lists of words, any two of which give it back. Pure.

The lists are SLIP-39 shares: one group, two of three, extendable, iteration exponent 0, no passphrase. Stretching would
add nothing: what is shared are 32 random bytes. The words of the same list stand for short phrases to compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from .errors import InvalidKit
from .keys import HolderKey
from .sealing import SECRET_BYTES, derive, sha256

SHARES, NEEDED, WORDS = 3, 2, 33
PHRASE_WORDS = 8  # 80 bits: nobody finds another card with the same words
_PREFIX = 4  # letters that tell the words of the list apart
_FORM = (True, 0, 0, 1, 1, NEEDED)  # extendable, iteration exponent, group, groups needed, groups, shares needed


def split(key: HolderKey) -> tuple[str, ...]:
    """Three lists of 33 words, each pair of which was tried before they are handed out."""
    from shamir_mnemonic import generate_mnemonics

    secret = key.export()
    (shares,) = generate_mnemonics(1, [(NEEDED, SHARES)], secret, extendable=True, iteration_exponent=0)
    if any(combine(pair).export() != secret for pair in combinations(shares, NEEDED)):
        raise AssertionError("shares that do not give back their secret")
    return tuple(shares)


def combine(shares: Sequence[str]) -> HolderKey:
    """The kit's key from two of its lists. Raises InvalidKit: see ``checked``; also for lists of two kits."""
    from shamir_mnemonic import MnemonicError, Share, combine_mnemonics

    texts = [checked(text) for text in shares]
    found = {share.index: share for share in map(Share.from_mnemonic, texts)}
    if len(found) < NEEDED:
        raise InvalidKit("Two different lists of words are needed.", "Give another of the three.")
    if len({share.identifier for share in found.values()}) > 1:
        raise InvalidKit("These lists are of two different kits.", "Look for two that were made together.")
    pair = [share.mnemonic() for share in list(found.values())[:NEEDED]]
    try:
        return HolderKey(combine_mnemonics(pair))
    except MnemonicError:
        raise InvalidKit("These lists do not belong together.", "Look for two that were made together.") from None


def checked(text: str) -> str:
    """A list of words, whole and in lower case; the first four letters of each are enough.

    Raises InvalidKit, which names the place of a word and never the word: another number of words, a word that is not
    in SLIP-39's list, a wrong checksum, or a share of something else than a kit.
    """
    from shamir_mnemonic import MnemonicError, Share
    from shamir_mnemonic.wordlist import WORDLIST

    whole = {word[:_PREFIX]: word for word in WORDLIST}
    given = text.lower().split()
    words = [whole.get(word[:_PREFIX], "") for word in given]
    for place, (word, known) in enumerate(zip(given, words, strict=True), 1):
        if not known.startswith(word):
            raise InvalidKit(f"Word {place} is not in the list of words.", "Compare it with your paper.")
    if len(words) != WORDS:
        raise InvalidKit(f"A list of a kit has {WORDS} words, and this one {len(words)}.", "Give all of one list.")
    try:
        share = Share.from_mnemonic(" ".join(words))
    except MnemonicError:
        raise InvalidKit(
            "A word is wrong, or two have changed places: the list's checksum does not fit.",
            "Compare each word with your paper.",
        ) from None
    form = (
        *(share.extendable, share.iteration_exponent),
        *(share.group_index, share.group_threshold, share.group_count, share.member_threshold),
    )
    if form != _FORM or share.index >= SHARES or len(share.value) != SECRET_BYTES:
        raise InvalidKit("These words are not of a recovery kit.", "They may be the backup of a wallet.")
    return " ".join(words)


def phrase(text: str) -> str:
    """Eight words to compare by voice or by eye, in place of a card or a sheet that came over a channel that others
    could change."""
    from shamir_mnemonic.wordlist import WORDLIST

    number = int.from_bytes(derive(sha256(text.encode()), "phrase")[: PHRASE_WORDS * 10 // 8], "big")
    return " ".join(WORDLIST[number >> 10 * place & 1023] for place in reversed(range(PHRASE_WORDS)))
