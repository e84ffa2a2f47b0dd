// Reads every vector of a folder and prints what came of each, as JSON: { file: { outcome, gives } }.
//
//   node vectors.mjs FOLDER

import { ed25519 } from "@noble/curves/ed25519.js";
import { readFile, readdir } from "node:fs/promises";
import { join as path } from "node:path";
import { Refused, context, decapsulate, derive, expand, hex, keyPair, openEnvelope, schedule, sha256, unhex, unseal } from "./crypto.mjs";
import { follows, openKeyring } from "./keyring.mjs";
import { readCard, readDeviceCard, readInvitation, readSheet, unlock } from "./texts.mjs";
import { appended, entryOf, memoryRoot, openForgotten, openHead, openPack, readRecord, readVault, rootFromProof } from "./vault.mjs";

const placeOf = ({ chain, registry, vault }) => ({ chain: BigInt(chain), registry: unhex(registry), vault: unhex(vault) });

const anchorOf = ({ epoch, writer, check }) => ({ epoch, writer: unhex(writer), check: unhex(check) });

const written = (memory) => ({
  id: hex(memory.id),
  revision: hex(memory.revision),
  supersedes: memory.supersedes.map(hex),
  content: memory.content,
  created: memory.created === null ? null : String(memory.created),
  type: memory.type,
  tags: memory.tags,
  source: memory.source,
});

const linksOf = (links) => Object.fromEntries([...links].map(([epoch, { secret }]) => [epoch, hex(secret)]));

