/** Short digests that tell which model and which prompt a log-prob is of. */

import { createHash } from "node:crypto";
import type { Tensor } from "../backend/device.ts";
import { empty, read } from "../backend/tensors.ts";
import { isAdapterParameter } from "../checkpoint/adapted.ts";
import type { Model } from "./model.ts";

/** Numbers of each tensor that the digest of a model looks at. */
const SAMPLED = 256;

/**
 * What tells a prompt from another: of its token ids, so of template, system text, examples and tokenizer together.
 *
 * SHA-256 of the ids as little-endian int32, its first 16 hexadecimal digits.
 */
export function promptDigest(ids: readonly number[]): string {
  const bytes = new DataView(new ArrayBuffer(4 * ids.length));
  ids.forEach((id, i) => bytes.setInt32(4 * i, id, true));
  return createHash("sha256").update(new Uint8Array(bytes.buffer)).digest("hex").slice(0, 16);
}

/**
 * What tells a model from another as it is now, whatever it was loaded from: SHA-256 of the first 256 numbers of each of
 * its tensors, by name, its first 16 hexadecimal digits. One readback, however large the model is.
 *
 * A new adapter, whose update is still zero, and one that is switched off leave the digest of the base; a matrix kept in
 * fewer bits has another, since it gives other log-probs.
 */
export async function modelDigest(model: Model): Promise<string> {
  const { parameters, quantized, adapter } = model.decoder;
  const tensors = new Map<string, Tensor>(parameters);
  for (const [name, { words, scales }] of quantized ?? []) {
    tensors.set(`${name}.words`, words).set(`${name}.scales`, scales);
  }
  const names = [...tensors.keys()].sort();
  const counts = names.map((name) => Math.min(SAMPLED, tensors.get(name)!.size));
  using sample = empty(model.device, [counts.reduce((sum, count) => sum + count, 0)], "int32"); // bits, not numbers
  let at = 0;
  names.forEach((name, i) => {
    model.device.copy(tensors.get(name)!.slot, sample.slot, { bytes: 4 * counts[i]!, offset: 4 * at });
    at += counts[i]!;
  });
  const values = await read(sample), parts = new Map<string, Uint8Array>();
  at = 0;
  names.forEach((name, i) => {
    parts.set(name, new Uint8Array(values.buffer, 4 * at, 4 * counts[i]!));
    at += counts[i]!;
  });
  if (adapter?.enabled === false) {
    [...parts.keys()].filter(isAdapterParameter).forEach((name) => parts.delete(name));
  }
  for (const name of adapter?.projections.keys() ?? []) {
    if (parts.get(`${name}.lora_b`)?.some((byte) => byte !== 0)) continue;
    for (const factor of ["a", "b"]) parts.delete(`${name}.lora_${factor}`);
  }
  const hash = createHash("sha256");
  for (const [name, bytes] of parts) hash.update(`${name}:${bytes.length}\n`).update(bytes);
  return hash.digest("hex").slice(0, 16);
}
