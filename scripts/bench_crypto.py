"""What sealing, envelopes, keyrings and rotations cost, each against a baseline in the same run: ``make bench``.

Times are the best of several runs; only the ratios mean something on another machine.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import chain, count
from pathlib import Path

import pyrage
from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memsync_client.files import sync_folder, write_atomic
from memsync_client.heads import FIRST, HeadRef, PackRef, seal_head
from memsync_client.interchange import jsonl
from memsync_client.keyring import Holder, OwnerKeys, Role, Roster, new_import_key, open_keyring, seal_keyring
from memsync_client.keys import HolderKey, PublicKey
from memsync_client.pack_notes import PackNotes
from memsync_client.packs import entries, seal_pack, split
from memsync_client.reading import NO_NOTES, Notes, View, read_items
from memsync_client.records import Block, VaultRecord
from memsync_client.rewriting import resealed
from memsync_client.sealing import Place, seal, seal_raw, sealed_size, sha256, sign, unseal, verify
from memsync_client.storage.blobs import Blobs
from memsync_client.storage.file import FileStorage

PLACE = Place(31_337, os.urandom(20), os.urandom(32))
SIZES = (("1 KB", 1_000, 300), ("100 KB", 100_000, 100), ("10 MB", 10_000_000, 5))
SAMPLE = Path(__file__).with_name("sample.jsonl")
MEMORIES = 10_000
ENVELOPE_PLAIN = 128

_Kind = type[Cobblestone256Encryptor] | type[Cobblestone256Decryptor]


def main() -> None:
    """Prints all tables."""
    objects()
    envelopes()
    keyrings()
    rotations()


def objects() -> None:
    """Seal and open, against AES-256-GCM alone and against age for one X25519 recipient."""
    print("One object         AES-256-GCM     Cobblestone-256      padded, hashed, signed         age   the two to age")
    key, nonce, context = os.urandom(32), os.urandom(12), PLACE.context("pack", 1)
    gcm, writer, identity = AESGCM(key), Ed25519PrivateKey.generate(), pyrage.x25519.Identity.generate()
    recipients, public = [identity.to_public()], writer.public_key().public_bytes_raw()
    for name, size, rounds in SIZES:
        body, buffer = os.urandom(size), bytearray(sealed_size(size))
        sealed, alone, aged = (
            gcm.encrypt(nonce, body, context),
            seal_raw(key, context, body),
            pyrage.encrypt(body, recipients),
        )
        whole, signature = seal(key, context, body), sign(writer, context, body)

        def seal_all(body: bytes = body) -> None:
            sign(writer, context, body)
            sha256(seal(key, context, body))

        def open_all(whole: bytes = whole, signature: bytes = signature) -> None:
            sha256(whole)
            verify(public, context, unseal(key, context, whole, "pack"), signature, "pack")

        row(
            f"seal {name}",
            best(partial(gcm.encrypt, nonce, body, context), rounds),
            best(partial(stream, Cobblestone256Encryptor, key, context, body, buffer), rounds),
            best(seal_all, rounds),
            best(partial(pyrage.encrypt, body, recipients), rounds),
        )
        row(
            f"open {name}",
            best(partial(gcm.decrypt, nonce, sealed, context), rounds),
            best(partial(stream, Cobblestone256Decryptor, key, context, alone, buffer), rounds),
            best(open_all, rounds),
            best(partial(pyrage.decrypt, aged, [identity]), rounds),
        )


def stream(kind: _Kind, key: bytes, context: bytes, data: bytes, buffer: bytearray) -> None:
    """The sealing or opening alone, into a buffer that is there already."""
    cipher = kind(key, context)
    written = cipher.update_into(data, buffer)
    rest = cipher.finalize()
    buffer[written : written + len(rest)] = rest


def row(name: str, base: float, alone: float, whole: float, age: float) -> None:
    """A line of the first table."""
    ours = f"{us(alone)} {alone / base:>5.1f}x {us(whole)} {whole / base:>5.1f}x"
    print(f"  {name:<12} {us(base)} {ours} {us(age)} {alone / age:>6.2f}x {whole / age:>6.2f}x")


def envelopes() -> None:
    """An envelope, against age for the same bytes."""
    holder, identity, info, plain = (
        HolderKey(os.urandom(32)).xwing,
        pyrage.x25519.Identity.generate(),
        b"",
        os.urandom(128),
    )
    envelope, aged = holder.public.enclose(info, plain), pyrage.encrypt(plain, [identity.to_public()])
    make, open_ = (
        best(partial(holder.public.enclose, info, plain), 200),
        best(partial(holder.open, info, envelope), 200),
    )
    age_make = best(partial(pyrage.encrypt, plain, [identity.to_public()]), 200)
    age_open = best(partial(pyrage.decrypt, aged, [identity]), 200)
    print(f"\nOne envelope of {ENVELOPE_PLAIN} bytes       X-Wing            age (X25519, not post-quantum)")
    print(f"  make           {us(make)} {us(age_make):>16}    {make / age_make:>8.2f}x")
    print(f"  open           {us(open_)} {us(age_open):>16}    {open_ / age_open:>8.2f}x")


def keyrings() -> None:
    """A whole keyring, opened by a holder of it, against opening so many envelopes and nothing else."""
    print("\nOne keyring                            make         open        its envelopes alone")
    for holders in (8, 64):
        keys, device, slots = OwnerKeys.new(1), HolderKey(os.urandom(32)).xwing, -(-holders // 16) * 16
        others = [HolderKey(os.urandom(32)).xwing.public for _ in range(holders - 1)]
        roster = roster_of([device.public, *others])
        ring = seal_keyring(PLACE, keys, roster)
        making = best(partial(seal_keyring, PLACE, keys, roster), 5)
        opening = best(partial(open_keyring, PLACE, 1, ring, device), 20)
        envelope = device.public.enclose(b"", bytes(ENVELOPE_PLAIN))
        base = best(lambda device=device, envelope=envelope: device.open(b"", envelope), 50) * slots  # type: ignore[misc]
        said = f"{holders} holders, {slots} envelopes"
        print(f"  {said:<28} {us(making)} {us(opening)} {us(base):>18} {opening / base:>5.1f}x")


def rotations() -> None:
    """Rotating a vault of many memories, against writing as many bytes as that writes; all on the disk at the end."""
    with SAMPLE.open("rb") as stream:
        drafts = jsonl.read(stream, SAMPLE.name).drafts
    batch = entries(drafts[i % len(drafts)].memory(os.urandom(16)) for i in range(MEMORIES))
    log = FIRST.log.extended(entry.commitment(PLACE) for entry in batch)
    keys, holder = OwnerKeys.new(1), HolderKey(os.urandom(32))
    roster = roster_of([holder.xwing.public])
    before = open_keyring(PLACE, 1, seal_keyring(PLACE, keys, roster), holder.xwing)
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder, number = Path(name), count()
        blobs, notes = Blobs(FileStorage(folder), folder / "copies"), PackNotes(folder / "state", holder, PLACE)
        packs: list[PackRef] = []
        for part in split(batch):
            blob = seal_pack(PLACE, 1, keys.secret, part)
            blobs.store([blob])
            packs.append(PackRef(sha256(blob), 1, len(part)))
        head = FIRST.next(HeadRef(bytes(32), 1), None, 2, tuple(packs), log)
        record = VaultRecord(
            PLACE.vault_id,
            "",
            2,
            1,
            1,
            2,
            1,
            bytes(32),
            log.memory_root,
            bytes(32),
            "",
            Block(1, bytes(32), datetime.now(UTC)),
        )
        view = View(PLACE, record, before, head, FIRST)
        read_items(view, blobs.fetch, notes=notes)

        def lazy() -> tuple[list[bytes], list[bytes]]:
            new = OwnerKeys.new(2)
            ring = seal_keyring(PLACE, new, roster, before)
            return [], [ring, seal_head(PLACE, 2, new.secret, new.writer_key, head)]

        def clean(notes: Notes) -> tuple[list[bytes], list[bytes]]:
            new = OwnerKeys.new(2)
            made = [blob for _, blob in resealed(view, (), new, blobs.fetch, None, notes)]
            ring = seal_keyring(PLACE, new, roster, before, keep_history=False)
            return made, [ring, seal_head(PLACE, 2, new.secret, new.writer_key, head)]

        def stored(work: Callable[[], tuple[list[bytes], list[bytes]]]) -> None:
            for some in work():
                blobs.store(some)

        def plain(blobs: list[bytes]) -> None:
            for blob in blobs:
                write_atomic(folder / f"plain{next(number)}", blob, sync=False)
            sync_folder(folder)

        print(
            f"\nRotating {MEMORIES:,} memories: all but the transaction        the same bytes: a file a blob   in one"
        )
        works = (
            ("lazy", lazy),
            ("clean", partial(clean, notes)),
            ("clean, where nothing was noted", partial(clean, NO_NOTES)),
        )
        for kind, work in works:
            made = list(chain.from_iterable(work()))
            whole = best(partial(stored, work), 15)
            each = best(partial(plain, made), 15)
            one = best(partial(plain, [b"".join(made)]), 15)
            times = f"{whole * 1e3:>8.1f} ms {each * 1e3:>9.1f} ms {whole / each:>6.1f}x {whole / one:>9.1f}x"
            print(f"  {kind:<32}{sum(map(len, made)):>10,} bytes {times}")
            if kind == "clean":
                hashing = best(lambda made=made: [sha256(bytes(blob)) for blob in made], 15)  # type: ignore[misc]
                ring = best(partial(seal_keyring, PLACE, OwnerKeys.new(2), roster), 15)
                least = 2 * hashing + ring + each
                said = "hashes of what is read and written, keyring, writing"
                print(f"    without which none is: {said} {least * 1e3:>5.1f} ms {least / each:>17.1f}x")


def roster_of(holders: list[PublicKey]) -> Roster:
    """A roster of devices."""
    mine = holders[0].id
    lines = tuple(Holder(key, Role.DEVICE, f"device {n}", 1, None, None, mine) for n, key in enumerate(holders))
    return Roster("bench", new_import_key(), lines, datetime(2026, 1, 1, tzinfo=UTC))


def best(work: Callable[[], object], rounds: int) -> float:
    """The least time of ``work`` in seconds: whatever else the machine does only adds to it."""
    least = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        least = min(least, time.perf_counter() - started)
    return least


def us(seconds: float) -> str:
    """Microseconds."""
    return f"{seconds * 1e6:>12,.1f} us"


if __name__ == "__main__":
    main()
