"""Every verb, then random calls, right and wrong, against the model. Invariants 1 to 13 and 17 to 20.

The random calls are the same at every run of the same code (derandomize), though Hypothesis lets the constants in the
modules that are loaded weigh in, and with them which tests run beside this one. So which verbs they reach is not
asserted; that each succeeds by either door, the scripted test shows. To look further, raise max_examples and set
derandomize to False.
"""

from functools import partial
from typing import Any

import pytest
from ape.contracts import ContractInstance
from ape.managers.accounts import TestAccountManager
from ape.managers.chain import ChainManager
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import Door, RegistryMachine
from .model import READ, RECOVERY_DELAY

# Rule, its arguments, and the event of its call. Accounts: 0 owns, 1 and 2 have grants, 3 takes over.
EVERY_VERB: list[tuple[str, tuple[Any, ...], str]] = [
    ("create", ("", "ipfs://f01551220"), "Created"),
    ("commit", (0, "", False, False), "Committed"),
    ("commit", (0, "", True, True), "Committed"),
    ("commit_as_grantee", (0, "", False, True), "Committed"),
    ("grant", (1, "", 1, READ, 100), "Granted"),
    ("grant_again", ("", 1, READ, 50), "Granted"),
    ("set_base_uri", (0, "", "x" * 32), "BaseURISet"),
    ("revoke", ("", 0), "Revoked"),
    ("commit", (0, "", False, True), "Committed"),
    ("rotate", (0, None, False), "Rotated"),
    ("rotate", (0, None, True), "RevokedAll"),
    ("answer_offer", (False, False), "OfferCancelled"),
    ("veto_recovery", (False,), "RecoveryVetoed"),
    ("offer", (0, "", 3, 100), "Offered"),
    ("answer_offer", (True, False), "Accepted"),
    ("set_recovery", ("", 2), "RecoverySet"),
    ("start_recovery", ("", 0), "RecoveryStarted"),
    ("finish_recovery", (RECOVERY_DELAY, False), "RecoveryFinished"),
    ("close", (1, ""), "Closed"),
    ("close", (0, ""), "Closed"),
]


@pytest.mark.parametrize("door", [Door.DIRECT, Door.SIGNED], ids=lambda door: door.name.lower())
def test_registry__every_verb__does_what_the_model_does(
    registry: ContractInstance, chain: ChainManager, accounts: TestAccountManager, door: Door
) -> None:
    outcomes: list[str] = []
    machine = RegistryMachine(
        registry, chain, [accounts[n] for n in range(4)], accounts[6], outcomes, lambda second: door
    )
    for rule, arguments, event in EVERY_VERB:
        getattr(machine, rule)(*arguments)
        machine.everything_is_as_in_the_model()
        assert event in outcomes, (rule, outcomes)
        outcomes.clear()


def test_registry__random_calls__does_what_the_model_does(
    registry: ContractInstance, chain: ChainManager, accounts: TestAccountManager
) -> None:
    outcomes: list[str] = []
    # Hypothesis takes a factory too, though its types say a class.
    machine: Any = partial(RegistryMachine, registry, chain, [accounts[n] for n in range(4)], accounts[6], outcomes)
    run_state_machine_as_test(
        machine,
        settings=settings(
            derandomize=True,
            database=None,
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # Half of what it met when this was written: the calls are still a mix of verbs and refusals.
    assert len(set(outcomes)) >= 25
