// The keyring: FORMAT.md, "Envelope" and "Keyring".

import { decode, fields, isBytes, isNumber, isText, isTuple } from "./cbor.mjs";
import {
  Refused,
  context,
  derive,
  hex,
  join,
  keyPair,
  number,
  openEnvelope,
  same,
  sha256,
  tampered,
  unseal,
  unsealRaw,
  unsealSigned,
  unsigned,
  verify,
} from "./crypto.mjs";
import { ed25519 } from "@noble/curves/ed25519.js";

const ENVELOPE = 1264;
const NEVER = 2 ** 40 - 1;
const YEAR_10000 = 253_402_300_800; // seconds since 1970
const READER = 3;
const U32 = 2n ** 32n;

// All of a keyring that the holder of `secret` may open.
export function openKeyring(place, epoch, blob, secret) {
  const plain = ownEnvelope(place, epoch, blob, keyPair(derive(secret, "holder/x-wing")));
  const role = plain[1];
  const expires = number(plain.slice(2, 7));
  if (expires !== NEVER && expires >= YEAR_10000) throw tampered("an expiry is out of range");
  const since = number(plain.slice(7, 11));
  const slots = number(plain.slice(11, 13));
  const trailerEnd = slots * ENVELOPE + number(plain.slice(13, 17));
  const epochSecret = plain.slice(17, 49);
  const ownerSecret = role === READER ? null : plain.slice(49, 81);
  const writer = ownerSecret ? ed25519.getPublicKey(derive(ownerSecret, "owner/writer")) : plain.slice(49, 81);

  const front = blob.slice(0, slots * ENVELOPE);
  const back = blob.slice(trailerEnd);
  const bound = context(place, "trailer", epoch);
  const sealed = blob.slice(front.length, trailerEnd);
  const encoded = unsealSigned(derive(epochSecret, "epoch/trailer"), writer, bound, sealed, "trailer");
  const trailer = fields(decode(encoded, "trailer"), TRAILER, "trailer");
  const fits = trailer.slots === BigInt(slots) && same(trailer.envelopes, sha256(front)) && same(trailer.roster, sha256(back));
  if (!fits) throw tampered("the parts of a keyring do not belong together");

  const keys = { epoch, secret: epochSecret, writer };
  const succession = readSuccession(place, trailer.succession, keys);
  const links = openLinks(place, epoch, trailer.links, since, plain.slice(81, 113), succession);
  const roster = ownerSecret && openRoster(place, epoch, ownerSecret, back);
  const keysOf = (other) => (other === epoch ? keys : (links.get(other) ?? null));
  return { role, expires: expires === NEVER ? null : expires, since, keys, ownerSecret, succession, links, roster, keysOf };
}

// Refuses a keyring that does not follow from what is known of one epoch: { epoch, writer, check }.
export function follows(ring, known) {
  if (ring.keys.epoch < known.epoch) throw new Refused("Rollback", "the keyring is of an earlier epoch");
  const entry = ring.succession.find(({ epoch }) => epoch === known.epoch);
  if (!entry || !same(entry.writer, known.writer) || !same(entry.check, known.check)) {
    throw new Refused("ForeignKeyring", "the keyring does not follow from the known keys");
  }
}

function ownEnvelope(place, epoch, blob, pair) {
  const info = join(context(place, "envelope", epoch), pair.id);
  let own = null;
  let end = Math.min(Math.floor(blob.length / ENVELOPE), 256);
  for (let index = 0; index < end; index++) {
    const plain = openEnvelope(pair, info, blob.slice(index * ENVELOPE, (index + 1) * ENVELOPE));
    if (!plain) continue;
    if (own) throw tampered("two envelopes of a keyring open with one key");
    const slots = number(plain.slice(11, 13));
    const size = slots * ENVELOPE + number(plain.slice(13, 17)) + sealedSize(slots * 1472 + 512);
    const known = plain[0] === 1 && plain[1] >= 1 && plain[1] <= READER && !plain.slice(113).some(Boolean);
    if (!known || slots % 16 || slots < 16 || slots > 256 || index >= slots || size !== blob.length) {
      throw tampered("an envelope does not fit its keyring");
    }
    own = plain;
    end = slots;
  }
  if (!own) throw new Refused("AccessEnded", "no envelope of the keyring opens with this key");
  return own;
}

