"""Making a home: the first one, and one that brings everything back."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from .. import client as library
from .. import recovery
from ..cards import Sheet
from ..client import PRACTICE_RPC
from ..errors import AccessEnded, MemSyncError
from ..hosting import PUBLIC_HOSTS
from ..hosts import Hosts
from ..keyring import Holder, Role
from ..keys import HolderKey, PublicKey
from ..session import PRACTICE_CHAIN
from ..vault import Vault
from .app import App, counted, printing, progress_bar, rpc_option
from .kit import NewKit, kit_at_hand, kit_passphrase_option, new_kit, shares_option, sheet_given, sheet_lines

registry_option = click.option(
    "--registry", metavar="ADDRESS", help="The MemoryRegistry (default: its address that is the same on every chain)."
)


_F = TypeVar("_F", bound=Callable[..., Any])


class WalletType(click.ParamType):
    """A keystore file, or node:0x… or signer:URL#0x… for an account whose key is elsewhere."""

    name = "wallet"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> object:
        from ..wallet import Account

        return (Account.parse(value) or Path(value)) if isinstance(value, str) else value


def wallet_option(default: str) -> Callable[[_F], _F]:
    """The option of `init` and `restore`."""
    text = f"A keystore file to copy, under the same passphrase; or node:0x… or signer:URL#0x… ({default})."
    return click.option("--wallet", type=WalletType(), metavar="WALLET", help=text)


@click.command(short_help="Make this home: device key, wallet, and where the chain is.")
@rpc_option
@registry_option
@wallet_option("default: a new one")
@click.option("--name", metavar="NAME", help="This device's name, seen by you alone (default: the computer's).")
@click.option("--kit/--no-kit", "with_kit", default=None, help="Make a recovery kit: three lists of words; or decline.")
@click.option("--kit-file", type=click.Path(path_type=Path), help="Make a recovery kit: a file under a passphrase.")
@kit_passphrase_option
@printing
def init(
    app: App,
    node_url: str | None,
    registry: str | None,
    wallet: Any,
    name: str | None,
    with_kit: bool | None,
    kit_file: Path | None,
    kit_passphrase_fd: int | None,
) -> None:
    """Make this home: a device key, a wallet, and where the chain is. One passphrase unlocks both.

    If every device and the recovery kit are lost, the memory is gone. So it asks for a kit, or a no to it.

    \b
    memsync init --kit
    memsync init --rpc https://… --wallet keystore.json --kit-file /media/usb/memsync-kit.key
    """
    rpc = node_url or app.rpc or PRACTICE_RPC
    if kit_file and with_kit is False:
        raise click.UsageError("--kit-file and --no-kit contradict each other.")
    if with_kit is None and kit_file is None and (app.json or not sys.stdin.isatty()):
        raise click.UsageError(
            "If this computer is lost and there is no recovery kit, the memory is gone. "
            "Make one with --kit (or --kit-file PATH), or decline with --no-kit."
        )
    made: NewKit | None = None

    def asked() -> str:  # by the library, which has looked at the chain by then
        nonlocal with_kit
        passphrase = app.new_passphrase()
        if with_kit is None and kit_file is None:
            click.echo("If this computer is lost and you have no recovery kit, the memory is gone.", err=True)
            with_kit = click.confirm("Make a kit now (3 word lists, any 2 restore)?", default=True, err=True)
        return passphrase

    def make() -> PublicKey | None:
        nonlocal made
        made = new_kit(app, kit_file, kit_passphrase_fd) if with_kit or kit_file else None
        return made.public if made else None

    config = library.init(
        app.home,
        asked,
        kit=make,
        kit_unseen=app.json and not kit_file,
        rpc=rpc,
        registry=registry,
        wallet=wallet,
        name=name,
    )
    if config.chain_id == PRACTICE_CHAIN:
        chain = "practice, on this computer only, free. Not a backup."
        steps = ["Next: memsync vault new NAME"]
    else:
        chain = f"{config.chain_id}."
        steps = [
            f"Next: memsync vault new NAME --base-uri URI   ({PUBLIC_HOSTS})",
        ]
    kit_lines = made.lines if made else ["No recovery kit: if this computer is lost, the memory is gone."]
    app.result(
        {
            "home": str(app.home.folder),
            "chain_id": config.chain_id,
            "registry": config.registry,
            "owner": config.owner,
            "device": config.device,
            "kit": made and made.data,
        },
        f"Chain: {chain}",
        f"Wallet {config.owner}, in {config.signer.partition('#')[0] if config.signer else app.home.wallet}",
        f"Device key in {app.home.device_key}",
        *kit_lines,
        *steps,
    )
    app.home.kit_seen()


