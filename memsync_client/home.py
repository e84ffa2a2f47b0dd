"""A home: the folder of one person (or tool) on one computer. It holds sealed keys, sealed state, and ciphertext.

In plain text stand only: the chain, the node, the owner's address and this device's name (config.json), the public
key of the recovery kit (kit.json), and this computer's labels of vaults.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from platformdirs import user_data_path

from . import canonical
from .errors import HomeBusy, HomeDamaged, HomeForeign, HomeNewer, NotInitialised, Tampered, UnknownVault
from .files import clear_temporaries, make_dir, storage_error, write_atomic
from .glance import whose
from .keyring import EpochKeys
from .keys import Anchor, HolderKey
from .memory_log import Frontier
from .reading import Seen
from .sealing import HoldsSecret, Place, seal, unseal

LOCK_SECONDS = 60.0  # that a process waits for another one of the same home
_FORMAT = 1
_PATIENCE, _LOOK = 0.5, 0.05  # seconds until it is said that one waits; between two looks
DEFAULT_MAX_FEE = 200 * 10**9  # wei a gas: far above what chains ask on most days


@dataclass(frozen=True)
class Config:
    """The chain of a home: id, RPC URL (several that are to be compared: separated by spaces), registry and owner as
    checksum addresses, blocks to wait after a transaction, a folder to take blobs from instead of the base URI's (None:
    the base URI's), this device's name, who signs where it is not the wallet's file (``wallet.Account`` as text), what
    a coin is worth (``pricing.Money`` as text; None: not said), the most to pay a gas (wei), and the relayer that pays
    instead (None: the wallet itself)."""

    chain_id: int
    rpc: str
    registry: str
    owner: str
    confirmations: int = 0
    blobs: str | None = None
    device: str = "this device"
    signer: str | None = None
    price: str | None = None
    max_fee: int = DEFAULT_MAX_FEE
    relay: str | None = None
    format: int = _FORMAT


@dataclass(frozen=True)
class KitNote:
    """What a home keeps of the recovery kit, so that new vaults include it: its public key in hex, the day (UTC) on
    which it was made, and whether its words are still to be given out: where that stays so, nobody may have them."""

    key: str
    made: str
    unseen: bool = False
    format: int = _FORMAT


@dataclass(frozen=True)
class NewDevice:
    """What a new device keeps until it has joined: its card's name, the chain, node and registry."""

    name: str
    chain_id: int
    rpc: str
    registry: str
    format: int = _FORMAT


@dataclass(frozen=True)
class Joined:
    """What a reader keeps of its invitation; ``public`` if its grant stands on chain."""

    chain_id: int
    rpc: str
    registry: str
    vault: str
    blobs: str | None
    public: bool
    format: int = _FORMAT


