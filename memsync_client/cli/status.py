"""Bare ``memsync``: where you stand, and what to do next. It asks no passphrase."""

from __future__ import annotations

from typing import Any

from ..errors import MemSyncError
from ..session import PRACTICE_CHAIN
from .app import App, day


def show_status(app: App) -> None:
    """One line a vault, and the next step."""
    if not app.home.initialised:
        readers = app.home.readers()
        lines = [f"Reader {name} in {app.home.folder}" for name in readers] or [
            f"No MemSync home in {app.home.folder} yet."
        ]
        step = (
            "memsync recall …   or   memsync reader join INVITATION"
            if readers
            else "memsync init   (try it out first: memsync node)"
        )
        app.result({"initialised": False, "readers": readers}, *lines, f"Next: {step}")
        return
    client = app.client()
    config = client.session.config
    data: dict[str, Any] = {"initialised": True, "chain_id": config.chain_id, "owner": config.owner, "vaults": []}
    chain = "practice (this computer only, no backup)" if config.chain_id == PRACTICE_CHAIN else str(config.chain_id)
    note, restoring = app.home.kit(), app.home.kit_key.exists()
    data |= {"kit_made": note and note.made, "restoring": restoring}
    kit = f"   kit: made {note.made}" if note else "   no recovery kit noted here"
    lines = [f"Chain: {chain}   wallet: {config.owner}{kit}"]
    steps: list[str] = []
    if restoring:
        lines.append("Restored with a kit, and not finished: this device has no place in all keyrings yet.")
        steps.append("memsync restore --kit --wallet WALLET")
    trouble: MemSyncError | None = None
    for vault in client.vaults():
        item: dict[str, Any] = {"name": vault.label, "waiting": vault.waiting()}
        line = f"{vault.label}   {item['waiting']} waiting"
        try:
            record, public = vault.record(), [grant for grant in vault.public_grants() if grant.living]
            item |= {
                "version": record.version,
                "locked": record.locked,
                "block": record.block.number,
                "public_readers": len(public),
            }
            line += f"   version {record.version}"
            if public:
                line += (
                    f"   public readers: {len(public)}, the last until {day(max(grant.expires for grant in public))}"
                )
            if record.locked:
                line += "   locked since a revocation"
                steps.append(f"memsync sync --vault {vault.label}   (brings the new keys)")
        except MemSyncError as error:
            trouble = error
        if item["waiting"]:
            steps.append("memsync sync")
        data["vaults"].append(item)
        lines.append(line)
    if trouble:
        data["trouble"] = trouble.cause
        lines.append(f"The chain can't be asked: {trouble.cause} {trouble.next_step}")
        if config.chain_id == PRACTICE_CHAIN:
            steps.insert(0, "memsync node   (the practice chain, in another terminal)")
    if not data["vaults"]:
        steps.append("memsync vault new NAME")
    lines.append(
        f"Next: {steps[0]}" if steps else 'All is committed. Next: memsync remember "…"   or   memsync recall "…"'
    )
    app.result(data, *lines)
