"""Completion of words in a shell: names of vaults, readers and devices, from the home alone. It asks neither node nor
passphrase, and says nothing where something is wrong: a Tab is no moment for an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from ..errors import MemSyncError
from ..glance import Glance, read_glance
from ..home import Home
from .app import App, printing, root

_SHELLS = ("bash", "zsh", "fish")
_WHERE = {
    "bash": 'eval "$(memsync completion bash)"   in ~/.bashrc',
    "zsh": 'eval "$(memsync completion zsh)"   in ~/.zshrc, after compinit',
    "fish": "memsync completion fish | source   in ~/.config/fish/config.fish",
}
_Names = Callable[[Home, click.Context], Iterable[str]]
_Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command(short_help="Complete the words of this command with Tab.")
@click.argument("shell", type=click.Choice(_SHELLS))
@printing
def completion(app: App, shell: str) -> None:
    """Print what lets SHELL complete the words of this command with Tab: verbs, options, vaults, readers.

    It reads this computer's own labels and asks for no passphrase. Names of private readers are not among them.

    \b
    eval "$(memsync completion bash)"        (in ~/.bashrc)
    eval "$(memsync completion zsh)"         (in ~/.zshrc, after compinit)
    memsync completion fish | source         (in ~/.config/fish/config.fish)
    """
    shown = get_completion_class(shell)
    if shown is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    script = shown.source_template % shown(root, {}, "memsync", "_MEMSYNC_COMPLETE").source_vars()
    app.result({"shell": shell, "script": script, "where": _WHERE[shell]}, script)


def _completer(names: _Names) -> _Completer:
    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with suppress(MemSyncError, OSError, ValueError):
            given: Path | None = context.find_root().params.get("home")
            found = names(Home(given or Home.default()), context)
            return [CompletionItem(name) for name in sorted(set(found)) if name.startswith(incomplete)]
        return []

    return complete


def _glances(home: Home, context: click.Context) -> Iterable[Glance]:
    """Of the vault that the words name so far, or of all."""
    labels, named = home.labels(), context.params.get("name")
    for label, vault_id in labels.items():
        glance = read_glance(home.vault_folder(vault_id))
        if glance and named in (None, label):
            yield glance


def _lent(home: Home, context: click.Context) -> Iterable[str]:
    return [glance.names.get(address, address) for glance in _glances(home, context) for address in glance.readers]


def _machines(home: Home, context: click.Context) -> Iterable[str]:
    accounts = [
        name
        for glance in _glances(home, context)
        for address, name in glance.names.items()
        if address not in glance.readers
    ]
    return [home.config().device, *accounts]


vault_names = _completer(lambda home, _: home.labels())
"""Labels of the home's vaults."""
reader_names = _completer(lambda home, _: home.readers())
"""Readers made in this home."""
lent_names = _completer(_lent)
"""Public readers whom a vault was lent to."""
device_names = _completer(_machines)
"""This device, and others with an account."""
durations = _completer(lambda *_: ("30d", "90d", "365d", "12w", "24h"))
"""Some lengths of time."""


def files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Paths, where a text may be given as well."""
    return [CompletionItem(incomplete, type="file")]


vault_option = click.option(
    "--vault",
    "name",
    metavar="NAME",
    shell_complete=vault_names,
    help="Which vault (not needed where one alone is open).",
)
