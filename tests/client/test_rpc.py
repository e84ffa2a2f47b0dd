"""A node that is down, slow, endless, or lies: always one of our errors, in bounded time."""

import json
import time
from typing import Any

import pytest

from memsync_client import rpc
from memsync_client.errors import InvalidRequest, NodeUnreachable, NoRegistry, WrongChain
from memsync_client.registry import Registry
from memsync_client.rpc import Node
from memsync_client.transactions import Call
from tests.client.bad_nodes import lying, reply, result_of, serving
from tests.nodes import Chain, free_port, transact

WORD = "0x" + "11" * 32
VAULT = b"\x11" * 32


def test_connect__closed_port__node_unreachable_without_the_url_secret():
    with pytest.raises(NodeUnreachable) as refused:
        Registry.connect(f"http://user:word@127.0.0.1:{free_port()}/v3/api-key")
    assert "can't be reached" in str(refused.value)
    assert "memsync node" in refused.value.next_step
    assert not any(secret in str(refused.value) for secret in ("api-key", "word"))


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:8545", "http://", "http://127.0.0.1:port", ""])
def test_connect__not_an_http_url__invalid_request(url):
    with pytest.raises(InvalidRequest):
        Registry.connect(url)


def silent(handler, body):
    time.sleep(30)


def trickle_body(handler, body):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b" ")
        time.sleep(0.05)


def trickle_headers(handler, body):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(600):
        handler.wfile.write(f"X-{number}: 1\r\n".encode())
        time.sleep(0.05)


@pytest.mark.parametrize("answer", [silent, trickle_body, trickle_headers])
def test_connect__node_is_slow__gives_up_after_the_timeout(answer):
    with serving(answer) as url:
        started = time.monotonic()
        with pytest.raises(NodeUnreachable, match=r"does not answer within 0\.4 s"):
            Registry.connect(url, timeout=0.4)
        assert time.monotonic() - started < 20  # of the 30 that it would take


def test_connect__answer_without_end__stops_reading_at_the_limit():
    sent = []

    def endless(handler, body):
        handler.send_response(200)
        handler.end_headers()
        while True:
            sent.append(handler.wfile.write(b" " * 2**16))

    with serving(endless) as url, pytest.raises(NodeUnreachable, match="without end"):
        Registry.connect(url)
    assert sum(sent) < rpc.MAX_ANSWER + 16 * 2**20  # what buffers of the kernel take beyond the limit


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b"<html>hello</html>", 200),
        (b"\xff\xfe\x00", 200),
        (b"[" * 100_000, 200),
        (b"[]", 200),
        (b"null", 200),
        (b"{}", 200),
        (b'{"jsonrpc":"2.0","id":-1,"result":"0x1"}', 200),
        (b"not found", 404),
        (b"", 307),
        (b"busy", 503),
    ],
)
def test_connect__answer_is_not_json_rpc__node_unreachable(body, status):
    with serving(lambda handler, _: reply(handler, body, status)) as url, pytest.raises(NodeUnreachable):
        Registry.connect(url)


@pytest.mark.parametrize(
    "told",
    [
        {"result": None},
        {"result": "0xzz"},
        {"result": []},
        {"result": "0x" + "f" * 9000},
        {"error": {"code": -32000, "message": "no"}},
        {"error": "no"},
        {"error": {"message": {}}},
        {},
    ],
)
def test_connect__chain_id_is_not_one__error_of_ours(told):
    def answer(handler, body):
        reply(handler, json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"]} | told).encode())

    with serving(answer) as url, pytest.raises((NodeUnreachable, NoRegistry)):
        Registry.connect(url)


def test_connect__redirected__does_not_follow(chain: Chain):
    def elsewhere(handler, _):
        handler.send_response(307)
        handler.send_header("Location", chain.rpc_url)
        handler.end_headers()

    with serving(elsewhere) as url, pytest.raises(NodeUnreachable):
        Registry.connect(url)


@pytest.fixture
def proxied(monkeypatch, tmp_path):
    """An environment that names a proxy for all hosts, and passwords for them; what the proxy is asked."""
    asked = []

    def answer(handler, body):
        asked.append((handler.path, handler.headers["Authorization"]))
        reply(handler, json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "result": "0x7"}).encode())

    passwords = tmp_path / "netrc"
    passwords.write_text("machine 127.0.0.1 login a password b\nmachine node.example login a password b\n")
    passwords.chmod(0o600)
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(passwords))
    with serving(answer) as url:
        monkeypatch.setenv("http_proxy", url)
        yield asked


def test_request__node_on_this_computer__past_proxies_and_without_their_passwords(proxied):
    seen = []

    def answer(handler, body):
        seen.append((handler.path, handler.headers["Authorization"]))
        reply(handler, json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "result": "0x1"}).encode())

    with serving(answer) as url:
        port = url.rpartition(":")[2]
        for host in ("127.0.0.1", "localhost"):
            assert Node(f"http://{host}:{port}/path").web3.eth.chain_id == 1
        assert Node(f"http://user:word@127.0.0.1:{port}").web3.eth.chain_id == 1
    assert proxied == []
    assert seen == [("/path", None)] * 2 + [("/", "Basic dXNlcjp3b3Jk")]  # what stands in the URL is sent


