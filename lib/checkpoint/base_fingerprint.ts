/** What tells one base from another: an adapter keeps its base's. */

import { createHash } from "node:crypto";
import type { Checkpoint } from "./checkpoint.ts";
import type { DecoderConfig } from "./config.ts";
import { floatBytes, type FloatDtype, widen } from "../runtime/float_bytes.ts";

/** The kind of fingerprint that is made; it stands before the digest. */
const version = "2:";

/** Numbers of a block, of which the lower halves count only where one is not zero. */
const blockSize = 2 ** 20;

/**
 * A digest of all parameters' numbers and of what config.json says about what is computed with them. Widening changes
 * nothing, so the same model in BF16 and in F32 has one fingerprint.
 *
 * A float32 goes in as two halves of 16 bits, apart: a BF16 has the upper alone, so that its file is hashed as it lies.
 */
export async function baseFingerprint(checkpoint: Checkpoint): Promise<string> {
  const upper = createHash("sha256"), lower = createHash("sha256");
  upper.update(JSON.stringify(computed(checkpoint.config)));
  for (const { name, parts } of checkpoint.plan) {
    for (const [i, { tensor }] of parts.entries()) {
      const label = `${name}.${i}`;
      upper.update(label);
      await checkpoint.readPieces(tensor, (bytes, dtype, at) => {
        if (dtype === "BF16") return void upper.update(bytes);
        const halves = halvesOf(bytes, dtype);
        for (let from = 0; from < halves.upper.length; from += blockSize) {
          upper.update(bytesOf(halves.upper.subarray(from, from + blockSize)));
          const low = halves.lower.subarray(from, from + blockSize);
          if (low.some((half) => half !== 0)) lower.update(`${label}@${at + from}`).update(bytesOf(low));
        }
      });
    }
  }
  return version +
    createHash("sha256").update(upper.digest()).update(lower.digest()).digest("hex").slice(0, 32);
}

/** The halves of numbers, widened first where that is needed. */
function halvesOf(
  bytes: Uint8Array,
  dtype: FloatDtype,
): { readonly upper: Uint16Array; readonly lower: Uint16Array } {
  const count = bytes.length / floatBytes[dtype], values = new Float32Array(count);
  widen(bytes, dtype, values);
  const bits = new Uint32Array(values.buffer), upper = new Uint16Array(count), lower = new Uint16Array(count);
  for (let i = 0; i < count; i++) {
    upper[i] = bits[i]! >>> 16;
    lower[i] = bits[i]!;
  }
  return { upper, lower };
}

function bytesOf(halves: Uint16Array): Uint8Array {
  return new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength);
}

/** Whether a fingerprint is of the present kind. */
export function isPresent(fingerprint: string): boolean {
  return fingerprint.startsWith(version);
}

/** The fields that change results, in a fixed order: what another field says, tensors' shapes say too. */
function computed(config: DecoderConfig): unknown {
  const { heads, kvHeads, headDim, norm, normEpsilon, positions, rope, activation, slidingWindow, tiedHead } =
    config;
  return [
    heads,
    kvHeads,
    headDim,
    norm,
    normEpsilon,
    positions,
    sorted(rope),
    activation,
    slidingWindow,
    tiedHead,
  ];
}

/** The same value, its fields in alphabetical order. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value ?? null;
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(
    entries.sort(([a], [b]) => a < b ? -1 : 1).map(([key, field]) => [key, sorted(field)]),
  );
}

/**
 * The fingerprint of the former kind, which adapters made before still keep: of a sample of the first layer's and the
 * last norm's numbers.
 */
export async function formerFingerprint(checkpoint: Checkpoint): Promise<string> {
  const parts: Float32Array[] = [];
  for (const entry of checkpoint.plan) {
    if (!/^layers\.0\.|^norm$/.test(entry.name)) continue;
    const values = await checkpoint.readParameter(entry), stride = Math.ceil(values.length / 4096);
    parts.push(values.filter((_, i) => i % stride === 0));
  }
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (joined.set(part, at), at + part.length), 0);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", joined));
  return Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
