"""In from where memories are, and out to wherever they shall go."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from ..errors import InvalidRequest
from ..export_files import check_file, check_folder, write_file, write_folder
from ..import_files import opened
from ..interchange import formats, markdown
from .app import App, counted, printing, progress_bar
from .completing import files, vault_option

_PLAIN = "It is plaintext: whoever gets it reads it. Delete it when it is where it should be."


@click.command("import", short_help="Take in a file, a folder, a zip, or - for standard input.")
@click.argument("file", metavar="FILE", shell_complete=files)
@vault_option
@click.option("--format", "format", type=click.Choice(sorted(formats.READERS)), help="Not needed where the file tells.")
@click.option("--dry-run", is_flag=True, help="Read and count; write nothing.")
@printing
def import_file(app: App, file: str, name: str | None, format: str | None, dry_run: bool) -> None:
    """Take in FILE: a file, a folder, a zip as it came, or - for standard input. All of it, or nothing.

    An export of ChatGPT or Claude, pasted lines `[date] - text`, Markdown notes, the memory file of MCP's reference
    server, mem0, PAM, OMI, or JSON Lines of our own. The same twice adds nothing: killed in between,
    import it again.

    \b
    memsync import chatgpt-export.zip --dry-run
    memsync import ~/notes --format markdown
    """
    target = app.client().vault(name)
    with progress_bar(app, "reading") as step, opened(file, step) as files:
        found, report = formats.read(files, format)
    if not dry_run:
        target.import_drafts(report.drafts)
    data = {
        "format": found,
        "memories": len(report.drafts),
        "kinds": report.kinds,
        "conversations": report.conversations,
        "left_out": dict(report.skipped),
        "dry_run": dry_run,
        "waiting": target.waiting(),
    }
    memories = counted(len(report.drafts), "memory", "memories")
    talks = f" from {counted(report.conversations, 'conversation', 'conversations')}" if report.conversations else ""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in report.kinds.items())
    left_out = ", ".join(f"{count:,} {what}" for what, count in sorted(report.skipped.items()))
    app.result(
        data,
        f"{found}: {memories}{talks}.",
        *([f"By type: {kinds}."] if kinds else []),
        *([f"Left out: {left_out}."] if left_out else []),
        "Nothing written."
        if dry_run
        else f"{target.waiting():,} waiting on this computer. Next: memsync sync   (leaves out what is there already)",
    )


@click.command("export", short_help="Write all living memories for other tools to read.")
@vault_option
@click.option("--format", "format", type=click.Choice([*formats.WRITERS, "markdown"]), required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file, or for markdown a folder.")
@click.option("--force", is_flag=True, help="Write over what is there.")
@printing
def export(app: App, name: str | None, format: str, output: Path | None, force: bool) -> None:
    """Write all living memories in a format that other tools read, to standard output where no -o is given.

    jsonl loses nothing. pam, omi and markdown (Open Knowledge Format) are read by others, and hold for `memsync import`
    all that jsonl does. paste is for the import pages of Claude and Gemini: text and date alone.

    \b
    memsync export --format jsonl -o novel.jsonl
    memsync export --format markdown -o novel/
    """
    if output is None and (app.json or format == "markdown"):
        raise InvalidRequest("This export needs a place.", "Name it with -o.")
    if output is not None:  # before a passphrase is asked, and all is read
        (check_folder if format == "markdown" else check_file)(output, force)
    target = app.client().vault(name)
    with progress_bar(app, "reading") as step:
        memories = target.memories(step)
    if output is None:
        for chunk in formats.WRITERS[format](memories, datetime.now(UTC)):
            sys.stdout.buffer.write(chunk)
        app.say(f"{counted(len(memories), 'memory', 'memories')}. {_PLAIN}")
        return
    if format == "markdown":
        write_folder(output, markdown.write(memories), force=force)
    else:
        write_file(output, formats.WRITERS[format](memories, datetime.now(UTC)), force=force)
    app.result(
        {"format": format, "memories": len(memories), "output": str(output)},
        f"{counted(len(memories), 'memory', 'memories')} in {output}. {_PLAIN}",
    )