def test_request__node_elsewhere__by_the_proxy_and_without_netrc(proxied):
    assert Node("http://node.example/path").web3.eth.chain_id == 7
    assert Node("http://user:word@node.example").web3.eth.chain_id == 7
    assert proxied == [("http://node.example/path", None), ("http://node.example/", "Basic dXNlcjp3b3Jk")]


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("localhost.example", False),
        ("10.0.0.1", False),
        ("0x7f.1", False),
    ],
)
def test_is_loopback__by_name_or_address(host, here):
    assert rpc.is_loopback(host) is here


def test_refusal__terminal_codes_in_the_message__only_printable_text():
    def answer(handler, body):
        error = {"code": -32000, "message": "\x1b[2Jno\nway" + "x" * 999}
        reply(handler, json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], "error": error}).encode())

    with serving(answer) as url, pytest.raises(NodeUnreachable) as refused:
        Registry.connect(url)
    assert "[2Jno way" in refused.value.cause
    assert refused.value.cause.isprintable()
    assert len(refused.value.cause) < 300


def test_read__node_busy_twice__asks_again(chain: Chain):
    answers = []

    def busy_then_well(handler, body):
        answers.append(body)
        told = {"jsonrpc": "2.0", "id": json.loads(body)["id"], "result": "0x7"}
        reply(handler, json.dumps(told).encode(), 429 if len(answers) <= 2 else 200)

    with serving(busy_then_well) as url:
        assert Node(url).web3.eth.chain_id == 7
    assert len(answers) == 3


def test_send__node_busy__sends_once_only(chain: Chain, registry, owner):
    asked = []

    def busy(handler, body):
        asked.append(json.loads(body)["method"])
        reply(handler, b"", 503)

    signed = registry.sign(registry.prepare(registry.create(1, VAULT, VAULT, VAULT, ""), owner.address), owner)
    with serving(busy) as url:
        away = Registry(Node(url), registry.chain_id, registry.address, registry._abi)
        with pytest.raises(NodeUnreachable):
            away.send(signed)
    assert asked == ["eth_sendRawTransaction"]


def test_connect__other_chain__both_ids_named(chain: Chain):
    with pytest.raises(WrongChain, match=r"chain 31337, not chain 1\b"):
        Registry.connect(chain.rpc_url, chain_id=1)


def test_connect__no_code_at_the_address__no_registry(chain: Chain):
    with pytest.raises(NoRegistry, match="no MemoryRegistry"):
        Registry.connect(chain.rpc_url, address="0x" + "11" * 20)


def test_connect__other_code_at_the_address__no_registry(chain: Chain):
    with pytest.raises(NoRegistry, match="not this version's"):
        Registry.connect(chain.rpc_url, address="0x4e59b44847b379578588920cA78FbF26c0B4956C")


HOSTILE: list[Any] = [
    None,
    True,
    7,
    -1,
    "",
    "0x",
    "0xzz",
    "text",
    [],
    {},
    [[]],
    {"a": 1},
    WORD,
    WORD * 2,
    "0x" + "ff" * 32 * 12,
]


@pytest.fixture(scope="module")
def created(chain: Chain) -> tuple[bytes, str]:
    """A vault and its owner."""
    registry, owner = chain.registry(), chain.wallet()
    transact(registry, owner, registry.create(1, VAULT, VAULT, VAULT, ""))
    return registry.vault_id_of(owner.address, 1), owner.address


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: str(value)[:12])
@pytest.mark.parametrize(
    ("method", "ask"),
    [
        ("eth_call", lambda registry, vault, account: registry.record(vault)),
        ("eth_call", lambda registry, vault, account: registry.vaults(account)),
        ("eth_getBlockByNumber", lambda registry, vault, account: registry.latest()),
        ("eth_getBlockByNumber", lambda registry, vault, account: registry.record(vault)),
        ("eth_getLogs", lambda registry, vault, account: registry.commits(vault)),
        ("eth_getLogs", lambda registry, vault, account: registry.grants(vault)),
        ("eth_getBalance", lambda registry, vault, account: registry.balance(account)),
        ("eth_getTransactionReceipt", lambda registry, vault, account: registry.receipt(VAULT)),
        ("eth_getTransactionByHash", lambda registry, vault, account: registry.transaction_known(VAULT)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_read__hostile_result__valid_value_or_error_of_ours(chain: Chain, created, method, ask, value):
    vault, account = created
    with lying(chain.rpc_url, result_of(method, value)) as url:
        liar = Registry.connect(url)
        try:
            answer = ask(liar, vault, account)
        except NodeUnreachable:
            return
        assert answer in (None, False, [], 7, int(WORD, 16))  # nothing found, or a balance


def test_vaults__node_counts_one_that_does_not_exist__not_believed(chain: Chain, created):
    _, account = created
    count = Registry.connect(chain.rpc_url).encode(Call("vaultCount", (account,)))

    def one_more(method, params, response):
        asked = method == "eth_call" and params[0]["data"] == "0x" + count.hex()
        return response | {"result": "0x" + f"{2:064x}"} if asked else response

    with lying(chain.rpc_url, one_more) as url, pytest.raises(NodeUnreachable, match="do not exist"):
        Registry.connect(url).vaults(account)