@click.command(short_help="Bring every vault back into an empty home.")
@click.argument("device_key", type=click.Path(path_type=Path), required=False)
@click.option("--kit", "with_kit", is_flag=True, help="Restore with two lists of words of a recovery kit.")
@click.option("--kit-file", type=click.Path(path_type=Path), help="Restore with a kit that is a file.")
@click.option("--sheet", metavar="TEXT|FILE", help="The kit's sheet; with it a node can't show an invented vault.")
@click.option("--owner", metavar="ADDRESS", help="The wallet's address (not needed with a sheet).")
@rpc_option
@registry_option
@wallet_option("without it this home reads and can't commit")
@click.option(
    "--blobs", type=click.Path(path_type=Path), help="A folder that has the blobs, instead of the one on chain."
)
@click.option("--name", metavar="NAME", help="This device's name, seen by you alone (default: the computer's).")
@click.option("--keep-devices", is_flag=True, help="Other devices keep their keys.")
@click.option("--keep-readers", is_flag=True, help="Readers keep their grants.")
@click.option("--new-kit-file", type=click.Path(path_type=Path), help="Make the new kit a file, not three word lists.")
@click.option("--no-kit", is_flag=True, help="Make no new kit. The old one is void all the same.")
@click.option("--dry-run", is_flag=True, help="With a kit: say what it opens and who would be left out; write nothing.")
@shares_option
@kit_passphrase_option
@printing
def restore(app: App, device_key: Path | None, with_kit: bool, kit_file: Path | None, **given: Any) -> None:
    """Bring every vault back into an empty home: with a recovery kit, or a copied device key file.

    With a kit and the owner's wallet, this device gets new keys and every vault a new epoch; the old kit is void then.
    Other devices and readers stay only if you say so. Killed in between, run it again. For the words of the new kit see
    `memsync kit make --help`.

    \b
    memsync restore --kit --sheet sheet.txt --wallet keystore.json
    memsync restore --kit-file kit.key --owner 0x… --rpc https://…
    memsync restore device.key --owner 0x… --blobs copied-blobs/
    """
    ways = [way for way in (device_key, with_kit, kit_file) if way]
    if len(ways) != 1:
        raise click.UsageError("Restore with one of: --kit, --kit-file PATH, or a device key file.")
    if device_key and given["dry_run"]:
        raise click.UsageError("--dry-run looks with a kit: a device key file restores and changes nothing on chain.")
    if device_key:
        _with_device_key(app, device_key, given)
    else:
        _with_kit(app, kit_file, given)


