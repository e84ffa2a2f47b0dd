"""The face of the command: what it is given, what it shows, and how it ends. No node and no chain is needed here."""

from __future__ import annotations

import io
import json
import os
import pty
import shlex
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

from memsync_client.cards import Card, Invitation
from memsync_client.cli import main
from memsync_client.cli.app import App, one_entry, progress_bar, report_error, root, safe
from memsync_client.cli.given import memory_text, text_of
from memsync_client.errors import InvalidCard, InvalidInvitation, InvalidMemory, NotInitialised
from memsync_client.home import Home
from memsync_client.reader import new_reader
from tests.client.material import holder

MEMSYNC = Path(sys.executable).with_name("memsync")
CARD = str(Card("claude", holder("claude").xwing.public, bytes(range(20)), ("file",)))


def run(*words: str, home: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"} | options.pop("env", {})
    command: list[str | Path] = [MEMSYNC, *words]
    return subprocess.run(command, env=environment, text=True, timeout=60, check=False, **options)


def told(*words: str, home: Path, **options: Any) -> tuple[int, str, str]:
    done = run(*words, home=home, stdin=subprocess.DEVNULL, capture_output=True, **options)
    return done.returncode, done.stdout, done.stderr


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def typed(data: bytes, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


# What is given --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"one\n", "one"),
        (b"one\r\n", "one"),
        (b"one", "one"),
        (b"one\n\n", "one\n"),
        (b"one\r\ntwo\r\n", "one\ntwo"),
        ("\u00e9".encode() * 32_768 + b"\n", "\u00e9" * 32_768),
    ],
)
def test_memory_text__standard_input__without_the_newline_at_its_end(
    data: bytes, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(data, monkeypatch)
    assert memory_text("-") == text


@pytest.mark.parametrize("data", [b"x" * 65_537, "\u00e9".encode() * 32_769, b"\xff\xfe"])
def test_memory_text__too_long_or_no_text__is_refused(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(data, monkeypatch)
    with pytest.raises(InvalidMemory):
        memory_text("-")


BROKEN = "\n".join(textwrap.wrap(CARD, 70))


@pytest.mark.parametrize(
    "around",
    [
        CARD,
        f"{CARD}\n",
        f"claude can read ALL of it: 100,000 gas.\nGive it this:\n{CARD}\n",
        f"{CARD}\nRegards, Ines",
        BROKEN,
        BROKEN.replace("\n", "\r\n\t"),
        "\ufeff" + BROKEN.replace("\n", "\u00a0\n") + "\nRegards, Ines",
        f"Here it is:\n\n{BROKEN}\n\nRegards, Ines",
        f"{CARD}\nmemsync-card1:AAAA:00000000",
    ],
)
def test_text_of__card_with_anything_around_it__is_found(
    around: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "card.txt"
    file.write_bytes(around.encode())
    typed(around.encode(), monkeypatch)
    for given in (around, str(file), "-"):
        assert Card.parse(text_of(given, InvalidCard)) == Card.parse(CARD)


@pytest.mark.parametrize("damaged", [CARD[:-1], CARD + "0", CARD[:-40], CARD[:200] + "*" + CARD[201:], BROKEN + "x"])
def test_text_of__damaged_card__is_not_mended(damaged: str) -> None:
    for given in (damaged, f"My card: {damaged}"):
        with pytest.raises(InvalidCard, match="checksum"):
            Card.parse(text_of(given, InvalidCard))


@pytest.mark.parametrize("path", ["card.txt", "./card", "a folder/card"])
def test_text_of__path_of_no_file__says_so(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInvitation, match="There is no file"):
        text_of(path, InvalidInvitation)
    with pytest.raises(InvalidInvitation, match="This is not an invitation"):
        Invitation.parse(text_of("no path and no invitation", InvalidInvitation))


def test_text_of__not_utf8__is_no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "card").write_bytes(b"\xff\xfe")
    typed(b"\xff\xfe", monkeypatch)
    for given in ("-", str(tmp_path / "card")):
        with pytest.raises(InvalidCard, match="This is not a card"):
            Card.parse(text_of(given, InvalidCard))


# What is shown --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029"])
def test_entry__text_of_several_lines__can_not_pass_for_another_entry(newline: str) -> None:
    first, *rest = safe(one_entry(f"4f1c0000  2026-01-31  true{newline}5a2b0000  2026-02-01  faked")).splitlines()
    assert first.startswith("4f1c0000")
    assert all(line.startswith(" " * 10) for line in rest)


OBEYED = "\x00\x07\x08\r\x1b\x7f\x9b\xad\u200b\u202e\u2066\u2028\ufeff\ud800"


@pytest.mark.parametrize("control", OBEYED, ids=ascii)
def test_shown__control_character_of_another__reaches_no_terminal(
    control: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def yes(question: str, **_: Any) -> bool:
        asked.append(question)
        return True

    app = App(Home(tmp_path))
    text = f"true {control}[2J\ttabs, new\nlines, \u00fcmlauts and \U0001f469\u200d\U0001f52c"
    shown = text.replace(control, "\ufffd")
    app.line(text)
    app.say(text)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", yes)
    app.confirm(text, False)
    report_error(app, InvalidMemory(text, text))
    out, err = capsys.readouterr()
    assert (out, asked) == (f"{shown}\n", [shown])
    assert err == f"  {shown}\nerror: {shown}\n       {shown}\n"


def commands(group: click.Group) -> list[click.Command]:
    below = [
        commands(command) if isinstance(command, click.Group) else [command] for command in group.commands.values()
    ]
    return [command for found in below for command in found]


def test_grant__help__shows_the_default_plainly_and_in_100_columns(tmp_path: Path) -> None:
    code, out, err = told("grant", "--help", home=tmp_path, env={"COLUMNS": "140"})
    assert (code, err) == (0, "")
    assert "[default: 90d]" in out
    assert 80 < max(map(len, out.splitlines())) <= 100


def groups(group: click.Group) -> list[click.Group]:
    below = [groups(command) for command in group.commands.values() if isinstance(command, click.Group)]
    return [group, *(found for several in below for found in several)]


@pytest.mark.parametrize("group", groups(root), ids=lambda group: str(group.name))
def test_help__of_a_group_in_80_columns__says_each_command_in_one_whole_line(group: click.Group) -> None:
    context = click.Context(group, info_name=group.name, terminal_width=80)
    lines = [line.split(maxsplit=1) for line in group.get_help(context).splitlines() if line.startswith("  ")]
    said = {line[0]: line[1] for line in lines if len(line) == 2}
    assert all(said[name].rstrip(".") in command.get_short_help_str(200) for name, command in group.commands.items())
    assert not any(line[-1].endswith("...") for line in lines if line[0] in group.commands)
    assert all(len(f"  {name:<12}  {said[name]}") <= 80 and said[name].endswith((".", ")")) for name in group.commands)


def example(line: str) -> tuple[click.Command, list[str]]:
    """The command that an example names, and those of its options that this does not have."""
    command: click.Command = root
    words = shlex.split(line.removeprefix("memsync --home elsewhere").removeprefix("memsync"))
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    known = [name for option in command.params for name in (*option.opts, *option.secondary_opts)]
    return command, [word for word in words if word.startswith("-") and word not in known]


@pytest.mark.parametrize(
    "command",
    [*commands(root), *(group for group in groups(root) if group is not root)],
    ids=lambda command: f"{command.callback.__module__.rpartition('.')[2]}-{command.name}",
)
def test_help__of_each_command__has_an_example_with_options_that_there_are(command: click.Command) -> None:
    lines = [line.strip() for line in (command.help or "").partition("\b\n")[2].splitlines()]
    meant = [example(line) for line in lines if line.startswith("memsync ")]
    assert not any(wrong for _, wrong in meant), meant
    below = command.commands.values() if isinstance(command, click.Group) else [command]
    assert any(found is command or found in below for found, _ in meant)


def test_sync__help__has_both_answers_about_private_readers(tmp_path: Path) -> None:
    _, out, _ = told("sync", "--help", home=tmp_path)
    assert "--keep-private / --drop-private" in out
    (sync,) = (command for command in commands(root) if command.name == "sync")
    asked = [sync.make_context("sync", words).params["keep_private"] for words in ([], ["--keep-private"])]
    assert asked == [None, True]
    assert sync.make_context("sync", ["--drop-private"]).params["keep_private"] is False


@pytest.mark.parametrize("command", [("sync",), ("grants",), ("vault", "list"), ("remember", "text")])
def test_owners_command__in_a_readers_home__says_whose_it_is(command: tuple[str, ...], tmp_path: Path) -> None:
    new_reader(Home(tmp_path / "tool"), "claude", "a passphrase")
    code, out, err = told("--home", str(tmp_path / "tool"), *command, home=tmp_path)
    assert (code, out) == (NotInitialised.exit_code, "")
    assert "This home is a reader's (claude)" in err
    assert "memsync list, recall, verify" in err


@contextmanager
def terminal(*words: str, home: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A command on a terminal of its own, and the descriptor of the person's end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [MEMSYNC, *words],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process, ours
    finally:
        process.kill()
        process.communicate()
        os.close(ours)
        os.close(theirs)


def test_new_reader__on_a_terminal__is_asked_for_its_own_passphrase(tmp_path: Path) -> None:
    asked = b""
    with terminal("reader", "new", "claude", home=tmp_path) as (process, keyboard):
        assert process.stderr is not None
        for _ in range(2):
            while not asked.endswith(b": "):  # what is typed before is thrown away
                byte = process.stderr.read(1)
                assert byte, asked
                asked += byte
            os.write(keyboard, b"a passphrase\n")
            asked += b"\n"
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert Card.parse(out.decode()).name == "claude"
    assert b"memsync grant CARD" in err  # what goes into a file is the card alone
    assert asked.startswith(b"Passphrase for this reader's key: ")


def test_new_reader__name_that_can_not_be__is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with terminal("reader", "new", "../claude", home=tmp_path) as (process, _):
        _, err = process.communicate(timeout=60)
    assert process.returncode == 17
    assert b"can't be the name of a folder" in err
    assert b"Passphrase" not in err


# How it ends ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("sync", "--nonsense", "--json"), "sync"),
        (("--json", "vault", "new"), "vault new"),
        (("--json", "nonsense"), ""),
        (("grant", "--json", "card", "--for", "ever"), "grant"),
        (("inbox", "--json", "trust", "claude"), "inbox"),
    ],
)
def test_wrong_usage__in_json__is_the_one_object(words: tuple[str, ...], command: str, tmp_path: Path) -> None:
    code, out, _ = told(*words, home=tmp_path)
    answer = json.loads(out)
    assert (code, answer["ok"], answer["command"]) == (2, False, command)
    assert (answer["error"]["name"], answer["error"]["exit_code"]) == ("Usage", 2)
    assert answer["error"]["cause"]
    assert answer["error"]["next_step"] == f"See `{f'memsync {command}'.rstrip()} --help`."


def test_wrong_usage__without_json__is_said_on_standard_error(tmp_path: Path) -> None:
    code, out, err = told("sync", "--nonsense", "--", "--json", home=tmp_path)
    assert (code, out) == (2, "")
    assert "No such option: --nonsense" in err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("statsu",), ""),
        (("grnat", "card.txt"), "grant or grants"),
        (("vault", "shwo"), "show"),
        (("mcp", "token", "nwe"), "new"),
    ],
)
def test_mistyped_command__is_told_what_it_is_like(words: tuple[str, ...], meant: str, tmp_path: Path) -> None:
    code, out, err = told(*words, home=tmp_path)
    assert (code, out) == (2, "")
    assert err.rstrip().endswith(f"Did you mean {meant}?" if meant else "No such command 'statsu'.")


