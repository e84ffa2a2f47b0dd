"""The RPC nodes of a home: what each of them says, and naming others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .errors import MemSyncError, UnknownVault
from .home import Home

if TYPE_CHECKING:
    from .registry import Registry


@dataclass(frozen=True)
class NodeStanding:
    """One node: its address without what may be an API key, its newest block, and whether it proves state (None where
    there is no vault to ask for); or why it can't be used."""

    name: str
    block: int | None
    proves: bool | None
    trouble: MemSyncError | None


def node_standings(home: Home, urls: str | None = None) -> list[NodeStanding]:
    """What each node of the home, or of ``urls`` (separated by spaces), answers by itself."""
    from .agreement import side_by_side
    from .registry import Registry
    from .rpc import Node

    config, vault_ids = home.config(), list(home.labels().values())

    def ask(url: str) -> NodeStanding:
        registry = Registry.connect(url, chain_id=config.chain_id, address=config.registry)
        block = registry.latest().number
        return NodeStanding(registry.node.name, block, _proves(registry, vault_ids), None)

    asked = (urls or config.rpc).split()
    return [
        NodeStanding(Node(url).name, None, None, found) if isinstance(found, MemSyncError) else found
        for url, found in zip(asked, side_by_side(asked, ask), strict=True)
    ]


def compare_nodes(home: Home, urls: str | None = None) -> None:
    """Asks for every vault of the home through all nodes at once. Raises NodesDisagree, NodeUnreachable, WrongChain,
    NoRegistry, or InvalidRequest."""
    from .registry import Registry

    config = home.config()
    registry = Registry.connect(urls or config.rpc, chain_id=config.chain_id, address=config.registry)
    for vault_id in home.labels().values():
        registry.record(vault_id)


def name_nodes(home: Home, urls: str) -> None:
    """Makes ``urls`` the nodes of the home, once they serve its chain and do not contradict each other. Raises what
    ``compare_nodes`` raises."""
    compare_nodes(home, urls)
    with home.lock():
        home.write_config(replace(home.config(), rpc=urls))


def _proves(registry: Registry, vault_ids: list[bytes]) -> bool | None:
    for vault_id in vault_ids:
        try:
            return registry.record(vault_id, prove=True).proven
        except UnknownVault:
            continue
    return None
