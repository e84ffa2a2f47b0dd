"""The command ``memsync``: a thin face of the library. Nothing here knows keys, blobs or the chain."""

from __future__ import annotations

import sys

import click

from ..errors import MemSyncError
from . import owner, reader
from .app import App, report_error, root

root.add_command(owner.node)
root.add_command(owner.init)
root.add_command(owner.vault)
root.add_command(owner.remember)
root.add_command(owner.edit)
root.add_command(owner.import_file)
root.add_command(reader.list_memories)
root.add_command(reader.recall)
root.add_command(owner.sync)
root.add_command(owner.grant)
root.add_command(owner.grants)
root.add_command(owner.revoke)
root.add_command(reader.verify)
root.add_command(owner.restore)
root.add_command(reader.reader)


def main() -> None:
    """Runs the command and ends the process: 0, 2 for wrong usage, 130 when interrupted, else the error's exit code."""
    app = App()
    try:
        root.main(obj=app, standalone_mode=False)
    except MemSyncError as error:
        report_error(app, error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; nothing is lost", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
