"""The one passphrase of a home: in the keyring of the operating system, so that nobody need be asked, and another one.

What is sealed under it stays so: the keyring has the passphrase and none of the keys. A home whose passphrase is kept
has an empty file that says so; without it no keyring is asked. Where there is no keyring, a home that has nothing but
readers may have its passphrase in a file instead.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from . import keyfile
from .errors import InvalidRequest, NotInitialised, PassphraseNotKept, WrongPassphrase
from .files import make_dir, storage_error, sync_folder, write_atomic
from .home import Home
from .keyfile import ask

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "memsync"  # the user name beside it is the home's folder
_SAFE = 1  # from this priority on, keyring recommends a backend; those that keep plain text or nothing are below


def keep(home: Home, passphrase: str) -> str:
    """Puts the passphrase of ``home`` into the operating system's keyring, and returns that keyring's name.

    Raises WrongPassphrase unless it opens every secret of the home, and PassphraseNotKept where there is no keyring
    that is fit for it.
    """
    passphrase = ask(passphrase)
    _check(home, passphrase)
    backend = _backend()
    try:
        backend.set_password(SERVICE, _user(home), passphrase)
        if backend.get_password(SERVICE, _user(home)) != passphrase:
            raise ValueError
    except Exception:  # whatever a backend raises; its message could show anything
        raise _refused(backend) from None
    write_atomic(_marker(home), b"")
    return name_of(backend)


def keep_in_file(home: Home, passphrase: str) -> Path:
    """Puts the passphrase of a home that has nothing but readers into a file beside them, which only this user may
    read, and returns its path: whoever reads it opens what they may read, and nothing else.

    Raises WrongPassphrase unless it opens them all, and InvalidRequest for a home of an owner's.
    """
    passphrase = ask(passphrase)
    _check(home, passphrase)
    if any(path.name != "reader.key" for path in _files(home)):
        raise InvalidRequest("A device's key and a wallet are not left open.", "Use the operating system's keyring.")
    write_atomic(_file(home), passphrase.encode())
    return _file(home)


def kept(home: Home) -> str | None:
    """The passphrase from the file beside the readers, or the keyring; None where none is kept. Raises
    PassphraseNotKept if the keyring has lost it, or does not give it, or if others may read the file."""
    if _file(home).exists():
        return _from_file(_file(home))
    if not is_kept(home):
        return None
    backend = _backend()
    try:
        passphrase = backend.get_password(SERVICE, _user(home))
    except Exception:
        raise _refused(backend) from None
    if passphrase is None:
        raise PassphraseNotKept(
            f"{name_of(backend)} has no passphrase for this home (any more).", "Type it, or `memsync passphrase keep`."
        )
    return passphrase


def forget(home: Home) -> bool:
    """Takes the passphrase out of the keyring, or the file, and says whether it was there. Raises PassphraseNotKept if
    the keyring refuses."""
    if not is_kept(home):
        return False
    _file(home).unlink(missing_ok=True)
    if not _marker(home).exists():
        return True
    backend = _backend()
    try:
        if backend.get_password(SERVICE, _user(home)) is not None:
            backend.delete_password(SERVICE, _user(home))
    except Exception:
        raise _refused(backend) from None
    _marker(home).unlink(missing_ok=True)
    return True


def is_kept(home: Home) -> bool:
    """Whether this home's passphrase is in a keyring, or in a file beside its readers."""
    return _marker(home).exists() or _file(home).exists()


def keyring_name() -> str:
    """The keyring that would be used. Raises PassphraseNotKept where there is none that is fit."""
    return name_of(_backend())


def name_of(backend: KeyringBackend) -> str:
    """How a keyring is called, as PYTHON_KEYRING_BACKEND names it."""
    return f"{type(backend).__module__}.{type(backend).__qualname__}"


