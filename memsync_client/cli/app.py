"""What all commands share: the home, the passphrase, and how results and errors are printed.

With ``--json`` each command prints one object: ``{"ok": true, "command": …, "data": …}``, or on an error
``{"ok": false, "command": …, "error": {"name", "exit_code", "cause", "next_step"}}``, and "done" where part of
the work stands. Times are RFC 3339 in UTC, ids and hashes lower-case hex, amounts of gas and bytes integers.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import click

from .. import passphrases
from ..client import PRACTICE_RPC, Client
from ..errors import InvalidRequest, MemSyncError, NotInitialised, PassphraseNotKept, WrongPassphrase
from ..home import Home
from ..keys import self_test
from ..memories import Memory
from ..pricing import Money, Price
from ..reading import Progress
from ..records import Receipt
from ..sealing import HoldsSecret
from ..session import PRACTICE_CHAIN

DECLINED = "not done; nothing is changed"

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass
class App(HoldsSecret):
    """One run of the command."""

    home: Home = field(default_factory=lambda: Home(Home.default()))
    rpc: str | None = None
    relay: str | None = None
    passphrase_fd: int | None = None
    json: bool = False
    color: bool | None = None  # None: where it is shown on a terminal
    command: str = ""
    bar: _Bar | None = None
    done: list[dict[str, Any]] = field(default_factory=list)  # what stands, should the rest fail
    _passphrase: str | None = field(default=None, repr=False)
    _from_keyring: bool = False

    def begin(self) -> None:
        """Before a command does anything: that the home is this user's and of this version, and nothing in it half
        done."""
        self.home.check()
        passphrases.finish_change(self.home)

    def called(self, context: click.Context, as_json: bool) -> None:
        """Begins the command that the words have named."""
        self.json = self.json or as_json
        self.command = context.command_path.partition(" ")[2]
        self.begin()

    def passphrase(self) -> str:
        """Asked for once: from the file descriptor that was named, else the operating system's keyring where it is kept
        there, else on the terminal."""
        if self._passphrase is None:
            kept = self._kept() if self.passphrase_fd is None else None
            self._from_keyring = kept is not None
            self._passphrase = self._ask("Passphrase") if kept is None else kept
        return self._passphrase

    def _kept(self) -> str | None:
        try:
            return passphrases.kept(self.home)
        except PassphraseNotKept as error:
            if not sys.stdin.isatty():
                raise
            self.say(error.cause)
            return None

    def new_passphrase(self, prompt: str = "One passphrase for wallet and device key") -> str:
        """Asked for twice on a terminal."""
        if self._passphrase is None:
            self._passphrase = self._ask(prompt, confirm=True)
        return self._passphrase

    def _ask(self, prompt: str, confirm: bool = False) -> str:
        return ask_secret(prompt, self.passphrase_fd, "--passphrase-fd", confirm)

    def confirm(self, question: str, yes: bool) -> None:
        """Goes on after ``--yes`` or a yes on the terminal. Raises InvalidRequest where neither can be had."""
        if yes:
            return
        if self.json or not sys.stdin.isatty():
            raise InvalidRequest(f"This needs a yes: {question}", "Look first with --dry-run, then add --yes.")
        if not click.confirm(safe(question), err=True):
            raise click.Abort(DECLINED)

    def _may(self, question: str) -> bool:
        """Whether a person at the terminal says yes; nobody is there with --json."""
        return not self.json and sys.stdin.isatty() and click.confirm(safe(question), err=True)

    def client(self) -> Client:
        """The owner's home. Raises NotInitialised where there are readers only."""
        readers = self.home.readers()
        if readers and not self.home.initialised:
            raise NotInitialised(
                f"This home is a reader's ({', '.join(readers)}), and this command an owner's.",
                "A reader has: memsync list, recall, verify, reader card, reader join. Another home: --home.",
            )
        return Client(self.home, self.passphrase, rpc=self.rpc, say=self.say, ask=self._may, relay=self.relay)

    def say(self, text: str) -> None:
        """A step of a longer work, on standard error."""
        if self.bar:
            self.bar.end()
        if not self.json:
            click.echo(f"  {safe(text)}", err=True, color=self.color)

    def line(self, text: str) -> None:
        """A line of the answer that is true already, before the rest is."""
        if not self.json:
            click.echo(_coloured(safe(text)), color=self.color)

    def result(self, data: Any, *lines: str, handed: str = "") -> None:
        """The command's answer: ``data`` with --json, else the lines. ``handed`` is the one among them that somebody is
        given: where it goes into a file, the others are said on the terminal, too."""
        if self.json:
            click.echo(
                json.dumps({"ok": True, "command": self.command, "data": data}, default=_plain, ensure_ascii=False)
            )
        else:
            aside = handed and sys.stderr.isatty() and not sys.stdout.isatty()
            for line in lines:
                self.line(line)
                if aside and line != handed:
                    click.echo(_coloured(safe(line)), err=True, color=self.color)


