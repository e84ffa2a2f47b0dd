// Prints the memories of a vault, one JSON object a line:
//
//   node read.mjs KEY-FILE INVITATION-FILE BLOB-FOLDER [RPC-URL] < passphrase
//
// The invitation says where the vault stands; the node is asked for its record in plain JSON-RPC.

import { readFile } from "node:fs/promises";
import { join as path } from "node:path";
import { text } from "node:stream/consumers";
import { Refused, ascii, hex, keccak, number, unhex } from "./crypto.mjs";
import { readInvitation, unlock } from "./texts.mjs";
import { readVault } from "./vault.mjs";

async function ask(rpc, method, ...params) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const response = await fetch(rpc, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { result, error } = await response.json();
  if (error) throw new Error(`the node refused ${method}: ${error.message}`);
  return result;
}

// IMemoryRegistry.record(vaultId), decoded as far as a reader needs it, and the time of its block.
async function recordOf(rpc, { chain, registry, vault }) {
  if (BigInt(await ask(rpc, "eth_chainId")) !== chain) throw new Error("the node serves another chain");
  const block = await ask(rpc, "eth_getBlockByNumber", "latest", false);
  const data = `0x${hex(keccak(ascii("record(bytes32)")).slice(0, 4))}${hex(vault)}`;
  const answer = unhex((await ask(rpc, "eth_call", { to: `0x${hex(registry)}`, data }, block.number)).slice(2));
  const word = (index) => answer.slice(32 + 32 * index, 64 + 32 * index); // a struct with a string: after its offset
  const value = (index) => number(word(index).slice(26));
  const [version, epoch, headLag, epochLag] = [value(1), value(2), value(4), value(5)];
  if (headLag === 255) throw new Error("the record no longer tells the head's version: see the log of Committed");
  return {
    headVersion: version - headLag,
    headEpoch: epoch - epochLag,
    contentHash: word(6),
    memoryRoot: word(7),
    keyringHash: word(8),
    sentByOwner: () => sentBy(rpc, { registry, vault }, word(6), word(0)),
    time: Number(block.timestamp),
  };
}

// Whether the log has a commit of this head by this account: Committed(vaultId indexed, actor indexed, version, epoch,
// contentHash, memoryRoot, keyringHash).
async function sentBy(rpc, { registry, vault }, contentHash, account) {
  const event = hex(keccak(ascii("Committed(bytes32,address,uint32,uint32,bytes32,bytes32,bytes32)")));
  const topics = [`0x${event}`, `0x${hex(vault)}`, `0x${hex(account)}`];
  const logs = await ask(rpc, "eth_getLogs", { address: `0x${hex(registry)}`, topics, fromBlock: "0x0" });
  return logs.some(({ data }) => data.slice(2 + 128, 2 + 192) === hex(contentHash));
}

const [keyFile, invitationFile, folder, rpcUrl] = process.argv.slice(2);
try {
  const invitation = readInvitation(await readFile(invitationFile, "utf8"));
  const secret = unlock(await readFile(keyFile, "utf8"), (await text(process.stdin)).replace(/\n$/, ""));
  const record = await recordOf(rpcUrl ?? invitation.rpc, invitation.place);
  const fetchBlob = async (hash) => Uint8Array.from(await readFile(path(folder, hex(hash))));
  const { ring, memories } = await readVault(invitation.place, record, fetchBlob, secret, [invitation.anchor]);
  if (ring.expires !== null && ring.expires <= record.time) throw new Refused("AccessEnded", "the grant has ended");
  for (const { id, content, created, type, tags, source } of memories) {
    const written = { id: hex(id), content, created: created === null ? null : String(created), type, tags, source };
    process.stdout.write(`${JSON.stringify(written)}\n`);
  }
} catch (error) {
  process.stderr.write(`${error.name}: ${error.message}\n`);
  process.exitCode = 1;
}
