// Cards, invitations and key files: FORMAT.md, "Card and invitation" and "Files on a holder's own disk".

import { argon2id } from "@noble/hashes/argon2.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { decode, fields, isBytes, isNumber, isText, isTuple } from "./cbor.mjs";
import { Refused, ascii, hex, join, sha256, unhex, unsealRaw } from "./crypto.mjs";

const isTexts = (value) => Array.isArray(value) && value.every(isText);

// Letters, marks, digits, punctuation, symbols and the plain space; none but those inside.
const isName = (value) =>
  isText(value) &&
  /^[^\p{C}\p{Z}](?:[^\p{C}\p{Z}]| )*$/u.test(value) &&
  !value.endsWith(" ") &&
  !/^0x\s*[0-9a-f]{6}/i.test(value) &&
  Buffer.byteLength(value) <= 64;

const CARD = { name: isName, key: isPublicKey, address: (v) => isBytes(v, 20), schemes: isTexts };

const ANCHOR = [(v) => isNumber(v, 1, 2n ** 32n), (v) => isBytes(v, 32), (v) => isBytes(v, 32)];

const INVITATION = {
  chain: (v) => isNumber(v, 1, 2n ** 64n),
  registry: (v) => isBytes(v, 20),
  vault: (v) => isBytes(v, 32),
  rpc: isText,
  bases: isTexts,
  anchor: (v) => isTuple(v, ...ANCHOR),
};

const isChain = (value) => isNumber(value, 1, 2n ** 64n);

const DEVICE_CARD = { name: isName, key: isPublicKey, chain: isChain, address: (v) => v === null || isBytes(v, 20) };

const isAnchors = (value) =>
  Array.isArray(value) &&
  value.every((line) => isTuple(line, (v) => isBytes(v, 32), ...ANCHOR)) &&
  value.every(([vault], i) => i === 0 || Buffer.compare(value[i - 1][0], vault) < 0);

const SHEET = {
  holder: (v) => isBytes(v, 32),
  chain: isChain,
  registry: (v) => isBytes(v, 20),
  owner: (v) => isBytes(v, 20),
  rpc: isText,
  bases: isTexts,
  anchors: isAnchors,
  made: (v) => isNumber(v, 0, 253_402_300_800),
};

export const readDeviceCard = (text) => readLine(text, "memsync-device1", DEVICE_CARD, "InvalidCard");

export const readSheet = (text) => readLine(text, "memsync-sheet1", SHEET, "InvalidKit");

export function readCard(text) {
  return readLine(text, "memsync-card1", CARD, "InvalidCard");
}

export function readInvitation(text) {
  const { chain, registry, vault, rpc, bases, anchor } = readLine(text, "memsync-invitation1", INVITATION, "InvalidInvitation");
  const [epoch, writer, check] = anchor;
  return { place: { chain, registry, vault }, rpc, bases, anchor: { epoch: Number(epoch), writer, check } };
}

function readLine(text, kind, shape, name) {
  try {
    if (text.length > 1_048_576) throw new Error("too long");
    const line = text.replace(/[\t\n\r \u00a0\ufeff]/gu, "");
    const [, head, payload, checksum] = line.match(/^((?:.*?):(.*)):([0-9a-f]{8})$/s);
    const data = Uint8Array.from(Buffer.from(payload, "base64url"));
    const canonical = head === `${kind}:${Buffer.from(data).toString("base64url")}`;
    if (!canonical || hex(sha256(Uint8Array.from(Buffer.from(head)))).slice(0, 8) !== checksum) throw new Error("damaged");
    return fields(decode(data, kind), shape, kind);
  } catch {
    throw new Refused(name, `this is no ${kind}`);
  }
}

// FIPS 203 §7.2 for the first part; the second must not lead every exchange to zero.
function isPublicKey(value) {
  if (!isBytes(value, 1216)) return false;
  try {
    ml_kem768.encapsulate(value.slice(0, 1184));
    x25519.getSharedSecret(sha256(ascii("any scalar")), value.slice(1184));
    return true;
  } catch {
    return false;
  }
}

// A holder's secret from its key file.
export function unlock(file, passphrase) {
  const { salt, sealed, key } = parseKeyFile(file);
  const stretched = argon2id(passphrase.normalize("NFC"), salt, { m: 65_536, t: 3, p: 4, dkLen: 32 });
  return unsealRaw(stretched, join(ascii("memsync/v1/key-file\0"), salt, sha256(key)), sealed, "key file");
}

function parseKeyFile(file) {
  try {
    const { format, kdf, salt, sealed, public: key } = JSON.parse(file);
    const found = { salt: unhex(salt), sealed: unhex(sealed), key: unhex(key) };
    if (format === "memsync-key-1" && kdf === "argon2id" && found.salt.length === 16 && isPublicKey(found.key)) return found;
  } catch {
    // not JSON, or not hex
  }
  throw new Refused("HomeDamaged", "this is no key file of this version");
}
