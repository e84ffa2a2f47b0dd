"""What is so from the first moment of a process: fit cryptography, and no core file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memsync_client.errors import UnsupportedCryptography

# A build of `cryptography` against an OpenSSL older than 3.5: its modules are there, and what they promise is not.
WITHOUT_ML_KEM = """
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem

class Lacking:
    def __getattr__(self, name):
        raise UnsupportedAlgorithm("ML-KEM is not supported by this version of OpenSSL")

mlkem.MLKEM768PrivateKey = mlkem.MLKEM768PublicKey = Lacking()
"""
WITHOUT_X_WING = """
from cryptography.hazmat.primitives import hpke

class Lacking:
    X25519 = hpke.KEM.X25519

hpke.KEM = Lacking
"""
SUITE_REFUSED = """
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke

def refuse(*_):
    raise UnsupportedAlgorithm("this suite is not supported")

hpke.Suite = refuse
"""
ALL_COMMANDS = """
import json, sys
import click
from memsync_client.cli import main
from memsync_client.cli.app import root

def leaves(group):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from ([name, *words] for words in leaves(command))
        else:
            yield [name]

codes = {}
for words in [[], *leaves(root)]:
    sys.argv = ["memsync", "--home", sys.argv[2], *words] if words else ["memsync", "--home", sys.argv[2]]
    try:
        main()
    except SystemExit as ended:
        codes[" ".join(words)] = ended.code
print(json.dumps(codes))
"""
LIBRARY = """
from datetime import timedelta
from pathlib import Path
import sys
from memsync_client import cards, client, devices, home, reader, recovery
from memsync_client.errors import UnsupportedCryptography

empty = home.Home(Path(sys.argv[2]))
entries = {
    "init": lambda: client.init(empty, "x", kit=None),
    "restore": lambda: client.restore(empty, "x", Path("k"), "0x" + "11" * 20),
    "Client": lambda: client.Client(empty, "x"),
    "new_reader": lambda: reader.new_reader(empty, "claude", "x"),
    "Reader": lambda: reader.Reader(empty, "claude", "x"),
    "card_of": lambda: reader.card_of(empty, "claude", "x"),
    "new_device": lambda: devices.new_device(empty, "x", "laptop"),
    "restore_with_kit": lambda: recovery.restore_with_kit(empty, "x", None, None),
}
for name, entry in entries.items():
    try:
        entry()
        print(name, "went on")
    except UnsupportedCryptography as error:
        print(name, "refused:", error.cause)
    except Exception as error:
        print(name, "went on to", repr(error))
"""


def run(program: str, folder: Path, build: str = "") -> subprocess.CompletedProcess[str]:
    """A Python program whose `cryptography` is another one."""
    (folder / "sitecustomize.py").write_text(build)
    return subprocess.run(
        [sys.executable, "-c", program, "--home", str(folder / "home")],
        env=os.environ | {"PYTHONPATH": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


BUILDS = pytest.mark.parametrize(
    "build", [WITHOUT_ML_KEM, WITHOUT_X_WING, SUITE_REFUSED], ids=["kem", "x-wing", "hpke"]
)


@BUILDS
def test_command__without_ml_kem__every_one_is_refused_with_the_reason(tmp_path: Path, build: str) -> None:
    done = run(ALL_COMMANDS, tmp_path, build)
    codes = json.loads(done.stdout)
    assert len(codes) > 30
    assert set(codes.values()) == {UnsupportedCryptography.exit_code}, codes
    said = set(done.stderr.splitlines())
    assert len(said) == 2
    assert any("lacks a primitive" in line for line in said)
    assert any("official wheels" in line for line in said)
    assert not (tmp_path / "home").exists()


@BUILDS
def test_library__without_ml_kem__every_entry_is_refused(tmp_path: Path, build: str) -> None:
    done = run(LIBRARY, tmp_path, build)
    lines = done.stdout.splitlines()
    assert len(lines) == 8, done.stderr
    assert [line for line in lines if "refused: This build of the cryptography package lacks" not in line] == []
    assert not (tmp_path / "home").exists()


def test_command__on_this_build__goes_on(tmp_path: Path) -> None:
    done = run("import sys; from memsync_client.cli import main; sys.argv[0] = 'memsync'; main()", tmp_path)
    assert (done.returncode, "No MemSync home" in done.stdout) == (0, True)


STATE = """
import ctypes, resource, sys
from memsync_client.cli import main
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
sys.argv = ["memsync", "--version"]
try:
    main()
except SystemExit:
    print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3))  # PR_GET_DUMPABLE
"""


def test_command__leaves_no_core_file_and_is_not_dumpable(tmp_path: Path) -> None:
    done = run(STATE, tmp_path)
    assert done.returncode == 0, done.stderr
    expected = "(0, 0) 0" if sys.platform == "linux" else "(0, 0)"
    assert done.stdout.splitlines()[-1].startswith(expected), done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_command__running__has_a_limit_of_no_bytes_for_cores() -> None:
    memsync = Path(sys.executable).with_name("memsync")
    with subprocess.Popen(
        [memsync, "remember", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        try:
            limits = ""
            while process.poll() is None and "Max core file size        0                    0" not in limits:
                limits = Path(f"/proc/{process.pid}/limits").read_text()
            assert process.poll() is None
        finally:
            process.kill()
