"""Disks that take no writes, for one command each. Linux only, as root or where user namespaces are allowed.

Mounts are made in a namespace of the command's own, so that they end with it; and root, who may write to any folder
whatever its mode, is refused there too. Where that is not possible the tests are skipped; under CI they fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.machines import Done, Machine

_READ_ONLY = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
shift
exec "$@"
"""

# What is in $1 moves to a disk of its own that has $3 pages of 4 KiB left, and comes back through $2.
_FULL = """
set -e
folder="$1" aside="$2" pages="$3"
shift 3
cp -a "$folder" "$aside"
mount -t tmpfs -o size=16m none "$folder"
cp -a "$aside/." "$folder"
rm -r "$aside"
dd if=/dev/zero of="$folder/.filler" bs=4096 2>/dev/null || true
truncate -s "-$((4096 * pages))" "$folder/.filler"
code=0
"$@" || code=$?
rm "$folder/.filler"
cp -a "$folder" "$aside"
exit "$code"
"""


def run_read_only(machine: Machine, folder: Path, *words: str, **options: Any) -> Done:
    """Run a command to which ``folder`` is on a disk that takes no writes."""
    return machine.run(*words, under=(*_namespace(), _READ_ONLY, "sh", folder), **options)


def run_full(machine: Machine, folder: Path, pages: int, *words: str, **options: Any) -> Done:
    """Run a command to which ``folder`` is on a disk with room for so many pages of 4 KiB; what it wrote stays."""
    aside = folder.with_name(folder.name + " aside")
    done = machine.run(*words, under=(*_namespace(), _FULL, "sh", folder, aside, str(pages)), **options)
    shutil.rmtree(folder)
    aside.rename(folder)
    return done


def _namespace() -> tuple[str, ...]:
    words = ("unshare", *(() if os.geteuid() == 0 else ("--map-root-user",)), "--mount")
    if not shutil.which("unshare") or subprocess.run([*words, "true"], check=False).returncode:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("this needs mount namespaces: run it as root, or allow user namespaces")
    return (*words, "sh", "-c")
