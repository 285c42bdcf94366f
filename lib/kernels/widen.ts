import type * as tf from "@tensorflow/tfjs";
import { profile } from "../backend/profile.ts";
import { assembly, wasmHeap } from "./_assembly.ts";
import module from "./assembly/widen.wasm.ts";

/**
 * Widens bfloat16 numbers into a float32 tensor of the WASM backend, exactly: 8 ms for 4 MiB of bytes in JavaScript, 1
 * here, so that loading keeps up with a disk.
 *
 * @param target any shape
 * @param bytes little-endian, 2 a number
 * @param at element of `target` that the first one goes to
 */
export function widenBfloats(target: tf.Tensor, bytes: Uint8Array, at: number): void {
  const { memory, pointer, allocate, free } = wasmHeap(), count = bytes.length / 2;
  if (at + count > target.size) throw new Error(`Cannot put ${count} numbers at ${at} of ${target.size}`);
  const from = allocate(bytes.length);
  new Uint8Array(memory.buffer, from, bytes.length).set(bytes);
  profile.run("widen_bf16", () => assembly(module).widenBfloats(from, pointer(target) + 4 * at, count));
  free(from);
}
