"""Bare ``memsync``: where you stand, and what to do next. It asks no passphrase."""

from __future__ import annotations

import shlex
import shutil
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..client import Client
from ..home import KitNote
from ..session import PRACTICE_CHAIN
from ..standing import ReaderStanding, Standing, VaultStanding, standing
from .app import App, coins, counted, day, when

_LOW = 10**15  # wei: a few dozen commits at a usual price
_WIDEST, _NARROWEST = 100, 60  # columns
_APART, _BELOW = "   ", "    "
_NOT_ASKED = "Private readers are not shown without the passphrase: memsync grants"


def show_status(app: App) -> None:
    """The keys and the chain, a line or more a vault, and the next step."""
    if not app.home.initialised:
        _show_without_owner(app)
        return
    client = app.client()
    found = standing(client)
    steps = _steps(found)
    lines = [*_keys(found), *_chain(found)]
    for vault in found.vaults:
        lines += _vault(found, vault)
    lines += [_NOT_ASKED] if any(vault.record for vault in found.vaults) else []
    lines += (
        _laid(f"Next: {steps[0]}".split(_APART))
        if steps
        else ['All is committed. Next: memsync remember "…"   or   memsync recall "…"']
    )
    app.result(_data(client, found, steps), *lines)


def _show_without_owner(app: App) -> None:
    readers = app.home.readers()
    lines = [f"Reader {name} in {app.home.folder}" for name in readers] or [
        f"No MemSync home in {app.home.folder} yet."
    ]
    step = (
        "memsync recall …   or   memsync reader join INVITATION"
        if readers
        else "memsync init   (try it out first: memsync node)"
    )
    new = app.home.new_device()
    if new:
        lines = [f"The key of the new device {new.name!r} is made; it has no vault yet."]
        step = "memsync device join SHEET   (the sheet comes from `memsync device add` on the other machine)"
    data: dict[str, Any] = {"initialised": False, "readers": readers, "new_device": new and new.name, "next": [step]}
    app.result(data, *lines, f"Next: {step}")


def _laid(parts: Sequence[str], before: str = "") -> list[str]:
    """Parts side by side as far as the terminal is wide, and the rest below: an address or a path is never cut."""
    width = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size((_WIDEST, 0)).columns))
    lines = [before + parts[0]]
    for part in parts[1:]:
        joined = f"{lines[-1]}{_APART}{part}"
        if len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(f"{before}{_BELOW}{part}")
    wrap = textwrap.TextWrapper(
        width, subsequent_indent=before + _BELOW, break_long_words=False, break_on_hyphens=False
    )
    return [piece for line in lines for piece in (wrap.wrap(line) if len(line) > width else [line])]


# In lines -------------------------------------------------------------------------------------------------------------


def _keys(found: Standing) -> list[str]:
    kit = f"kit: made {_made(found.kit)}" if found.kit else "no recovery kit noted here"
    if found.kit and found.kit.unseen:
        kit += ", but it is not known that anybody has its words"
    if found.account is None:
        wallet = f"wallet of {found.owner} is not here: this device reads and can't commit"
    elif found.account == found.owner:
        wallet = f"wallet: {found.owner}"
    else:
        wallet = f"commits as {found.account} for the owner {found.owner}"
    lines = _laid([f"Keys: {found.device}, {found.key_id.hex()[:16]}", wallet, kit])
    if found.rekeying:
        lines.append("This device is getting a new key, and not every vault has it yet.")
    if found.restoring:
        lines.append("Restored with a kit, and not finished: this device has no place in all keyrings yet.")
    return lines


def _chain(found: Standing) -> list[str]:
    chain = (
        "practice (this computer only, no backup)" if found.chain_id == PRACTICE_CHAIN else f"chain {found.chain_id}"
    )
    if found.block is None:
        trouble = f"{found.trouble.cause} {found.trouble.next_step}" if found.trouble else ""
        return _laid([f"Chain: {chain}", f"The chain can't be asked: {trouble}"])
    parts = [f"Chain: {chain}", f"node: {found.node}, block {found.block.number:,}"]
    parts.append(f"registry: {found.registry} (checked)")
    known = found.balance is not None and found.chain_id != PRACTICE_CHAIN
    return _laid([*parts, *([f"{coins(found.balance)} coins"] if known and found.balance is not None else [])])


def _vault(found: Standing, vault: VaultStanding) -> list[str]:
    glance, record = vault.glance, vault.record
    saved = f"{glance.memories:,} saved, " if glance and glance.memories is not None else ""
    inbox = f", {counted(vault.proposed, 'proposal', 'proposals')} in the inbox" if vault.proposed else ""
    parts = [vault.name, f"{saved}{vault.waiting:,} waiting{inbox}"]
    if vault.over:
        counts = [f"{glance.memories:,} saved"] if glance and glance.memories is not None else []
        counts += [f"{vault.waiting:,} that it can't take any more"] if vault.waiting else []
        return _laid([vault.name, vault.over, *counts])
    if record is None:
        here = f"can't be asked: {vault.trouble.cause}" if vault.trouble and not found.trouble else ""
        return _laid([*parts, *filter(None, [here])])
    readers = [f"reader: {_reader(reader)}" for reader in vault.readers] or ["no public reader"]
    lines = _laid([*parts, f"version {record.version}", *readers])
    lines += _laid([f"blobs: {record.base_uri or 'nowhere'}", *(f"mirror: {uri}" for uri in vault.mirrors)], "  ")
    lines += ["  A mirror lacks blobs that it could not take."] if vault.owed else []
    if vault.behind and vault.behind > 0:
        lines.append(f"  {counted(vault.behind, 'write', 'writes')} on chain not taken in here yet")
    elif vault.behind:
        lines.append("  The node shows an older state than this device has seen: it is behind, or lies.")
    if record.locked:
        lines.append("  locked since its epoch rose: the next sync brings the new keys")
    if vault.offer:
        lines.append(f"  offered to {vault.offer.new_owner} until {day(vault.offer.expires)}")
    if vault.recovery and vault.recovery.new_owner:
        lines += _laid(
            [
                f"WARNING: {vault.recovery.account} has started a recovery: from {day(vault.recovery.ready)} on"
                f" {vault.recovery.new_owner} can take this vault. If that is not your wish:"
                f" memsync vault recovery veto {shlex.quote(vault.name)}"
            ],
            "  ",
        )
    return lines


