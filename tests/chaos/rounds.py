"""Random operations on a world, each in a process that is killed at a random point and begun again; and what it shows
compared with the model."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import click
from eth_account import Account

from memsync_client import keyfile
from memsync_client.keeping import Level
from memsync_client.keys import HolderKey
from tests.chaos import world as acts
from tests.chaos.model import VaultModel
from tests.chaos.world import READERS, VAULTS, Shown, World, build
from tests.e2e.machines import PASSPHRASE, SALT
from tests.killing import Ended, Running

Act = Callable[[], Any]

SECONDS = 120  # that one operation may take on a busy machine
AGAIN = 0.15  # of what was killed once is killed again
FULL_CHECK = 4  # every so many rounds all that all of them show is looked at
# What there is to do, and how often of so many rounds.
BAG = {
    "remember": 3,
    "edit": 3,
    "import": 2,
    "sync": 4,
    "race": 3,
    "grant": 2,
    "revoke": 2,
    "rotate": 1,
    "rotate clean": 1,
    "forget 1": 2,
    "forget 2": 1,
    "forget 3": 1,
    "rekey": 1,
    "restore": 1,
}


class Wrong(Exception):
    """What is shown is not what the model says."""


@dataclass
class Chaos:
    """One run. ``kills`` counts processes that were killed at work."""

    world: World
    seed: int
    say: Callable[[str], None]
    kills: int = 0
    lost: int = 0
    doubled: int = 0
    what: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self._most = 0
        self._unsure: tuple[str, str] | None = None
        self._effects: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._bag: list[str] = []
        self._texts = 0
        self._days = 90

    def run(self, rounds: int) -> None:
        """So many rounds at the least, and exactly so many kills. Raises Wrong."""
        self._most = rounds
        for number in count(1):
            if not self._bag:
                self._bag = [what for what, times in BAG.items() for _ in range(times)]
                self.draw.shuffle(self._bag)
            self._round(number, self._bag.pop())
            done = number >= rounds and self.kills >= rounds
            if done or number % FULL_CHECK == 0:
                self.check_all()
            if done:
                return

    # Rounds -----------------------------------------------------------------------------------------------------------

    def _round(self, number: int, what: str) -> None:
        who, name = self.draw.choice(("desk", "laptop")), self.draw.choice(VAULTS)
        if what in ("grant", "revoke", "restore"):  # the owner's alone
            who = "desk"
        if self._unsure and (who, name) != self._unsure:
            what, (who, name) = self.draw.choice(("sync", "edit", "forget 1")), self._unsure
        model, before = self.world.models[name], self.kills
        if what == "edit" and not model.known(who):
            what = "remember"
        self.what[what] += 1
        begun = time.monotonic()
        if what not in ("remember", "edit", "import"):
            self._unsure = None
        getattr(self, "_" + what.split()[0])(what, who, name, model)
        for each in VAULTS if what in ("rekey", "restore") else (name,):
            self._compare(each, who, self._now(partial(acts.shown, self.world, who, each)), who)
        self.say(f"round {number}: {what} at the {who}, {self.kills - before} killed, {time.monotonic() - begun:.1f} s")

    def _remember(self, what: str, who: str, name: str, model: VaultModel) -> None:
        items = [self._text() for _ in range(self.draw.randint(1, 3))]
        self._suffer(what, who, name, partial(acts.remember, self.world, who, name, items))
        for text in items:
            model.let_wait(text, text, who)

    def _edit(self, what: str, who: str, name: str, model: VaultModel) -> None:
        first = self.draw.choice(model.known(who))
        old, new = self.draw.choice(model.tips(first, who)), self._text()
        self._suffer(what, who, name, partial(acts.edit, self.world, who, name, old, new))
        model.let_wait(first, new, who)

    def _import(self, what: str, who: str, name: str, model: VaultModel) -> None:
        again = self.draw.sample(sorted(model.imported), min(len(model.imported), 2))
        items = [*again, *(self._text() for _ in range(2))]
        self._suffer(what, who, name, partial(acts.take_in, self.world, who, name, items))
        for text in items:
            model.imported.add(text)
            model.let_wait(text, text, who)

    def _sync(self, what: str, who: str, name: str, model: VaultModel) -> None:
        abandoned = self.draw.random() < 0.25  # what comes next finds it as it is
        if self._suffer(what, who, name, partial(acts.sync, self.world, who, name), repeat=not abandoned):
            model.sync(who)
        else:
            self._unsure = (who, name)  # it may have landed, which only this device's next sync tells

    def _race(self, what: str, who: str, name: str, model: VaultModel) -> None:
        """Both devices at once, and one of them is killed."""
        for device in ("desk", "laptop"):
            text = self._text()
            self._now(partial(acts.remember, self.world, device, name, [text]))
            model.let_wait(text, text, device)
        other = "laptop" if who == "desk" else "desk"
        racing = Running(partial(acts.sync, self.world, other, name), log=self._log)
        self._suffer("sync", who, name, partial(acts.sync, self.world, who, name), chain=False)
        ended = racing.wait(SECONDS)
        if ended.error:
            raise Wrong(f"The {other} lost the race for good: {ended.error}")
        model.sync(who)
        model.sync(other)

    def _grant(self, what: str, who: str, name: str, model: VaultModel) -> None:
        reader = self.draw.choice(READERS)
        self._days += 20
        for days in range(self._days, self._days + 20):  # one that landed can be prolonged
            act = partial(acts.grant, self.world, name, reader, days)
            if self._suffer(what, who, name, act, repeat=False, again=days > self._days):
                break
        model.sync(who)
        model.readers.add(reader)

    def _revoke(self, what: str, who: str, name: str, model: VaultModel) -> None:
        reader = self.draw.choice(sorted(model.readers) or READERS)
        self._suffer(what, who, name, partial(acts.revoke, self.world, name, reader))
        model.sync(who)
        model.readers.discard(reader)

    def _rotate(self, what: str, who: str, name: str, model: VaultModel) -> None:
        self._suffer(what, who, name, partial(acts.rotate, self.world, who, name, what.endswith("clean")))
        model.sync(who)

    def _forget(self, what: str, who: str, name: str, model: VaultModel) -> None:
        known = model.known(who)
        firsts = self.draw.sample(known, min(len(known), self.draw.randint(1, 2)))
        items = [text for first in firsts for text in model.tips(first, who)]
        ids = self._now(partial(acts.ids_of, self.world, who, name, items))
        level = Level(int(what[-1]))
        self._suffer(what, who, name, partial(acts.forget, self.world, who, name, ids, level))
        model.forget(firsts, who)
        model.sync(who)

    def _rekey(self, what: str, who: str, name: str, model: VaultModel) -> None:
        self._suffer(what, who, name, partial(acts.rekey, self.world, who))
        for each in self.world.models.values():
            each.sync(who)

    def _restore(self, what: str, who: str, name: str, model: VaultModel) -> None:
        """The desk is lost, and comes back from the kit as a new device; the old one is left out."""
        for each in VAULTS:
            self._suffer("sync", who, each, partial(acts.sync, self.world, who, each))
            self.world.models[each].sync(who)
        world, old = self.world, self.world.desk
        sheet = self._now(partial(acts.sheet, world))
        number = int(old.name.partition("-")[2] or 1) + 1
        folder, kit = old.with_name(f"desk-{number}"), HolderKey(self.draw.randbytes(32))
        wallet = world.folder / "wallet.json"
        shutil.copyfile(old / "wallet.json", wallet)
        self._suffer("restore", who, name, partial(acts.begin_restore, world, folder, sheet, wallet))
        world.desk = folder
        self._suffer("renew", who, name, partial(acts.end_restore, folder, kit))
        world.kit = kit
        device = self._now(partial(acts.device_of, old))
        self._suffer("leave out", who, name, partial(acts.leave_out, folder, device))

    # Killing ----------------------------------------------------------------------------------------------------------

    def _suffer(
        self, what: str, who: str, name: str, act: Act, *, repeat: bool = True, again: bool = False, chain: bool = True
    ) -> bool:
        """Does ``act`` in a process that is killed, with ``chain`` sometimes with the chain, and again, killed or not,
        until it has ended by itself. Whether it has: without ``repeat`` it is done once. ``again``: it was killed
        before."""
        for attempt in range(20):
            killing = self.kills < self._most and self.draw.random() < (AGAIN if again or attempt else 1)
            ended = self._attempt(what, act, killing, chain)
            if ended.killed:
                self.kills += 1
            elif not ended.error:
                return True
            elif ended.error.startswith("Rollback"):  # the chain lost blocks: sync gives them back
                self._now(partial(acts.sync, self.world, who, name))
                continue
            else:
                raise Wrong(f"{what} at the {who} failed: {ended.error}")
            if not repeat:
                return False
        raise Wrong(f"{what} at the {who} never ended.")

    def _attempt(self, what: str, act: Act, killing: bool, chain: bool) -> Ended:
        """Once, killed before one of its effects, or at some moment, or with its chain."""
        draw = self.draw.random() * (1 if chain else 0.92)
        if not killing:
            return self._learn(what, Running(act, log=self._log).wait(SECONDS))
        if draw < 0.6:
            point = self.draw.randint(1, self._effects.get(what, 12) + 1)
            running = Running(act, point=point, seed=self.draw.getrandbits(32), log=self._log)
            return self._learn(what, running.wait(SECONDS))
        running, moment = Running(act, log=self._log), self.draw.uniform(0, 1.1 * self._seconds.get(what, 0.5))
        time.sleep(moment)
        if draw < 0.92:
            running.kill()
            return self._learn(what, running.wait(SECONDS))
        self.world.node.end(signal.SIGKILL)
        running.kill()
        ended = running.wait(SECONDS)
        self.world.node.start()
        if ended.error.startswith("NodeUnreachable"):  # it missed the chain before its own end came
            return replace(ended, killed=True)
        return ended

    def _learn(self, what: str, ended: Ended) -> Ended:
        if not ended.killed and not ended.error:
            self._effects[what], self._seconds[what] = ended.effects, ended.seconds
        return ended

    def _now(self, act: Act) -> Any:
        """What ``act`` gives, in a process that nobody kills."""
        ended = Running(act, log=self._log).wait(SECONDS)
        if ended.killed or ended.error:
            raise Wrong(f"{getattr(act, 'func', act)} failed: {ended.error}")
        return ended.value

    @property
    def _log(self) -> Path:
        return self.world.folder / "log"

    def _text(self) -> str:
        self._texts += 1
        return f"memory {self._texts:04} {'…' * self.draw.randint(0, 40)}"

    # Comparing --------------------------------------------------------------------------------------------------------

    def check_all(self) -> None:
        """Syncs everywhere, and compares what both devices and the readers show, and what stands behind it."""
        self._unsure = None
        for _ in range(2):
            for who in ("desk", "laptop"):
                for name in VAULTS:
                    self._now(partial(acts.sync, self.world, who, name))
        for model in self.world.models.values():
            for who in ("desk", "laptop"):
                model.sync(who)
        for name, model in self.world.models.items():
            seen: Shown = self._now(partial(acts.all_shown, self.world, name))
            for who, found in seen.texts.items():
                if who in READERS and (found is None) == (who in model.readers):
                    raise Wrong(f"The reader {who} of {name} {'is shut out' if found is None else 'still reads'}.")
                if found is not None:
                    self._compare(name, who, found, None)
            odd = (seen.waiting, seen.whole, seen.living, seen.left_over)
            if odd != (0, True, model.readers, []):
                raise Wrong(f"{name}: (waiting, whole, living, left over) are {odd}; readers {model.readers}")
            if seen.entries != model.entries():
                self.doubled += max(0, seen.entries - model.entries())
                raise Wrong(f"The log of {name} has {seen.entries} entries, and should have {model.entries()}.")

    def _compare(self, name: str, who: str, found: list[str], home: str | None) -> None:
        expected = self.world.models[name].texts(home)
        if found == expected:
            return
        missing, more = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
        self.lost += missing.total()
        self.doubled += sum(times for text, times in more.items() if text in expected)
        raise Wrong(f"{name} at the {who}: lacks {sorted(missing)}, has too much {sorted(more)}")


@contextmanager
def quick_keys() -> Iterator[None]:
    """Key files share a salt, so that each passphrase is stretched once, in this process; wallets hardly are."""
    kept = keyfile._new_salt, keyfile._stretch, Account.encrypt
    keyfile._new_salt, keyfile._stretch = lambda: SALT, cache(keyfile._stretch)
    Account.encrypt = partial(Account.encrypt, iterations=2)  # type: ignore[method-assign]
    keyfile._stretch(keyfile.ask(PASSPHRASE), SALT)
    try:
        yield
    finally:
        keyfile._new_salt, keyfile._stretch, Account.encrypt = kept  # type: ignore[method-assign]


@click.command()
@click.option("--rounds", default=200, show_default=True, help="How many rounds, and how many kills.")
@click.option("--seed", type=int, help="The seed of an earlier run (default: a new one).")
def command(rounds: int, seed: int | None) -> None:
    """Random operations, killed at random points, and compared with a plain model."""
    seed = int.from_bytes(os.urandom(4)) if seed is None else seed
    click.echo(f"seed {seed}")
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="memsync-chaos-"))
    with quick_keys():
        world = build(folder)
        chaos = Chaos(world, seed, lambda text: click.echo(f"{chaos.kills:>4} kills   {text}"))
        wrong = ""
        try:
            chaos.run(rounds)
        except Wrong as error:
            wrong = str(error)
        finally:
            world.node.end()
    if wrong:
        click.echo(f"{wrong}\nseed {seed}; everything as it was then: {folder}", err=True)
    else:
        shutil.rmtree(folder)
    click.echo(f"{', '.join(f'{what} {times}' for what, times in sorted(chaos.what.items()))}")
    click.echo(f"in {time.monotonic() - begun:.0f} s")
    click.echo(f"{chaos.kills} kills, {chaos.lost} memories lost, {chaos.doubled} duplicated")
    sys.exit(bool(wrong))