def several(_: click.Context, __: click.Parameter, urls: tuple[str, ...]) -> str | None:
    """RPC nodes that were named one by one, as one text; None for none."""
    return " ".join(urls) or None


rpc_option = click.option(
    "--rpc",
    "node_url",
    metavar="URL",
    multiple=True,
    callback=several,
    help=f"The chain's RPC node; several are compared (default: the practice chain, {PRACTICE_RPC}).",
)


class Verbs(click.Group):
    """A group that names the commands which a mistyped one is like."""

    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        """See click.Group."""
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            alike = get_close_matches(args[0], self.commands, 2)
            error.message += f" Did you mean {' or '.join(alike)}?" if alike else ""
            raise


class Sections(Verbs):
    """A group whose help shows its commands by what they are for."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._sections: dict[str, list[str]] = {}

    def add_section(self, title: str, *commands: click.Command) -> None:
        """Adds the commands, to be shown under ``title`` in this order."""
        for command in commands:
            self.add_command(command)
        self._sections[title] = [str(command.name) for command in commands]

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """See click.Group."""
        width = max(map(len, self.commands))
        for title, names in self._sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(f"{name:<{width}}", self.commands[name].get_short_help_str(200)) for name in names]
                )


@click.group(
    cls=Sections,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Begin with:
  memsync node &
  memsync init
  memsync vault new NAME
  memsync remember TEXT
  memsync sync
""",
)
@click.option(
    "--home", type=click.Path(path_type=Path), help="The folder to use (default: $MEMSYNC_HOME, or your data folder)."
)
@click.option("--rpc", metavar="URL", multiple=True, callback=several, help="Other RPC nodes than those of this home.")
@click.option(
    "--passphrase-fd", type=int, metavar="N", help="Read the passphrase from this file descriptor, not the terminal."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--no-color", is_flag=True, help="No colours (nor with NO_COLOR in the environment, nor when piped).")
@click.version_option(package_name="memsync-client")
@click.pass_context
def root(
    context: click.Context,
    home: Path | None,
    rpc: str | None,
    passphrase_fd: int | None,
    as_json: bool,
    no_color: bool,
) -> None:
    """Your AI memory as an asset of your own: sealed on this device, registered from your wallet, lent to tools and
    taken back.

    Without a command: where you stand, and what to do next.
    """
    app = context.obj
    app.home = Home(home) if home else app.home
    app.rpc, app.passphrase_fd, app.json = rpc, passphrase_fd, as_json
    if no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        app.color = context.color = False
    self_test()
    if context.invoked_subcommand is None:
        from .status import show_status

        app.command = "status"
        app.begin()
        show_status(app)


def ask_secret(prompt: str, descriptor: int | None, option: str, confirm: bool = False) -> str:
    """A passphrase: from the file descriptor that ``option`` names, else typed on the terminal, unseen. Raises
    InvalidRequest where neither can be had."""
    if descriptor is not None:
        return next(iter(lines_of(descriptor, 1, "passphrase")), "")
    if not sys.stdin.isatty():
        raise InvalidRequest("A passphrase is needed, and there is no terminal to ask on.", f"Use {option} N.")
    return str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True))