def _reader(reader: ReaderStanding) -> str:
    name = reader.name or reader.address
    return f"{name} until {day(reader.expires)}" if reader.living else f"{name}, ended {when(reader.expires)}"


def _made(kit: KitNote) -> str:
    return "today" if kit.made == datetime.now(UTC).date().isoformat() else kit.made


# What to do next ------------------------------------------------------------------------------------------------------


def _steps(found: Standing) -> list[str]:
    """The most pressing first."""
    steps: list[str] = []
    if found.trouble and found.chain_id == PRACTICE_CHAIN:
        steps.append("memsync node   (the practice chain, in another terminal)")
    if found.restoring:
        steps.append("memsync restore --kit --wallet WALLET")
    living = [vault for vault in found.vaults if not vault.over]
    for vault in living:
        if vault.recovery and vault.recovery.new_owner:
            steps.append(f"memsync vault recovery veto {vault.name}   (unless that recovery is your own wish)")
    if found.kit and found.kit.unseen and not found.restoring:
        steps.append("memsync kit make   (the command that made the present kit did not come to its end)")
    if found.on_its_way:
        steps.append("memsync sync   (a transaction is still on its way)")
    if found.rekeying:
        steps.append("memsync device rekey")
    low = found.balance is not None and found.balance < _LOW
    if found.account and low and found.chain_id != PRACTICE_CHAIN:
        steps.append(f"send some coins to {found.account}: what it has pays for few transactions")
    for vault in living:
        if vault.record and vault.record.locked and found.account:
            steps.append(f"memsync sync --vault {vault.name}   (brings the new keys)")
    if any(vault.waiting or (vault.behind or 0) > 0 for vault in living) and found.account:
        steps.append("memsync sync")
    if any(vault.owed for vault in living):
        steps.append("memsync repair   (brings to mirrors what they lack)")
    if any(vault.proposed for vault in living):
        steps.append("memsync inbox   (tools have proposed something)")
    for vault in living:
        for reader in vault.readers:
            if not reader.living:
                steps.append(f"memsync sync --vault {vault.name}   ({reader.name or reader.address} ended: new keys)")
    steps += [
        f"memsync export --format jsonl --vault {shlex.quote(vault.name)} -o FILE   (has what it can't take any"
        " more: import that into another vault)"
        for vault in found.vaults
        if vault.over and vault.waiting
    ]
    if not living:
        steps.append("memsync vault new NAME")
    elif found.kit is None and not any(vault.glance and vault.glance.kit for vault in living):
        steps.append("memsync kit make   (without a kit the memory is gone with your last device)")
    return list(dict.fromkeys(steps))


# In JSON --------------------------------------------------------------------------------------------------------------


def _data(client: Client, found: Standing, steps: list[str]) -> dict[str, Any]:
    data: dict[str, Any] = {
        "initialised": True,
        "home": str(client.home.folder),
        "device": {"name": found.device, "key_id": found.key_id, "rekeying": found.rekeying},
        "owner": found.owner,
        "account": found.account,
        "balance": found.balance,
        "chain_id": found.chain_id,
        "registry": found.registry,
        "node": {
            "url": found.node,
            "block": found.block and found.block.number,
            "time": found.block and found.block.time,
        },
        "kit_made": found.kit and found.kit.made,
        "kit_unseen": found.kit is not None and found.kit.unseen,
        "restoring": found.restoring,
        "vaults": [_vault_data(vault) for vault in found.vaults],
        "not_asked": ["private readers", "whether the keys open"],
        "next": steps,
    }
    return data | ({"trouble": found.trouble.cause} if found.trouble else {})


def _vault_data(vault: VaultStanding) -> dict[str, Any]:
    record, glance, recovery = vault.record, vault.glance, vault.recovery
    data: dict[str, Any] = {
        "name": vault.name,
        "vault": vault.vault_id,
        "waiting": vault.waiting,
        "proposed": vault.proposed,
        "saved": glance and glance.memories,
        "seen_version": glance and glance.version,
        "over": vault.over,
    }
    if vault.trouble:
        return data | {"trouble": vault.trouble.cause}
    if record is None:
        return data
    return data | {
        "version": record.version,
        "behind": vault.behind,
        "locked": record.locked,
        "owner": record.owner,
        "base_uri": record.base_uri,
        "mirrors": list(vault.mirrors),
        "mirror_lacks": vault.owed,
        "block": record.block.number,
        "readers": [
            {"reader": r.name, "address": r.address, "expires": r.expires, "living": r.living} for r in vault.readers
        ],
        "offer": vault.offer and {"new_owner": vault.offer.new_owner, "expires": vault.offer.expires},
        "recovery": recovery
        and {"address": recovery.account, "ready": recovery.ready, "new_owner": recovery.new_owner},
    }