def change(home: Home, old: str, new: str) -> list[Path]:
    """Seals every secret of ``home`` under another passphrase, and returns the files. Copies that were made before
    still open with the old one.

    Killed before its one renaming, the home has the old passphrase, after it the new one: ``finish_change`` needs
    neither. Raises WrongPassphrase, InvalidRequest or HomeBusy.
    """
    old, new = ask(old), ask(new)
    if not new:
        raise InvalidRequest("The new passphrase is empty.", "Choose one that you can keep: nobody can reset it.")
    from . import wallet

    with home.lock(wait=0):
        finish_change(home)
        _check(home, old)
        in_file = _file(home).exists()
        was_kept, paths = forget(home), _files(home)
        unfinished = home.folder / "passphrase.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        for path in paths:
            staged = unfinished / path.relative_to(home.folder)
            make_dir(staged.parent)
            if path == home.wallet:
                write_atomic(staged, wallet.unlock(path, old).sealed(new))
            else:
                write_atomic(staged, keyfile.sealed(keyfile.unlock(path, old), new))
        try:
            os.rename(unfinished, _staged(home))
            sync_folder(home.folder)
        except OSError as error:
            raise storage_error(error, unfinished) from None
        finish_change(home)
    if was_kept:
        (keep_in_file if in_file else keep)(home, new)
    return paths


def finish_change(home: Home) -> None:
    """Puts in place what a change of passphrase has sealed anew, if there is one that was killed. Costs a look."""
    if not _staged(home).exists():
        return
    try:
        with suppress(FileNotFoundError):  # another process is doing the same
            for staged in [path for path in _staged(home).rglob("*") if path.is_file()]:
                path = home.folder / staged.relative_to(_staged(home))
                os.replace(staged, path)
                sync_folder(path.parent)
    except OSError as error:
        raise storage_error(error, home.folder) from None
    shutil.rmtree(_staged(home), ignore_errors=True)


def _check(home: Home, passphrase: str) -> None:
    from . import wallet  # eth_account takes 0.2 s to import

    paths = _files(home)
    if not paths:
        raise NotInitialised(f"There is no key in {home.folder}.", "Begin with `memsync init`.")
    for path in paths:
        try:
            (wallet.unlock if path == home.wallet else keyfile.unlock)(path, passphrase)
        except WrongPassphrase:
            raise WrongPassphrase(
                f"The passphrase does not open {path}.",
                "Try again. A reader with a passphrase of its own belongs into a home of its own.",
            ) from None


def _files(home: Home) -> list[Path]:
    own = (home.device_key, home.next_key, home.ready_key, home.kit_key, home.wallet)
    return [path for path in (*own, *sorted(home.folder.glob("readers/*/reader.key"))) if path.exists()]


def _from_file(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise PassphraseNotKept(f"Others may read {path}.", f"Allow that to yourself alone: chmod 600 {path}")
        return path.read_bytes().decode()
    except OSError as error:
        raise storage_error(error, path) from None
    except UnicodeDecodeError:
        raise PassphraseNotKept(f"{path} holds no passphrase.", "Connect the tool again.") from None


def _file(home: Home) -> Path:
    return home.folder / "passphrase"


def _marker(home: Home) -> Path:
    return home.folder / "passphrase.kept"


def _staged(home: Home) -> Path:
    return home.folder / "passphrase.changed"


def _user(home: Home) -> str:
    return str(home.folder.resolve())


def _backend() -> KeyringBackend:
    """The keyring to use: of a chain of several the first that is fit. It takes 0.2 s to import, so late."""
    import keyring
    from keyring.backends.chainer import ChainerBackend

    try:
        found = keyring.get_keyring()
        candidates = found.backends if isinstance(found, ChainerBackend) else [found]
        for backend in candidates:
            if backend.priority >= _SAFE:
                return backend
    except Exception:  # a keyring that is named in the environment or a file and can't be loaded
        raise PassphraseNotKept(
            "The keyring that is named for this computer can't be loaded.", "See `keyring --list-backends`."
        ) from None
    raise PassphraseNotKept(
        f"There is no keyring here that is fit for a passphrase: {name_of(found)} keeps nothing, or plain text.",
        "Set up GNOME Keyring, KWallet or the macOS Keychain, or go on typing the passphrase.",
    )


def _refused(backend: KeyringBackend) -> PassphraseNotKept:
    return PassphraseNotKept(f"{name_of(backend)} is locked, or refused.", "Unlock that keyring and try again.")