const sealedSize = (plain) => plain + 56 + 16 * (Math.floor(plain / 16_384) + 1);

// Trailer -------------------------------------------------------------------------------------------------------------

const isSuccession = (item) =>
  isTuple(item, (v) => isNumber(v, 1, U32), (v) => isBytes(v, 32), (v) => isBytes(v, 32), (v) => isBytes(v, 64));

const isLink = (item) => isTuple(item, (v) => isNumber(v, 1, U32), (v) => isBytes(v));

const TRAILER = {
  slots: (v) => isNumber(v, 16, 257),
  envelopes: (v) => isBytes(v, 32),
  roster: (v) => isBytes(v, 32),
  succession: (v) => Array.isArray(v) && v.every(isSuccession),
  links: (v) => Array.isArray(v) && v.every(isLink),
};

function readSuccession(place, items, keys) {
  const entries = [];
  for (const [epoch, writer, check, signature] of items) {
    const before = entries.at(-1);
    if (before && Number(epoch) <= before.epoch) throw tampered("a succession is out of order");
    const bound = context(place, "succession", epoch);
    verify(before ? before.writer : writer, bound, join(writer, check), signature, "succession");
    entries.push({ epoch: Number(epoch), writer, check });
  }
  const last = entries.at(-1);
  const own = last && last.epoch === keys.epoch && same(last.writer, keys.writer);
  if (!own || !same(last.check, derive(keys.secret, "epoch/check"))) {
    throw tampered("the keys are not those that the succession names");
  }
  return entries;
}

function openLinks(place, epoch, items, since, history, succession) {
  const links = new Map();
  let before = 0;
  for (const [linked, sealed] of items) {
    const of = Number(linked);
    if (of <= before || of >= epoch) throw tampered("links are out of order");
    before = of;
    if (of < since) continue;
    const bound = join(context(place, "link", epoch), unsigned(of, 4));
    const plain = unsealRaw(derive(history, "history/link"), bound, sealed, "link");
    const keys = { epoch: of, secret: plain.slice(0, 32), writer: plain.slice(32) };
    const entry = succession.find((step) => step.epoch === of);
    if (!entry || !same(entry.writer, keys.writer) || !same(entry.check, derive(keys.secret, "epoch/check"))) {
      throw tampered("a link is not what the succession names");
    }
    links.set(of, keys);
    history = derive(history, "history/step");
  }
  return links;
}

// Roster --------------------------------------------------------------------------------------------------------------

const isHolder = (item) =>
  isTuple(
    item,
    (key) => isBytes(key, 1216),
    (role) => isNumber(role, 1, 4),
    isText,
    (since) => isNumber(since, 1, U32),
    (expires) => isNumber(expires, 0, YEAR_10000) || expires === BigInt(NEVER),
    (address) => address === null || isBytes(address, 20),
    (addedBy) => isBytes(addedBy, 32),
    (pending) => typeof pending === "boolean",
  );

const ROSTER = {
  name: isText,
  import_key: (v) => isBytes(v, 32),
  holders: (v) => Array.isArray(v) && v.every(isHolder) && new Set(v.map(([key]) => hex(key))).size === v.length,
  rotated: (v) => isNumber(v, 0, YEAR_10000),
  rotate_every: (v) => v === null || isNumber(v, 1, U32),
};

function openRoster(place, epoch, ownerSecret, sealed) {
  const body = unseal(derive(ownerSecret, "owner/roster"), context(place, "roster", epoch), sealed, "roster");
  const { name, holders, rotated, rotate_every } = fields(decode(body, "roster"), ROSTER, "roster");
  const lines = holders.map(([key, role, holder, since, expires, address, addedBy, pending]) => ({
    key_id: hex(sha256(key)),
    role: Number(role),
    name: holder,
    since: Number(since),
    expires: expires === BigInt(NEVER) ? null : Number(expires),
    address: address && hex(address),
    added_by: hex(addedBy),
    pending,
  }));
  return { name, holders: lines, rotated: Number(rotated), rotate_every: rotate_every && Number(rotate_every) };
}
