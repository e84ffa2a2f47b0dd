// Core deterministic CBOR (RFC 8949 §4.2.1) with the types that FORMAT.md allows. Read strictly: what has another
// form than the one it should have is refused where it stands, so that nothing has to be encoded again.
//
// Integers become BigInt, byte strings Uint8Array, maps Map.

import { same, tampered } from "./crypto.mjs";

const LEVELS = 9; // the value at the bottom is one of them

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function decode(data, what) {
  const reader = { data, at: 0 };
  let value;
  try {
    value = item(reader, 1);
  } catch (error) {
    throw tampered(`the ${what} is not canonical: ${error.message}`);
  }
  if (reader.at !== data.length) throw tampered(`the ${what} has bytes behind it`);
  return value;
}

function take(reader, size) {
  if (size > reader.data.length - reader.at) throw new Error("cut off");
  reader.at += size;
  return reader.data.slice(reader.at - size, reader.at);
}

function argument(reader, extra) {
  if (extra < 24) return BigInt(extra);
  if (extra > 27) throw new Error("no definite length");
  const size = 1 << (extra - 24);
  const value = take(reader, size).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  if (value < (size === 1 ? 24n : 1n << BigInt(4 * size))) throw new Error("not the shortest form");
  return value;
}

function item(reader, level) {
  if (level > LEVELS) throw new Error("too many levels");
  const [head] = take(reader, 1);
  const type = head >> 5;
  if (type === 7) {
    if (head === 0xf6) return null;
    if (head === 0xf4 || head === 0xf5) return head === 0xf5;
    throw new Error("type not allowed");
  }
  const value = argument(reader, head & 31);
  switch (type) {
    case 0:
      return value;
    case 1:
      if (value >= 1n << 63n) throw new Error("integer out of range");
      return -1n - value;
    case 2:
      return take(reader, Number(value));
    case 3:
      return utf8.decode(take(reader, Number(value)));
    case 4:
      return Array.from(counted(reader, value), () => item(reader, level + 1));
    case 5:
      return map(reader, value, level);
    default:
      throw new Error("tags are not allowed");
  }
}

function counted(reader, value) {
  if (value > BigInt(reader.data.length - reader.at)) throw new Error("cut off"); // each item takes a byte at least
  return { length: Number(value) };
}

function map(reader, size, level) {
  const found = new Map();
  const { length } = counted(reader, size);
  let before = null;
  for (let i = 0; i < length; i++) {
    const start = reader.at;
    const key = item(reader, level + 1);
    const encoded = reader.data.slice(start, reader.at);
    if (typeof key !== "string") throw new Error("a key is not text");
    if (before && (same(before, encoded) || Buffer.compare(before, encoded) > 0)) throw new Error("keys out of order");
    before = encoded;
    found.set(key, item(reader, level + 1));
  }
  return found;
}

// Shapes --------------------------------------------------------------------------------------------------------------

export const isBytes = (value, size) => value instanceof Uint8Array && (size === undefined || value.length === size);

export const isText = (value) => typeof value === "string";

export const isNumber = (value, from, below) => typeof value === "bigint" && BigInt(from) <= value && value < BigInt(below);

// A map with exactly these keys, as an object, each value passing its check.
export function fields(value, shape, what) {
  const names = Object.keys(shape);
  const whole = value instanceof Map && value.size === names.length && names.every((name) => value.has(name));
  const wrong = whole ? names.find((name) => !shape[name](value.get(name))) : "(its fields)";
  if (wrong !== undefined) throw tampered(`the ${what} is malformed: ${wrong}`);
  return Object.fromEntries(value);
}

// An array with exactly so many items, each passing its check.
export const isTuple = (value, ...checks) =>
  Array.isArray(value) && value.length === checks.length && checks.every((check, i) => check(value[i]));