def _with_device_key(app: App, device_key: Path, given: dict[str, Any]) -> None:
    if not given["owner"]:
        raise click.UsageError("Name the owner: --owner ADDRESS.")
    rpc = given["node_url"] or app.rpc or PRACTICE_RPC
    shut: dict[bytes, MemSyncError] = {}
    found = library.restore(
        app.home,
        app.passphrase,
        device_key,
        given["owner"],
        rpc=rpc,
        registry=given["registry"],
        wallet=given["wallet"],
        blobs=given["blobs"],
        shut=shut.__setitem__,
    )
    data, lines = _read_all(app, found)
    labels = {vault_id: label for label, vault_id in app.home.labels().items()}
    data += [
        {"name": labels.get(vault_id), "vault": vault_id, "memories": None, "trouble": error.cause}
        for vault_id, error in shut.items()
    ]
    begun = [label for vault_id, label in labels.items() if vault_id in shut]
    last = "Next: memsync recall …" if given["wallet"] else "This home can read. To commit, copy your keystore to it."
    app.result(
        data,
        *lines,
        *_why_shut(shut),
        *([_ANOTHERS_KEYRING.format("key file")] if begun else []),
        *(_go_on_with(label) for label in begun),
        *([last] if found else []),
    )


def _with_kit(app: App, kit_file: Path | None, given: dict[str, Any]) -> None:
    seen: dict[str, Any] = {"unlisted": [], "missing": [], "shut": []}
    shut: Mapping[bytes, MemSyncError]
    if app.home.initialised and app.home.kit_key.exists():  # restored without a wallet, or interrupted
        if given["dry_run"]:
            raise click.UsageError("A restore was begun here; `memsync device list` shows who has keys.")
        if given["wallet"]:
            recovery.give_wallet(app.home, app.passphrase, given["wallet"])
        client = app.client()
        sheet = sheet_given(given["sheet"]) if given["sheet"] else None
        _, shut = client.take_in(sheet.anchors if sheet else None)
        seen["shut"], lines = list(shut), _why_shut(shut)
        found = [vault for vault, _ in client.opened()]
        if not found and client.shut:
            raise next(iter(client.shut.values()))
    else:
        library.check_empty(app.home)
        key, sheet, rpc = _kit_and_sheet(app, kit_file, given)
        looked = recovery.look(key, sheet, rpc=rpc, blobs=given["blobs"], hosts=Hosts(app.home))
        seen |= {"unlisted": looked.unlisted, "missing": looked.missing, "shut": list(looked.shut)}
        shut, lines = looked.shut, _doubts(looked)
        if given["dry_run"]:
            _show_plan(app, looked, seen, lines, given)
            return
        found = recovery.restore_with_kit(
            app.home,
            app.passphrase if given["wallet"] else app.new_passphrase,
            key,
            sheet,
            rpc=rpc,
            wallet=given["wallet"],
            blobs=given["blobs"],
            name=given["name"],
        )
    data, back = _read_all(app, found)
    result: dict[str, Any] = {"vaults": data, **seen, "finished": False, "kit": None}
    if not (app.home.wallet.exists() or app.home.config().signer):
        app.result(
            result,
            *back,
            *lines,
            "This home can read. The old kit is still good, and this device has no place in the keyrings yet.",
            "Next, with the owner's wallet: memsync restore --kit --wallet WALLET",
        )
        return
    if not found:
        app.result(
            result,
            *lines,
            "Nothing opens yet. The old kit is still good, and this device has no place in the keyrings yet.",
            *map(_go_on_with, app.home.labels()),
            "Then: memsync restore --kit",
        )
        return
    made = None if given["no_kit"] else new_kit(app, given["new_kit_file"], given["kit_passphrase_fd"])
    client = app.client()
    left = recovery.renew(
        client,
        made.public if made else None,
        keep_devices=given["keep_devices"],
        keep_readers=given["keep_readers"],
        done=lambda vault, receipts: app.say(f"{vault.label}: new keys, new epoch"),
        unseen=made is not None and made.unseen,
    )
    kit = made and made.data | {"sheet": str(recovery.kit_sheet(client))}
    result |= {"finished": not left, "left": sorted(left), "kit": kit}
    app.result(
        result,
        *back,
        *lines,
        "This device has new keys, and every vault that was opened a new epoch.",
        *(
            f"{label} could not be opened now, and is still to be done: {error.cause} {error.next_step}"
            for label, error in left.items()
        ),
        "KEEP the old kit until that is done. Next, when it opens: memsync restore --kit   (makes a new kit again)"
        if left
        else "KEEP the old kit: with a new home it may still open the vaults that could not be opened now."
        if any(not isinstance(error, AccessEnded) for error in shut.values())
        else "The old kit is void from now on: destroy it.",
        "It still opens what was sealed until now, wherever a copy survives.",
        *([*made.lines, *sheet_lines(client)] if made else ["No recovery kit: memsync kit make"]),
    )
    app.home.kit_seen()