// What stands in a vector's `gives`, by its kind.
const kinds = {
  derive: ({ secret, label }) => hex(derive(unhex(secret), label)),

  context: ({ place, of, epoch }) => hex(context(placeOf(place), of, epoch)),

  holder({ secret }) {
    const seed = derive(unhex(secret), "holder/x-wing");
    const [state, account] = ["holder/state", "holder/account"].map((label) => hex(derive(unhex(secret), label)));
    return { seed: hex(seed), key_id: hex(keyPair(seed).id), state, account };
  },

  x_wing({ seed, encapsulation }) {
    const pair = keyPair(unhex(seed));
    return { key_id: hex(pair.id), shared: hex(decapsulate(pair, unhex(encapsulation))) };
  },

  hpke_schedule({ seed, encapsulation, info, aead }) {
    const { key, nonce } = schedule(decapsulate(keyPair(unhex(seed)), unhex(encapsulation)), unhex(info), aead);
    return { key: hex(key), nonce: hex(nonce) };
  },

  hkdf_expand: ({ prk, info, length }) => hex(expand(sha256, unhex(prk), unhex(info), length)),

  ed25519({ seed, public: publicKey, message, signature }) {
    const right = ed25519.verify(unhex(signature), unhex(message), unhex(publicKey), { zip215: false });
    return right ? hex(ed25519.sign(unhex(message), unhex(seed))) : null;
  },

  envelope({ secret, info, blob }) {
    const plain = openEnvelope(keyPair(derive(unhex(secret), "holder/x-wing")), unhex(info), blob);
    if (!plain) throw new Refused("AccessEnded", "the envelope does not open");
    return hex(plain);
  },

  sealed: ({ key, context: bound, blob }) => hex(unseal(unhex(key), unhex(bound), blob, "object")),

  card({ text }) {
    const { name, key, address, schemes } = readCard(text);
    return { name, key_id: hex(sha256(key)), address: hex(address), schemes };
  },

  device_card({ text }) {
    const { name, key, chain, address } = readDeviceCard(text);
    return { name, key_id: hex(sha256(key)), chain: Number(chain), address: address && hex(address) };
  },

  sheet({ text }) {
    const { holder, chain, registry, owner, rpc, bases, anchors, made } = readSheet(text);
    const lines = anchors.map(([vault, epoch, writer, check]) => [hex(vault), Number(epoch), hex(writer), hex(check)]);
    const where = { chain: Number(chain), registry: hex(registry), owner: hex(owner), rpc, bases };
    return { holder: hex(holder), ...where, anchors: lines, made: Number(made) };
  },

  invitation({ text }) {
    const { place, rpc, bases, anchor } = readInvitation(text);
    const at = { chain: Number(place.chain), registry: hex(place.registry), vault: hex(place.vault) };
    return { place: at, rpc, bases, anchor: { epoch: anchor.epoch, writer: hex(anchor.writer), check: hex(anchor.check) } };
  },

  keyring({ place, epoch, secret, known, blob }) {
    const ring = openKeyring(placeOf(place), epoch, blob, unhex(secret));
    if (known) follows(ring, anchorOf(known));
    const { role, expires, since, keys, succession, links, roster } = ring;
    return {
      role,
      expires,
      since,
      epoch_secret: hex(keys.secret),
      writer: hex(keys.writer),
      succession: succession.map((entry) => entry.epoch),
      links: linksOf(links),
      roster,
    };
  },

  record: ({ record }) => written(readRecord(unhex(record))),

  pack({ place, epoch, secret, blob }) {
    return openPack(placeOf(place), epoch, unhex(secret), blob).map(({ entry, memory }) => memory ? written(memory) : hex(entry));
  },

  forgotten({ place, epoch, owner_secret: ownerSecret, blob }) {
    return openForgotten(placeOf(place), epoch, unhex(ownerSecret), blob).map(hex);
  },

  key_file: ({ text, passphrase }) => hex(unlock(text, passphrase)),

  head({ place, epoch, secret, writer, blob }) {
    const head = openHead(placeOf(place), epoch, { secret: unhex(secret), writer: unhex(writer) }, blob);
    const ref = (item) => item && [hex(item.hash), item.epoch];
    return {
      ...head,
      parent: ref(head.parent),
      base: ref(head.base),
      packs: head.packs.map((pack) => [...ref(pack), pack.count]),
      log: { size: head.log.size, peaks: head.log.peaks.map(hex), memory_root: hex(memoryRoot(head.log)) },
      forgotten: head.forgotten.map(hex),
      ...(head.skips && { skips: head.skips.map(hex) }),
    };
  },

  log({ vault, entries }) {
    const leaves = entries.map(([salt, record]) => entryOf(unhex(vault), unhex(salt), unhex(record)));
    return { entries: leaves.map(hex), memory_root: hex(memoryRoot(appended({ size: 0, peaks: [] }, leaves))) };
  },

  proof({ entry, index, size, proof }) {
    return hex(rootFromProof(unhex(entry), BigInt(index), BigInt(size), proof.map(unhex)));
  },

  async vault({ place, record, blobs, secret, known, sender, more = [] }) {
    const byHash = new Map([...blobs, ...more].map((blob) => [hex(sha256(unhex(blob))), unhex(blob)]));
    const fetch = async (hash) => byHash.get(hex(hash));
    const at = Object.fromEntries(Object.entries(record).map(([k, v]) => [k, typeof v === "string" ? unhex(v) : v]));
    const onChain = {
      headVersion: at.head_version,
      headEpoch: at.head_epoch,
      contentHash: at.content_hash,
      memoryRoot: at.memory_root,
      keyringHash: at.keyring_hash,
      sentByOwner: () => sender === record.owner,
    };
    const anchors = known ? [anchorOf(known)] : [];
    const { whole, memories } = await readVault(placeOf(place), onChain, fetch, unhex(secret), anchors);
    return { whole, memories: memories.map((memory) => memory.content) };
  },
};

// README.md of the vectors: `like` names a vector to take all other fields from, `splices` change its blob.
async function load(folder, name) {
  const { like, splices = [], ...own } = JSON.parse(await readFile(path(folder, name), "utf8"));
  const vector = { ...(like ? await load(folder, `${like}.json`) : {}), ...own };
  if (typeof vector.blob === "string") vector.blob = unhex(vector.blob);
  for (const [start, end, bytes] of splices) {
    vector.blob = Uint8Array.from(Buffer.concat([vector.blob.slice(0, start), unhex(bytes), vector.blob.slice(end)]));
  }
  return vector;
}

const folder = process.argv[2];
const results = {};
for (const name of (await readdir(folder)).filter((file) => file.endsWith(".json")).sort()) {
  const vector = await load(folder, name);
  if (vector.kind === "kit") continue; // SLIP-39 is a matter of its own, and has vectors of its own
  try {
    results[name] = { outcome: "success", gives: await kinds[vector.kind](vector) };
  } catch (error) {
    if (!(error instanceof Refused)) throw new Error(`${name}: ${error.stack}`);
    results[name] = { outcome: error.name };
  }
}
process.stdout.write(JSON.stringify(results));
