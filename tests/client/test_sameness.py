"""Whether a text says what a memory says: what comes back from a tool is known, and what is new is not mistaken."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsync_client.mcp_server.answers import passage
from memsync_client.memories import Source, new
from memsync_client.sameness import Texts, form

INES, SALT = b"i" * 16, b"s" * 16
TEXTS = Texts([("Ines is left-handed.", INES), ("Salt cost more this May.\nThe works closed.", SALT), ("", b"")])


@pytest.mark.parametrize(
    "text",
    [
        "Ines is left-handed.",
        "  ines  IS left-handed  ",
        "“Ines is left-handed!”",
        "- Ines is left-handed.",
        "> * Ines is left-handed",
        "1. Ines is left-handed.",
        "[3f9a27c1, from the owner, 2026-01-31]\n> Ines is left-handed.",
        "Ｉｎｅｓ is left-handed.",
        "Ines is left-handed.\n\n",
    ],
)
def test_find__the_same_set_out_otherwise__is_known(text: str) -> None:
    assert TEXTS.find(text) == INES


@pytest.mark.parametrize(
    "text",
    [
        "Ines is right-handed.",
        "Ines is not left-handed.",
        "Ines is left-handed. She plays the cello.",
        "- Ines is left-handed.\n- Ines has moved to Lisbon.",
        "Ines",
        "…",
        "12",
    ],
)
def test_find__something_else__is_new(text: str) -> None:
    assert TEXTS.find(text) is None


def test_find__several_memories_in_a_list__are_known_as_the_first() -> None:
    both = Texts([("Ines is left-handed.", INES), ("Salt cost more.", SALT)])
    assert both.find("- Salt cost more.\n- Ines is left-handed.\n") == SALT
    assert TEXTS.find("Salt cost more this May. The works closed.") == SALT


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200).filter(str.strip))
def test_find__whatever_is_shown_of_a_memory__is_known(text: str) -> None:
    memory = new(text, source=Source("chatgpt"))
    if not form(text):  # marks alone: they say nothing that could be compared
        return
    assert Texts([(text, memory.id)]).find(text) == memory.id
    assert Texts([(text, memory.id)]).find(passage(memory)) == memory.id