def _kit_and_sheet(app: App, kit_file: Path | None, given: dict[str, Any]) -> tuple[HolderKey, Sheet, str | None]:
    if not given["sheet"] and not given["owner"]:
        raise click.UsageError("Give the kit's --sheet, or --owner ADDRESS (and --rpc).")
    sheet = sheet_given(given["sheet"]) if given["sheet"] else None
    rpc = given["node_url"] or app.rpc
    key = kit_at_hand(kit_file, given["shares_fd"], given["kit_passphrase_fd"])
    return key, sheet or recovery.sheet_of(given["owner"], rpc or PRACTICE_RPC, given["registry"], key), rpc


def _doubts(found: recovery.Found) -> list[str]:
    """What a person should know of the vaults that the kit, the sheet and the node do not agree on."""
    return [
        *(f"Vault {v.hex()[:8]}… is not on the sheet: made since, or invented by the node." for v in found.unlisted),
        *(f"Vault {v.hex()[:8]}… of the sheet is not the owner's on this chain (any more)." for v in found.missing),
        *_why_shut(found.shut),
        *(
            f"Vault {v.hex()[:8]}… did open, until another account than the owner's brought a keyring."
            f" {_ANOTHERS_KEYRING.format('kit')}"
            for v in found.hostile
        ),
    ]


_ANOTHERS_KEYRING = "Was that a device of yours, look for a newer {}; else go on from before it, once this is restored."


def _go_on_with(label: str) -> str:
    return f"Next: memsync vault go-on {shlex.quote(label)} --dry-run"


def _why_shut(shut: Mapping[bytes, MemSyncError]) -> list[str]:
    return [f"Vault {vault_id.hex()[:8]}… can't be opened: {error.cause}" for vault_id, error in shut.items()]


def _show_plan(app: App, found: recovery.Found, seen: dict[str, Any], lines: list[str], given: dict[str, Any]) -> None:
    kept = {Role.DEVICE: given["keep_devices"], Role.READER: given["keep_readers"], Role.KIT: False}
    vaults: list[dict[str, Any]] = [
        {
            "name": roster.name,
            "vault": vault_id,
            "left_out": [_who(holder) for holder in roster.holders if not kept[holder.role]],
            "kept": [
                f"{_who(holder)}, key {holder.key.id.hex()[:16]}" for holder in roster.holders if kept[holder.role]
            ],
        }
        for vault_id, roster in found.opened.items()
    ]
    app.result(
        {"vaults": vaults, **seen, "dry_run": True},
        *[
            f'The kit opens "{v["name"]}". Left out with the owner\'s wallet: {", ".join(v["left_out"])}.'
            + (f" Kept: {'; '.join(v['kept'])}. Keep none that you do not know." if v["kept"] else "")
            for v in vaults
        ],
        *lines,
        "Nothing written.",
    )


def _who(holder: Holder) -> str:
    return f"{holder.name} ({holder.role.name.lower()})"


def _read_all(app: App, found: list[Vault]) -> tuple[list[dict[str, Any]], list[str]]:
    data: list[dict[str, Any]] = []
    for vault in found:
        with progress_bar(app, f"reading {vault.label}") as step:
            data.append({"name": vault.label, "vault": vault.place.vault_id, "memories": len(vault.memories(step))})
    return data, [
        f'Vault "{item["name"]}" is back: {counted(item["memories"], "memory", "memories")}.' for item in data
    ]