def lines_of(descriptor: int, count: int, what: str) -> list[str]:
    """So many lines of a file descriptor, fewer if it ends. Raises InvalidRequest."""
    try:
        with os.fdopen(descriptor, encoding="utf-8") as stream:
            return [line.rstrip("\r\n") for line in islice(stream, count)]
    except (OSError, UnicodeDecodeError):
        said = f"File descriptor {descriptor} gives no {what}."
        raise InvalidRequest(said, "Open it for reading: 3<FILE.") from None


def printing(command: _F) -> _F:
    """Adds --json, and passes the App first."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    @click.pass_context
    def run(context: click.Context, /, as_json: bool, **options: Any) -> Any:
        app = context.find_object(App)
        if app is None:
            raise AssertionError("a command ran outside main()")
        app.called(context, as_json)
        return command(app, **options)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    if hasattr(command, "__click_params__"):
        run.__click_params__ += command.__click_params__  # type: ignore[attr-defined]
    return run  # type: ignore[return-value]


def _keep_relay(context: click.Context, _: click.Parameter, url: str | None) -> None:
    app = context.find_object(App)
    if app and url:
        app.relay = url


relay_option = click.option(
    "--relay",
    metavar="URL",
    expose_value=False,
    callback=_keep_relay,
    help="Sign only, and have this relayer send and pay (`memsync config --relay` for all commands).",
)


def report_error(app: App, error: MemSyncError, name: str = "") -> None:
    """Cause and next step: on standard error, or with --json as the answer."""
    if isinstance(error, WrongPassphrase) and app._from_keyring:
        error.next_step = "It came from the operating system's keyring. Take it out: memsync passphrase forget"
    if app.json:
        report(app, name or type(error).__name__, error.exit_code, error.cause, error.next_step)
    else:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {safe(error.cause)}", err=True, color=app.color)
        if error.next_step:
            click.echo(f"       {safe(error.next_step)}", err=True)


def report(app: App, name: str, exit_code: int, cause: str, next_step: str) -> None:
    """The one object of --json for a command that did not end well."""
    error: dict[str, Any] = {"name": name, "exit_code": exit_code, "cause": cause, "next_step": next_step}
    if app.done:
        error["done"] = app.done
    answer = {"ok": False, "command": app.command, "error": error}
    click.echo(json.dumps(answer, default=_plain, ensure_ascii=False))


class _Bar:
    """A bar on a terminal: drawn with the first step of several, and ended before anything else is said. Used from any
    thread."""

    def __init__(self, app: App, label: str) -> None:
        self._app, self._label = app, label
        self._drawn: Any = None
        self._lock = threading.Lock()

    def step(self, done: int, total: int) -> None:
        """See Progress."""
        with self._lock:
            if self._drawn is None and done < total:
                self._drawn = click.progressbar(length=total, label=self._label, file=sys.stderr, color=self._app.color)
                self._drawn.render_progress()
            if self._drawn:
                self._drawn.length = total
                self._drawn.update(done - self._drawn.pos)

    def fill(self) -> None:
        """All is done, however much of what was expected that took."""
        with self._lock:
            if self._drawn:
                self._drawn.update(self._drawn.length - self._drawn.pos)

    def end(self) -> None:
        """Leaves it as it stands, on a line of its own."""
        with self._lock:
            if self._drawn:
                self._drawn.render_finish()
                self._drawn = None


@contextmanager
def progress_bar(app: App, label: str) -> Iterator[Progress | None]:
    """A bar on a terminal, nothing elsewhere."""
    if app.json or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    app.bar = _Bar(app, label)
    try:
        yield app.bar.step
        app.bar.fill()
    finally:
        app.bar.end()
        app.bar = None


_SIGNALS = {"Next:": "green", "WARNING:": "yellow"}


def _coloured(line: str) -> str:
    """The line with the words in colour that call for attention."""
    for word, colour in _SIGNALS.items():
        if line.lstrip().startswith(word):
            return line.replace(word, click.style(word, fg=colour), 1)
    return line


def safe(text: str) -> str:
    """Text fit for a terminal: control characters of it are shown, not obeyed. Texts of memories, names and addresses
    of hosts come from others."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or c == "\u200d" else "\ufffd"
        for c in text
    )


