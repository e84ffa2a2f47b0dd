// Suite 1 from its parts, and what memsync_client/FORMAT.md calls "Common parts". Nothing here knows MemSync's code.

import { gcm } from "@noble/ciphers/aes.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { extract } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { keccak_256, sha3_256, shake256 } from "@noble/hashes/sha3.js";
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";

export { sha256, keccak_256 as keccak };

// What was refused, and as what: one of the classes that tests/vectors/README.md lists.
export class Refused extends Error {
  constructor(name, message) {
    super(message);
    this.name = name;
  }
}

export const tampered = (message) => new Refused("Tampered", message);

// Bytes ---------------------------------------------------------------------------------------------------------------

export const hex = (bytes) => Buffer.from(bytes).toString("hex");

export const unhex = (text) => {
  if (text.length % 2 || !/^[0-9a-f]*$/.test(text)) throw new Error("not lower-case hex");
  return Uint8Array.from(Buffer.from(text, "hex"));
};

export const ascii = (text) => Uint8Array.from(Buffer.from(text, "latin1"));

export const join = (...parts) => Uint8Array.from(Buffer.concat(parts.map((part) => Uint8Array.from(part))));

export const same = (a, b) => a.length === b.length && Buffer.compare(a, b) === 0;

export function unsigned(value, size) {
  return unhex(BigInt(value).toString(16).padStart(2 * size, "0"));
}

export function number(bytes) {
  return bytes.reduce((value, byte) => value * 256 + byte, 0); // exact: no field of the format that is read so is longer than u48
}

// Derivation and contexts ---------------------------------------------------------------------------------------------

// HKDF-Expand. The library's own refuses keys shorter than the hash, which RFC 5869 asks for, and ours are.
export function expand(hash, key, info, size) {
  let block = new Uint8Array();
  let out = block;
  for (let count = 1; out.length < size; count++) {
    block = hmac(hash, key, join(block, info, [count]));
    out = join(out, block);
  }
  return out.slice(0, size);
}

export function derive(secret, label) {
  return expand(sha512, secret, ascii(`memsync/v1/${label}`), 32);
}

export function context(place, kind, epoch) {
  const { chain, registry, vault } = place;
  return join(ascii(`memsync/v1/${kind}`), [0, 1], unsigned(chain, 32), registry, vault, unsigned(epoch, 4));
}

// X-Wing and HPKE -----------------------------------------------------------------------------------------------------

export function keyPair(seed) {
  const expanded = shake256(seed, { dkLen: 96 });
  const kem = ml_kem768.keygen(expanded.slice(0, 64));
  const scalar = expanded.slice(64);
  const point = x25519.getPublicKey(scalar);
  const publicKey = join(kem.publicKey, point);
  return { kem: kem.secretKey, scalar, point, publicKey, id: sha256(publicKey) };
}

export function decapsulate(pair, encapsulation) {
  const kemText = encapsulation.slice(0, 1088);
  const theirs = encapsulation.slice(1088);
  const kemSecret = ml_kem768.decapsulate(kemText, pair.kem);
  const shared = x25519.getSharedSecret(pair.scalar, theirs);
  return sha3_256(join(kemSecret, shared, theirs, pair.point, unhex("5c2e2f2f5e5c")));
}

// RFC 9180 §5.1, base mode; `aead` is [its id, bytes of its key].
export function schedule(shared, info, aead = [2, 32]) {
  const suite = join(ascii("HPKE"), unsigned(0x647a, 2), unsigned(1, 2), unsigned(aead[0], 2));
  const labelled = (label, data) => join(ascii("HPKE-v1"), suite, ascii(label), data);
  const nothing = new Uint8Array();
  const idHash = extract(sha256, labelled("psk_id_hash", nothing), nothing);
  const bound = join([0], idHash, extract(sha256, labelled("info_hash", info), nothing));
  const secret = extract(sha256, labelled("secret", nothing), shared);
  const step = (label, size) => expand(sha256, secret, join(unsigned(size, 2), labelled(label, bound)), size);
  return { key: step("key", aead[1]), nonce: step("base_nonce", 12) };
}

// The plaintext of an envelope, or null if it is not for this key and this info.
export function openEnvelope(pair, info, envelope) {
  if (envelope.length < 1136) return null;
  try {
    const { key, nonce } = schedule(decapsulate(pair, envelope.slice(0, 1120)), info);
    return gcm(key, nonce).decrypt(envelope.slice(1120));
  } catch {
    return null; // a point of low order, or another tag
  }
}

// Cobblestone-256 and sealed objects ----------------------------------------------------------------------------------

const CHUNK = 16_384;
const TAG = 16;

export function unsealRaw(key, bound, blob, what) {
  const wrong = () => tampered(`the ${what} does not open`);
  if (key.length !== 32 || blob.length < 56 + TAG) throw wrong();
  const info = join(ascii("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"), blob.slice(0, 24), bound);
  const derived = expand(sha512, key, info, 76);
  if (!same(derived.slice(44), blob.slice(24, 56))) throw wrong();
  const chunks = [];
  for (let at = 56, count = 0; ; at += CHUNK + TAG, count++) {
    const chunk = blob.slice(at, at + CHUNK + TAG);
    const nonce = derived.slice(32, 44);
    unsigned(count, 4).forEach((byte, i) => (nonce[8 + i] ^= byte));
    try {
      chunks.push(gcm(derived.slice(0, 32), nonce).decrypt(chunk));
    } catch {
      throw wrong();
    }
    if (chunk.length < CHUNK + TAG) return join(...chunks); // the last is always short, and may be empty
  }
}

export function unseal(key, bound, blob, what) {
  const plain = unsealRaw(key, bound, blob, what);
  const end = 4 + number(plain.slice(0, 4));
  if (plain.length < 4 || end > plain.length || plain.slice(end).some(Boolean)) {
    throw tampered(`the ${what} is padded wrongly`);
  }
  return plain.slice(4, end);
}

// Signatures ----------------------------------------------------------------------------------------------------------

export function verify(publicKey, bound, body, signature, what) {
  let right = false;
  try {
    right = ed25519.verify(signature, join(bound, sha256(body)), publicKey, { zip215: false }); // RFC 8032, strict
  } catch {
    // not even a signature, or no key
  }
  if (!right) throw tampered(`the ${what} is not signed by the writer key`);
}

// A sealed body of the form signature ‖ CBOR: the CBOR.
export function unsealSigned(key, publicKey, bound, blob, what) {
  const signed = unseal(key, bound, blob, what);
  const body = signed.slice(64);
  verify(publicKey, bound, body, signed.slice(0, 64), what);
  return body;
}
