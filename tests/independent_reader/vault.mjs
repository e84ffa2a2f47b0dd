// Heads, packs, the memory log, and a whole vault: FORMAT.md, "Pack", "Head" and "Memory log".

import { decode, fields, isBytes, isNumber, isText, isTuple } from "./cbor.mjs";
import {
  Refused,
  context,
  derive,
  hex,
  join,
  keccak,
  same,
  sha256,
  tampered,
  unseal,
  unsealSigned,
  unsigned,
} from "./crypto.mjs";
import { follows, openKeyring } from "./keyring.mjs";

const MAX_BLOB = 1_000_000;
const U32 = 2n ** 32n;

// Memory log ----------------------------------------------------------------------------------------------------------

export const entryOf = (vault, salt, record) => keccak(join(vault, salt, record));

const leafOf = (entry) => keccak(join([0], entry));
const nodeOf = (left, right) => keccak(join([1], left, right));

export function appended({ size, peaks }, entries) {
  const roots = [...peaks];
  for (const entry of entries) {
    let node = leafOf(entry);
    for (let rest = size; rest % 2; rest = (rest - 1) / 2) node = nodeOf(roots.pop(), node);
    roots.push(node);
    size++;
  }
  return { size, peaks: roots };
}

export function memoryRoot({ size, peaks }) {
  const root = peaks.length ? peaks.reduceRight((right, left) => nodeOf(left, right)) : keccak(new Uint8Array());
  return keccak(join([2], root, unsigned(size, 8)));
}

const EMPTY = { size: 0, peaks: [] };

const malformed = (message) => new Refused("MalformedProof", message); // the contract's error

// RFC 9162 §2.1.3.2: the memory root that an inclusion proof leads to. `index` and `size` are BigInt.
export function rootFromProof(entry, index, size, proof) {
  if (index >= size) throw malformed("the index lies beyond the log");
  let [node, at, last] = [leafOf(entry), index, size - 1n];
  for (const sibling of proof) {
    if (last === 0n) throw malformed("the proof is too long");
    if (at % 2n || at === last) {
      node = nodeOf(sibling, node);
      while (at && at % 2n === 0n) [at, last] = [at >> 1n, last >> 1n];
    } else {
      node = nodeOf(node, sibling);
    }
    [at, last] = [at >> 1n, last >> 1n];
  }
  if (last !== 0n) throw malformed("the proof is too short");
  return keccak(join([2], node, unsigned(size, 8)));
}

// Memories ------------------------------------------------------------------------------------------------------------

