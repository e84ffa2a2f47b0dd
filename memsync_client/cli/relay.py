"""``memsync relay``: pay for what others have signed."""

from __future__ import annotations

import signal
import sys
import threading
from datetime import timedelta

import click

from ..errors import InvalidRequest
from ..session import Session
from .app import App, printing


@click.command(short_help="Pay for what others have signed, in the foreground.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8550, show_default=True, help="0: any that is free.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; others can reach another one.")
@click.option(
    "--per-account", type=click.IntRange(1), default=50, show_default=True, help="Calls a day of one account."
)
@click.option("--per-day", type=click.IntRange(1), default=500, show_default=True, help="Calls a day of all.")
@click.option("--max-gas", type=click.IntRange(21_000), default=500_000, show_default=True, help="Gas of one call.")
@click.option("--only", multiple=True, metavar="ADDRESS", help="Pay for this account only; may be given several times.")
@printing
def relay(app: App, port: int, host: str, per_account: int, per_day: int, max_gas: int, only: tuple[str, ...]) -> None:
    """Pay for what others have signed, in the foreground: `memsync sync --relay URL` needs no coins of its own.

    It sends calls of this home's registry that an account has signed, and nothing else; each is simulated first. The
    wallet of this home pays, up to `memsync config --max-fee` a gas. It sees account and vault, and no memory.

    \b
    memsync relay --only 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    from ..addresses import checked_address
    from ..relayer import Relayer, RelayServer, Terms
    from ..rpc import is_loopback

    accounts = frozenset(map(checked_address, only))
    session = Session(app.home, app.passphrase, rpc=app.rpc, say=app.say)
    if app.home.config().relay:
        raise InvalidRequest("This home has a relayer pay for itself.", "Use another home: --home FOLDER")
    relayer = Relayer(session, Terms(per_account, per_day, max_gas, timedelta(hours=1), accounts), app.say)
    server = RelayServer(host, port, relayer)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    relayer.start()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = session.wallet.address
    try:
        app.result(
            {"url": server.url, "pays": address, "chain_id": session.config.chain_id},
            f"Relayer at {server.url}: {address} pays on chain {session.config.chain_id}.",
            *(
                []
                if is_loopback(host)
                else ["Whoever reaches it can have it pay, within its limits. Put TLS before it."]
            ),
            f"Next, elsewhere: memsync sync --relay {server.url}",
        )
        sys.stdout.flush()
        stop.wait()
    finally:
        server.shutdown()
        server.server_close()
        relayer.stop()
