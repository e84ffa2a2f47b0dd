"""The command ``memsync``: a thin face of the library. Nothing here knows keys, blobs or the chain."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import click

from ..core_dumps import forbid_core_dumps
from ..errors import MemSyncError
from ..files import storage_error
from . import (
    completing,
    config,
    connect,
    device,
    exchange,
    going_on,
    hosts,
    inbox,
    keeping,
    kit,
    log,
    mcp,
    owner,
    ownership,
    passphrase,
    reader,
    relay,
    rpc,
    setup,
    syncing,
)
from .app import App, report, report_error, root

owner.vault.add_command(going_on.go_on)
for verb in (
    ownership.vault_offer,
    ownership.vault_cancel_offer,
    ownership.vault_accept,
    ownership.vault_close,
    ownership.vault_let_go,
):
    owner.vault.add_command(verb)
owner.vault.add_command(ownership.recovery)
device.device.add_command(keeping.rekey)
device.device.add_command(ownership.device_card)

root.add_section("Begin", owner.node, setup.init, owner.vault, completing.completion)
root.add_section(
    "Memories",
    owner.remember,
    exchange.import_file,
    syncing.sync,
    reader.recall,
    reader.list_memories,
    owner.edit,
    keeping.forget,
    exchange.export,
)
root.add_section("Programs on this computer", connect.connect, connect.disconnect, inbox.inbox, mcp.mcp)
root.add_section("Lend and take back", reader.reader, owner.grant, owner.grants, owner.revoke)
root.add_section("Keys and machines", device.device, kit.kit, setup.restore, passphrase.passphrase, keeping.rotate)
root.add_section(
    "Chain and hosts", log.log, reader.verify, rpc.rpc, config.config, relay.relay, hosts.host, hosts.repair
)


def main() -> None:
    """Runs the command and ends the process: 0, 2 for wrong usage, 130 when interrupted, else the error's exit code.

    What nobody foresaw is told in a line too, with exit code 1; its traceback with MEMSYNC_DEBUG=1 in the environment.
    """
    forbid_core_dumps()
    try:
        _end(_run(App()))
    except OSError:  # nobody takes what there is to say
        _end(1)


def _run(app: App) -> int:
    try:
        root.main(obj=app, prog_name="memsync", standalone_mode=False)
    except MemSyncError as error:
        report_error(app, error)
        return error.exit_code
    except click.ClickException as error:
        _report_usage(app, error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as ended:
        said = str(ended) or "interrupted; nothing is lost"
        if app.json:
            report(app, "Interrupted", 130, said, "Run it again.")
        else:
            click.echo(said, err=True)
        return 130
    except Exception as error:
        if os.environ.get("MEMSYNC_DEBUG") == "1":
            traceback.print_exc()
        if isinstance(error, OSError):
            known = storage_error(error, Path(str(error.filename or "an open file")))
            report_error(app, known)
            return known.exit_code
        said = f"internal error ({type(error).__name__})"
        report_error(app, MemSyncError(said, "MEMSYNC_DEBUG=1 in the environment shows where."), "InternalError")
        return 1
    return 0


def _report_usage(app: App, error: click.ClickException) -> None:
    words = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    app.json = app.json or "--json" in words  # a wrong word before it may have ended the reading of the rest
    if not app.json:
        error.show()
        return
    path = "memsync"
    if isinstance(error, click.UsageError) and error.ctx:
        app.command = error.ctx.command_path.partition(" ")[2]
        path = f"{path} {app.command}".rstrip()
    report(app, "Usage", error.exit_code, error.format_message(), f"See `{path} --help`.")


def _end(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:  # a full disk, or a pipe that nobody reads any more: Python would try again and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
