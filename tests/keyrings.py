"""Keyrings of an operating system, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keyring
from keyring.backend import KeyringBackend


class InMemory(KeyringBackend):
    """What a keyring of an operating system does. It is used where it is named, and found by nobody."""

    priority = 5
    viable = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@contextmanager
def using(chosen: KeyringBackend) -> Iterator[None]:
    """With that keyring, and afterwards with the one of before."""
    before = keyring.get_keyring()
    keyring.set_keyring(chosen)
    try:
        yield
    finally:
        keyring.set_keyring(before)