def counted(number: int, one: str, many: str) -> str:
    """A number of things in words: 1 memory, 2 memories."""
    return f"{number:,} {one if number == 1 else many}"


def day(moment: datetime | None) -> str:
    """A date in the person's zone."""
    return "unknown" if moment is None else f"{moment.astimezone():%Y-%m-%d}"


def when(moment: datetime | None) -> str:
    """A date in the person's zone, in words where it is near: today, yesterday, tomorrow."""
    if moment is None:
        return "unknown"
    away = (moment.astimezone().date() - datetime.now().astimezone().date()).days
    return {0: "today", -1: "yesterday", 1: "tomorrow"}.get(away, day(moment))


def gas_cost(app: App, gas: int, fee: int | None = None) -> str:
    """An amount of gas in words, and what it costs (``fee``, in wei) in coins and, where the person has said what one
    is worth, in money. On a practice chain it costs nothing."""
    config = app.home.config()
    if config.chain_id == PRACTICE_CHAIN:
        return f"{gas:,} gas, free here"
    if app.relay or config.relay:
        return f"{gas:,} gas, paid by the relayer"
    if fee is None:
        return f"{gas:,} gas"
    money = f", {Money.parse(config.price).of(fee)}" if config.price else ""
    return f"{gas:,} gas, {coins(fee)} coins{money}"


def cost_of(app: App, receipts: Iterable[Receipt]) -> str:
    """What transactions have cost, in words."""
    given = list(receipts)
    fees = [receipt.fee for receipt in given]
    fee = None if None in fees else sum(fee for fee in fees if fee is not None)
    return gas_cost(app, sum(receipt.gas_used for receipt in given), fee)


def blob_cost(app: App, receipts: Sequence[Receipt]) -> str:
    """What storing blobs on the chain itself has cost beside, as the end of a sentence; empty where it cost nothing."""
    if not receipts:
        return ""
    return f"; {len(receipts)} more for the blobs on the chain, {cost_of(app, receipts)}"


def blob_data(receipts: Sequence[Receipt]) -> dict[str, int]:
    """The same in JSON, beside the gas of what named the blobs."""
    return {"blob_gas": sum(receipt.gas_used for receipt in receipts)}


def price_of(app: App, price: Price | None) -> str:
    """What a step will cost, as the end of a sentence; empty where nobody here could pay for it."""
    return f", for about {gas_cost(app, price.gas, price.fee)}" if price else ""


def price_data(price: Price | None) -> dict[str, int | None]:
    """The same in JSON: gas, and wei at the price of now."""
    return {"gas": price.gas, "fee": price.fee} if price else {"gas": None, "fee": None}


def coins(wei: int) -> str:
    """An amount of the chain's own coin: to six places, or to the first one that is not 0."""
    amount = Decimal(wei) / 10**18
    places = max(6, 1 - amount.adjusted()) if amount else 1
    return f"{amount:,.{places}f}".rstrip("0").rstrip(".")


def one_entry(line: str) -> str:
    """A line of a list, whose own text may have several: those that follow are indented, and can't pass for another."""
    return line.replace("\n", f"\n{' ' * 10}")


def memory_data(memory: Memory) -> dict[str, Any]:
    """A memory in JSON."""
    source = memory.source
    return {
        "id": memory.id.hex(),
        "revision": memory.revision.hex(),
        "content": memory.content,
        "created": memory.created,
        "type": memory.type,
        "tags": list(memory.tags),
        "source": source
        and {"platform": source.platform, "conversation": source.conversation, "id": source.foreign_id},
    }


def receipt_data(receipt: Receipt) -> dict[str, Any]:
    """A transaction in JSON."""
    paid = {} if receipt.fee is None else {"fee": receipt.fee}
    return {"tx": receipt.tx_hash.hex(), "gas": receipt.gas_used, "block": receipt.block.number, **paid}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)