const SPACE = /^[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$/;
const YEAR_1 = -62_135_596_800_000_000n; // microseconds since 1970
const YEAR_10000 = 253_402_300_800_000_000n;

const isShort = (value) => isText(value) && Buffer.byteLength(value) <= 256;
const orNull = (check) => (value) => value === null || check(value);
const isList = (check, most) => (value) => Array.isArray(value) && value.length <= most && value.every(check);
const isId = (value) => isBytes(value, 16);

const RECORD = {
  id: isId,
  revision: isId,
  supersedes: isList(isId, 64),
  content: (v) => isText(v) && Buffer.byteLength(v) <= 65_536 && !SPACE.test(v),
  created: orNull((v) => isNumber(v, YEAR_1, YEAR_10000)),
  type: orNull(isShort),
  tags: isList(isShort, 32),
  source: orNull((v) => isTuple(v, isShort, orNull(isShort), orNull(isShort))),
};

export function readRecord(record) {
  return fields(decode(record, "memory"), RECORD, "memory");
}

// By memory, in order of first appearance: the revisions that no other supersedes, else the last one.
export function tips(revisions) {
  const memories = new Map();
  for (const memory of revisions) {
    const id = hex(memory.id);
    if (!memories.has(id)) memories.set(id, { known: new Map(), superseded: new Set() });
    const { known, superseded } = memories.get(id);
    if (!known.has(hex(memory.revision))) known.set(hex(memory.revision), memory);
    for (const revision of memory.supersedes) superseded.add(hex(revision));
  }
  return [...memories.values()].flatMap(({ known, superseded }) => {
    const standing = [...known].filter(([revision]) => !superseded.has(revision)).map(([, memory]) => memory);
    return standing.length ? standing : [...known.values()].slice(-1);
  });
}

// Packs and heads -----------------------------------------------------------------------------------------------------

const isEntry = (item) => isBytes(item, 32) || isTuple(item, isId, (v) => isBytes(v));

export function openPack(place, epoch, secret, blob) {
  const body = unseal(derive(secret, "epoch/pack"), context(place, "pack", epoch), blob, "pack");
  const items = decode(body, "pack");
  if (!Array.isArray(items) || !items.every(isEntry)) throw tampered("a pack is malformed");
  return items.map((item) => {
    if (!Array.isArray(item)) return { entry: item, memory: null }; // forgotten
    const [salt, record] = item;
    return { entry: entryOf(place.vault, salt, record), memory: readRecord(record) };
  });
}

const isEpoch = (value) => isNumber(value, 1, U32);
const isHeadRef = (item) => isTuple(item, (v) => isBytes(v, 32), isEpoch);
const isPackRef = (item) => isTuple(item, (v) => isBytes(v, 32), isEpoch, isEpoch);

const isDistinct = (hashes) => new Set(hashes.map(hex)).size === hashes.length;

const HEAD = {
  version: isEpoch,
  parent: orNull(isHeadRef),
  base: orNull(isHeadRef),
  age: (v) => isNumber(v, 0, 16),
  packs: isList(isPackRef, Infinity),
  new: (v) => isNumber(v, 0, U32),
  size: (v) => isNumber(v, 0, 2n ** 53n),
  peaks: isList((v) => isBytes(v, 32), Infinity),
  forgotten: (v) => isList((hash) => isBytes(hash, 32), Infinity)(v) && isDistinct(v),
};

const SKIPS = { skips: (v) => isList((hash) => isBytes(hash, 32), 20_000)(v) && v.length > 0 && isDistinct(v) };

export function openHead(place, epoch, keys, blob) {
  const bound = context(place, "head", epoch);
  const body = unsealSigned(derive(keys.secret, "epoch/head"), keys.writer, bound, blob, "head");
  const decoded = decode(body, "head");
  const skipping = decoded instanceof Map && decoded.has("skips");
  const value = fields(decoded, skipping ? { ...HEAD, ...SKIPS } : HEAD, "head");
  const ones = [...value.size.toString(2)].filter((bit) => bit === "1").length;
  const sound =
    ones === value.peaks.length &&
    isDistinct(value.packs.map(([hash]) => hash)) &&
    value.new <= BigInt(value.packs.length) &&
    (value.base === null) === (value.age === 0n) &&
    !(skipping && value.parent === null);
  if (!sound) throw tampered("a head is malformed");
  const ref = (item) => item && { hash: item[0], epoch: Number(item[1]) };
  return {
    version: Number(value.version),
    parent: ref(value.parent),
    base: ref(value.base),
    age: Number(value.age),
    packs: value.packs.map((item) => ({ ...ref(item), count: Number(item[2]) })),
    new: Number(value.new),
    log: { size: Number(value.size), peaks: value.peaks },
    forgotten: value.forgotten,
    ...(skipping && { skips: value.skips }),
  };
}

// The ids of forgotten memories, from one of the blobs that a head names.
export function openForgotten(place, epoch, ownerSecret, blob) {
  const body = unseal(derive(ownerSecret, "owner/forgotten"), context(place, "forgotten", epoch), blob, "forgotten ids");
  const ids = decode(body, "forgotten ids");
  const ascending = isList(isId, Infinity)(ids) && ids.every((id, i) => i === 0 || Buffer.compare(ids[i - 1], id) < 0);
  if (!ascending) throw tampered("a list of forgotten ids is malformed");
  return ids;
}

// A whole vault -------------------------------------------------------------------------------------------------------

// `record` is what stands on chain: headVersion, headEpoch, contentHash, memoryRoot, keyringHash, and sentByOwner, which
// says whether the vault's owner sent the commit of that head. `fetch` gives the bytes under a hash, `known` what the keyring must follow from. Returns the keyring and the memories, in log order.
export async function readVault(place, record, fetch, secret, known = []) {
  const get = async (hash) => {
    const blob = await fetch(hash);
    if (blob.length > MAX_BLOB || !same(sha256(blob), hash)) throw tampered(`blob ${hex(hash)} has other bytes`);
    return blob;
  };
  const ring = openKeyring(place, record.headEpoch, await get(record.keyringHash), secret);
  for (const anchor of known) follows(ring, anchor);

  const head = openHead(place, record.headEpoch, ring.keys, await get(record.contentHash));
  if (head.version !== record.headVersion || !same(memoryRoot(head.log), record.memoryRoot)) {
    throw tampered("the head is not the one on chain");
  }
  if (head.skips && !(await record.sentByOwner())) {
    throw tampered("the head passes over others, and is not the owner's");
  }
  const baseKeys = head.base && keysFor(ring, head.base);
  const base = baseKeys && openHead(place, head.base.epoch, baseKeys, await get(head.base.hash));
  if (base?.base) throw tampered("what is named as a base is none");

  let whole = !head.base || base !== null;
  const entries = [];
  for (const ref of [...(base?.packs ?? []), ...head.packs]) {
    const keys = keysFor(ring, ref);
    if (!keys) {
      whole = false; // sealed before this holder's first epoch
      continue;
    }
    const batch = openPack(place, ref.epoch, keys.secret, await get(ref.hash));
    if (batch.length !== ref.count) throw tampered("a pack has another number of entries than its head says");
    entries.push(...batch);
  }
  if (whole && !same(memoryRoot(appended(EMPTY, entries.map(({ entry }) => entry))), memoryRoot(head.log))) {
    throw tampered("the packs are not what the memory log commits to");
  }
  return { ring, head, whole, memories: tips(entries.flatMap(({ memory }) => memory ?? [])) };
}

// The keys for a blob; null where its epoch lies before this holder's first.
function keysFor(ring, { epoch }) {
  const keys = ring.keysOf(epoch);
  if (!keys && (epoch > ring.keys.epoch || epoch >= ring.since)) throw tampered("a blob of an epoch that no key is for");
  return keys;
}
