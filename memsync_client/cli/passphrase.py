"""The passphrase of this home: kept in the operating system's keyring, and changed."""

from __future__ import annotations

import click

from .. import passphrases
from ..errors import PassphraseNotKept
from .app import App, Verbs, ask_secret, counted, printing

_NEW_FD = "--new-passphrase-fd"


@click.group(cls=Verbs, short_help="Keep the passphrase in the system's keyring, or change it.")
def passphrase() -> None:
    """Keep the passphrase in the operating system's keyring, or change it.

    \b
    memsync passphrase keep
    memsync passphrase change
    """


@passphrase.command("keep", short_help="Put the passphrase into the system's keyring.")
@printing
def keep(app: App) -> None:
    """Put the passphrase into the operating system's keyring, so that it is not asked for.

    The key files stay sealed under it. While that keyring is unlocked, programs that you run can ask it, too.

    \b
    memsync passphrase keep
    """
    typed = ask_secret("Passphrase", app.passphrase_fd, "--passphrase-fd")
    where = passphrases.keep(app.home, typed)
    app.result({"kept": True, "keyring": where}, f"Kept in {where}. Take it out: memsync passphrase forget")


@passphrase.command("forget")
@printing
def forget(app: App) -> None:
    """Take the passphrase out of the operating system's keyring.

    \b
    memsync passphrase forget
    """
    was = passphrases.forget(app.home)
    app.result({"was_kept": was}, "It will be asked for." if was else "It was not kept.")


@passphrase.command("status", short_help="Say whether the passphrase is kept, and where.")
@printing
def status(app: App) -> None:
    """Say whether the passphrase is kept, and which keyring would keep it.

    \b
    memsync passphrase status
    """
    kept, trouble, keyring = passphrases.is_kept(app.home), None, None
    try:
        keyring = passphrases.keyring_name()
    except PassphraseNotKept as error:
        trouble = error.cause
    app.result(
        {"kept": kept, "keyring": keyring, "trouble": trouble},
        "The passphrase is kept." if kept else "The passphrase is asked for.",
        f"Keyring: {keyring}" if keyring else str(trouble),
    )


@passphrase.command("change", short_help="Seal all keys and the wallet under another passphrase.")
@click.option(_NEW_FD, "new_fd", type=int, metavar="N", help="Read the new passphrase from this file descriptor.")
@printing
def change(app: App, new_fd: int | None) -> None:
    """Seal every key of this home, and its wallet, under another passphrase.

    Copies that were made before, and the recovery kit, still open as they did. Killed in between, the next command ends
    it.

    \b
    memsync passphrase change
    """
    old = app.passphrase()
    files = passphrases.change(app.home, old, ask_secret("New passphrase", new_fd, _NEW_FD, confirm=True))
    app.result(
        {"files": [str(path) for path in files], "kept": passphrases.is_kept(app.home)},
        f"The new passphrase opens {counted(len(files), 'file', 'files')}. Copies made before open with the old one.",
    )