class Home:
    """Paths and files of a home; makes nothing before something is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.device_key = folder / "device.key"
        self.next_key = folder / "device.key.next"
        self.ready_key = folder / "device.key.ready"
        self.kit_key = folder / "kit.key"  # there from the first to the last step of restoring with a kit
        self.wallet = folder / "wallet.json"
        self.sending = folder / "sending"  # there while a transaction is on its way
        self.sending_blob = folder / "sending-blob"  # the same for one that stores a blob on the chain itself
        self.relayed = folder / "relayed"  # there while a relayer has something of ours to send
        self.practice = folder / "practice"
        self.blobs = folder / "blobs"
        self._config = folder / "config.json"
        self._labels = folder / "vaults.json"
        self._kit = folder / "kit.json"
        self._new_device = folder / "device.json"
        self.held = False

    @staticmethod
    def default() -> Path:
        """$MEMSYNC_HOME, else memsync in the user's data folder."""
        named = os.environ.get("MEMSYNC_HOME")
        return Path(named) if named else user_data_path("memsync", appauthor=False)

    def check(self) -> None:
        """Before anything is read or written: raises HomeForeign where the folder is another user's, whose files this
        process would make unreadable for them, and HomeNewer where a newer version has made the home."""
        try:
            owner = self.folder.stat().st_uid
        except OSError:
            return  # none yet, or not to be seen: whoever wants something of it is told
        if owner != os.geteuid():
            raise HomeForeign(
                f"The home {self.folder} belongs to user {_user(owner)}, and this process runs as"
                f" {_user(os.geteuid())}.",
                "Run it as that user, or name a home of your own: --home FOLDER",
            )
        if self.initialised:
            with suppress(HomeDamaged):  # whoever needs it is told
                self.config()

    @property
    def key_files(self) -> tuple[Path, ...]:
        """Where the keys of this device, and of a kit that it is being restored with, may stand."""
        return (self.device_key, self.next_key, self.ready_key, self.kit_key)

    @property
    def initialised(self) -> bool:
        """Whether `init` or `restore` has finished here."""
        return self._config.exists()

    def config(self) -> Config:
        """Raises NotInitialised or HomeDamaged."""
        if not self.initialised:
            begun = self.new_device()
            if begun:
                step = "Give it the sheet that `memsync device add` prints on the other: memsync device join SHEET"
                raise NotInitialised(f"The new device {begun.name!r} has no vault yet.", step)
            raise NotInitialised(f"There is no MemSync home in {self.folder}.", "Begin with `memsync init`.")
        return Config(**_read_json(self._config, Config))

    def write_config(self, config: Config) -> None:
        """Ends `init`: from now on the home counts as initialised."""
        make_dir(self.folder)
        write_atomic(self._config, _json(asdict(config)))

    def kit(self) -> KitNote | None:
        """The recovery kit as far as this home knows; None if there is none. Raises HomeDamaged."""
        return KitNote(**_read_json(self._kit, KitNote)) if self._kit.exists() else None

    def write_kit(self, note: KitNote | None) -> None:
        """Keeps the kit's public key, or forgets it."""
        if note is None:
            self._kit.unlink(missing_ok=True)
        else:
            make_dir(self.folder)
            write_atomic(self._kit, _json(asdict(note)))

    def kit_seen(self) -> None:
        """The words of the kit were given out, or somebody has shown that they have them."""
        if (note := self.kit()) and note.unseen:
            self.write_kit(replace(note, unseen=False))

    def new_device(self) -> NewDevice | None:
        """What `device new` has left for `device join`; None if there is nothing."""
        return NewDevice(**_read_json(self._new_device, NewDevice)) if self._new_device.exists() else None

    def write_new_device(self, device: NewDevice) -> None:
        """Keeps it."""
        write_atomic(self._new_device, _json(asdict(device)))

    def abandon(self) -> None:
        """Takes back an unfinished `restore` or `join`, so that it can be run again from its beginning."""
        self._labels.unlink(missing_ok=True)
        self._config.unlink(missing_ok=True)

    def labels(self) -> dict[str, bytes]:
        """This computer's names of vaults, with the vault ids (32 bytes)."""
        if not self._labels.exists():
            return {}
        try:
            value = json.loads(self._labels.read_bytes())
            labels = {str(label): bytes.fromhex(vault_id) for label, vault_id in value.items()}
            if any(len(vault_id) != 32 for vault_id in labels.values()):
                raise ValueError
            return labels
        except OSError as error:
            raise storage_error(error, self._labels) from None
        except (ValueError, AttributeError, TypeError, RecursionError):
            raise HomeDamaged(
                f"{self._labels} can't be read.", "Bring it back from a copy, or remove it and run `memsync sync`."
            ) from None

    def label(self, label: str, vault_id: bytes | None) -> None:
        """Keeps a name for a vault; None lets go of the name."""
        named = {**self.labels(), label: vault_id}
        write_atomic(self._labels, _json({name: found.hex() for name, found in named.items() if found}))

    def resolve(self, label: str | None) -> tuple[str, bytes]:
        """The vault of that name, or the only one where no name is given: those that are closed, or another's by now,
        count where all are. Raises UnknownVault."""
        labels = self.labels()
        if label is None:
            living = {name: found for name, found in labels.items() if whose(self.vault_folder(found)) is None}
            meant = living or labels
            if len(meant) == 1:
                return next(iter(meant.items()))
            if not labels:
                raise UnknownVault("There is no vault yet.", "Make one with `memsync vault new NAME`.")
            kind = "vaults" if living else "vaults, all of them closed or another's"
            raise UnknownVault(f"There are {len(meant)} {kind}: {', '.join(sorted(meant))}.", "Name one with --vault.")
        if label not in labels:
            known = f"Known here: {', '.join(sorted(labels))}." if labels else "There is none yet."
            raise UnknownVault(f"There is no vault {label!r} here. {known}", "Make it with `memsync vault new NAME`.")
        return label, labels[label]

    def vault_folder(self, vault_id: bytes) -> Path:
        """Where sealed state, outbox and local copies of a vault stand."""
        return self.folder / "vaults" / vault_id.hex()

    def vault_ids(self) -> list[bytes]:
        """The vaults that have a folder here."""
        folder = self.folder / "vaults"
        names = os.listdir(folder) if folder.is_dir() else []
        return [bytes.fromhex(name) for name in sorted(names) if re.fullmatch("[0-9a-f]{64}", name)]

    def clear_temporaries(self) -> None:
        """Removes what killed processes have left half-written. Under the home's lock."""
        for folder in (self.folder, *map(self.vault_folder, self.vault_ids())):
            clear_temporaries(folder)
            clear_temporaries(folder / "outbox")

    def reader_folder(self, name: str) -> Path:
        """Where a reader's key, invitation and sealed state stand."""
        return self.folder / "readers" / name

    def readers(self) -> list[str]:
        """Names of the readers made in this home."""
        folder = self.folder / "readers"
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []

    @contextmanager
    def lock(self, wait: float = LOCK_SECONDS, say: Callable[[str], None] = lambda _: None) -> Iterator[None]:
        """Held while a process of this home writes to a vault; ``held`` says so.

        Another process that holds it is waited for, which ``say`` is told. Raises HomeBusy after ``wait`` seconds, and
        at once where it is this process.
        """
        make_dir(self.folder)
        path = self.folder / "lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise storage_error(error, path) from None
        try:
            self._take(descriptor, 0 if self.held else wait, say)
            self.held = True
            try:
                yield
            finally:
                self.held = False
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int, wait: float, say: Callable[[str], None]) -> None:
        begun, said = time.monotonic(), False
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            passed = time.monotonic() - begun
            if passed >= wait:
                longer = f" and has been for {wait:g} s" if wait else ""
                raise HomeBusy(
                    f"Another memsync process is writing here{longer}.", "Wait until it has ended, then try again."
                )
            if not said and passed >= _PATIENCE:
                said = True
                say("another memsync process is writing here; waiting for it")
            time.sleep(_LOOK * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret


def write_joined(folder: Path, joined: Joined) -> None:
    """Keeps a reader's invitation."""
    write_atomic(folder / "joined.json", _json(asdict(joined)))


def read_joined(folder: Path) -> Joined:
    """Raises NotInitialised where the reader has not joined yet, or HomeDamaged."""
    path = folder / "joined.json"
    if not path.exists():
        raise NotInitialised(
            f"The reader {folder.name!r} has not joined a vault yet.",
            "Give the card to the owner, then `memsync reader join`.",
        )
    return Joined(**_read_json(path, Joined))


class SealedFile(HoldsSecret):
    """A small file of a holder's own, sealed under its state key and bound to a vault."""

    def __init__(self, path: Path, key: HolderKey, place: Place) -> None:
        self._path = path
        self._key = key.state_key
        self._context = place.context(path.name, 0)

    def write(self, value: dict[str, Any], *, durable: bool = True) -> None:
        """Replaces the file, ``durable`` unless its value can be made again."""
        make_dir(self._path.parent)
        data = seal(self._key, self._context, canonical.encode(value))
        write_atomic(self._path, data, sync=durable, flush=durable)

    def read(self, shape: dict[str, Any]) -> dict[str, Any] | None:
        """The value, None if there is no file. Raises HomeDamaged."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise storage_error(error, self._path) from None
        try:
            body = unseal(self._key, self._context, data, "file")
            return canonical.fields(canonical.decode(body), shape, "file")
        except Tampered:
            raise self.damaged() from None

    def take_over(self, old: HolderKey) -> None:
        """Seals anew, to this file's key, what was sealed to ``old``. Raises HomeDamaged if neither opens it."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise storage_error(error, self._path) from None
        for key in (self._key, old.state_key):
            with suppress(Tampered):
                body = unseal(key, self._context, data, "file")
                if key != self._key:
                    write_atomic(self._path, seal(self._key, self._context, body))
                return
        raise self.damaged()

    def damaged(self) -> HomeDamaged:
        """What to raise where the value is not one that was written here."""
        return HomeDamaged(f"{self._path} can't be read.", "Remove it to start from the chain's state.")

    def remove(self) -> None:
        """Removes the file; none is no error."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, self._path) from None


_SEEN = {
    "version": int,
    "head_version": int,
    "content_hash": bytes,
    "block": int,
    "epoch": int,
    "secret": bytes,
    "writer": bytes,
    "size": int,
    "peaks": list,
    "before": list,
}


def write_seen(file: SealedFile, seen: Seen) -> None:
    """Keeps the last final state."""
    keys = seen.keys
    file.write(
        {
            "version": seen.version,
            "head_version": seen.head_version,
            "content_hash": seen.content_hash,
            "block": seen.block,
            "epoch": keys.epoch,
            "secret": keys.secret,
            "writer": keys.writer_public,
            "size": seen.log.size,
            "peaks": list(seen.log.peaks),
            "before": [[anchor.epoch, anchor.writer_public, anchor.check] for anchor in seen.before],
        }
    )


def read_seen(file: SealedFile) -> Seen | None:
    """The last final state; None before the first."""
    value = file.read(_SEEN)
    if value is None:
        return None
    keys = EpochKeys(value["epoch"], value["secret"], value["writer"])
    if any(type(peak) is not bytes for peak in value["peaks"]):
        raise file.damaged()
    if any(type(item) is not list or [type(part) for part in item] != [int, bytes, bytes] for item in value["before"]):
        raise file.damaged()
    try:
        log = Frontier(value["size"], tuple(value["peaks"]))
    except Tampered:
        raise file.damaged() from None
    before = tuple(Anchor(*item) for item in value["before"])
    return Seen(value["version"], value["head_version"], value["content_hash"], value["block"], keys, log, before)


ANCHOR = "anchor"  # in the folder of a vault
_ANCHOR = {"epoch": int, "writer": bytes, "check": bytes}


def write_anchor(file: SealedFile, anchor: Anchor | None) -> None:
    """Keeps what a vault must follow from, until the first state of it is kept; None where nobody has said."""
    if anchor is None:
        file.remove()
    else:
        file.write({"epoch": anchor.epoch, "writer": anchor.writer_public, "check": anchor.check})


def read_anchor(file: SealedFile) -> Anchor | None:
    """What a vault must follow from; None where nobody has said."""
    value = file.read(_ANCHOR)
    return Anchor(value["epoch"], value["writer"], value["check"]) if value else None


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def _read_json(path: Path, shape: Any) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
        types = get_type_hints(shape)
        if type(value) is not dict:
            raise ValueError
        _check_format(path, value.get("format"))
        value = {field.name: field.default for field in fields(shape) if field.default is not MISSING} | value
        if value.keys() != types.keys():
            raise ValueError
        if any(type(value[name]) not in (get_args(types[name]) or (types[name],)) for name in types):
            raise ValueError
    except OSError as error:
        raise storage_error(error, path) from None
    except (ValueError, RecursionError):
        raise HomeDamaged(f"{path} can't be read.", "Bring it back from a copy.") from None
    return value


def _user(number: int) -> str:
    """A user of this computer, by name where it has one."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _check_format(path: Path, found: object) -> None:
    if type(found) is int and found > _FORMAT:
        raise HomeNewer(
            f"{path} is of format {found}, and this version of MemSync knows formats up to {_FORMAT}.",
            "Update MemSync: pip install --upgrade memsync-client. Nothing was written.",
        )
    if type(found) is not int or found != _FORMAT:
        raise ValueError