def test_bar__of_work_that_read_less_than_was_there__ends_full(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Screen()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar(App(), "reading") as step:
        assert step is not None
        step(1, 50)
    assert "100%" in terminal.getvalue()


def test_file_system_error__that_no_part_foresaw__is_one_clear_line(tmp_path: Path) -> None:
    home = tmp_path / "a file"
    home.write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    code, out, err = told("--home", str(tmp_path / ("x" * 300)), "sync", home=tmp_path)
    assert (code, out) == (40, "")
    assert err.startswith("error: ")
    assert "File name too long" in err
    assert "Traceback" not in err


def test_standard_output__on_a_full_disk__is_one_clear_line(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run(home=tmp_path, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 42
    assert done.stderr.splitlines()[0].endswith("No space left on device.")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("debug", [False, True])
def test_unforeseen_error__is_told_without_its_traceback(
    as_json: bool, debug: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("break")
    def broken() -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setitem(root.commands, "break", broken)
    monkeypatch.setattr(sys, "argv", ["memsync", *(["--json"] if as_json else []), "break"])
    monkeypatch.setenv("MEMSYNC_DEBUG", "1" if debug else "")
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert ("Traceback" in said.err, "a secret" in said.err) == (debug, debug)
    if as_json:
        error = json.loads(said.out)["error"]
        assert (error["name"], error["exit_code"]) == ("InternalError", 1)
        assert error["cause"] == "internal error (ZeroDivisionError)"
        assert "MEMSYNC_DEBUG=1" in error["next_step"]
    else:
        assert "error: internal error (ZeroDivisionError)\n" in said.err
        assert "MEMSYNC_DEBUG=1" in said.err


def test_bar__something_is_said_while_it_is_drawn__is_drawn_to_its_end_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hosts are written side by side, and one may say what is wrong while another tells how far it is."""
    app = App(Home(tmp_path))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    said = threading.Event()
    drawn: list[bool] = []

    class Bar:
        pos = 0

        def update(self, _: int) -> None:
            said.wait(0.1)
            drawn.append(said.is_set())

        def render_progress(self) -> None:
            talking.start()

        def render_finish(self) -> None:
            said.set()

    monkeypatch.setattr(click, "progressbar", lambda **_: Bar())
    talking = threading.Thread(target=lambda: app.say("a mirror is away"))
    with progress_bar(app, "storing") as step:
        assert step
        step(1, 3)
        talking.join()
    assert drawn == [False]
