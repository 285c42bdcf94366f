/** Tensors that every rank of a world has: summed, given to all, compared. */

import type { Tensor } from "../backend/device.ts";
import { empty, read, writeInto } from "../backend/tensors.ts";
import { trainable } from "../model/adapter.ts";
import type { Decoder } from "../model/state.ts";
import { InputError } from "../runtime/errors.ts";
import type { World } from "../runtime/world.ts";

/** Bytes of small tensors that are moved as one. */
const TOGETHER = 32 * 2 ** 20;
/** From this size on a tensor goes by itself: packing it would cost more than another call. */
const LARGE = 4 * 2 ** 20;

/** The parameters that a training changes, by their names. */
export function trainedParameters(decoder: Decoder): Map<string, Tensor> {
  const trains = trainable(decoder);
  return new Map([...decoder.parameters].filter(([name]) => trains(name)));
}

/** Puts the sum over all ranks in place of each tensor's numbers. */
export async function sumTensors(world: World, tensors: Iterable<Tensor>): Promise<void> {
  for (const bundle of bundles(tensors)) await onHost(bundle, (numbers) => world.sum(numbers));
}

/** Gives every rank the numbers that rank 0 has. */
export async function broadcastTensors(world: World, tensors: Iterable<Tensor>): Promise<void> {
  if (world.size === 1) return;
  for (const bundle of bundles(tensors)) {
    await onHost(bundle, async (numbers) => {
      const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
      const given = await world.broadcast(bytes);
      if (world.rank > 0) bytes.set(given);
    });
  }
}

/** Tensors in runs of at most {@linkcode TOGETHER} bytes; a large one is a run of its own. */
function bundles(tensors: Iterable<Tensor>): Tensor[][] {
  const made: Tensor[][] = [];
  let run: Tensor[] = [], bytes = 0;
  for (const tensor of tensors) {
    const size = 4 * tensor.size;
    if (size >= LARGE) {
      made.push([tensor]);
      continue;
    }
    if (run.length === 0 || bytes + size > TOGETHER) {
      made.push(run = []);
      bytes = 0;
    }
    run.push(tensor);
    bytes += size;
  }
  return made;
}

/**
 * Lets `change` change the numbers of tensors, one behind the other in memory of the host: a large one of the CPU where it
 * is, others as copies. On a GPU one readback a bundle.
 */
async function onHost(
  bundle: readonly Tensor[],
  change: (numbers: Float32Array) => Promise<void>,
): Promise<void> {
  const [first] = bundle as [Tensor], { device } = first;
  if (bundle.length === 1 && device.name === "wasm" && !first.slot.outside) {
    // Nothing is allocated meanwhile, so the heap stays where it is.
    return await change(new Float32Array(device.memory.buffer, device.pointer(first), first.size));
  }
  const numbers = await readAll(bundle);
  await change(numbers);
  let at = 0;
  for (const tensor of bundle) {
    writeInto(tensor, new Uint8Array(numbers.buffer, 4 * at, 4 * tensor.size), 0);
    at += tensor.size;
  }
}

/** The numbers of several tensors, one behind the other: one readback. */
async function readAll(bundle: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>> {
  const [first] = bundle as [Tensor], { device } = first;
  if (bundle.length === 1) return await read(first) as Float32Array<ArrayBuffer>;
  using whole = empty(device, [bundle.reduce((sum, { size }) => sum + size, 0)]);
  let at = 0;
  for (const { slot, size } of bundle) {
    device.copy(slot, whole.slot, { bytes: 4 * size, offset: 4 * at });
    at += size;
  }
  return await read(whole) as Float32Array<ArrayBuffer>;
}

/**
 * Ends a training whose ranks have come apart: compares a checksum of the bits of every tensor (FNV-1a over 32-bit words)
 * over all ranks.
 *
 * @throws {InputError} that names the first tensor that differs
 */
export async function compareTensors(
  world: World,
  tensors: ReadonlyMap<string, Tensor>,
  step: number,
): Promise<void> {
  if (world.size === 1) return;
  const sums: number[] = [], summed: Tensor[] = [];
  for (const bundle of bundles(tensors.values())) {
    const numbers = await readAll(bundle);
    let at = 0;
    for (const tensor of bundle) {
      sums.push(checksum(new Uint32Array(numbers.buffer, 4 * at, tensor.size)));
      summed.push(tensor);
      at += tensor.size;
    }
  }
  // The least is minus the greatest of what is negated: one message has both.
  const extremes = Float64Array.from([...sums, ...sums.map((sum) => -sum)]);
  await world.max(extremes);
  const apart = sums.findIndex((_, i) => extremes[i] !== -extremes[sums.length + i]!);
  if (apart < 0) return;
  const [name] = [...tensors].find(([, tensor]) => tensor === summed[apart])!;
  throw new InputError(
    `Cannot go on: the ranks' parameters differ at step ${step}, first in "${name}"; is the memory of a machine damaged?`,
  );
}

/** FNV-1a of 32-bit words. */
function checksum(words: Uint32Array): number {
  let sum = 0x811c9dc5;
  for (let i = 0; i < words.length; i++) sum = Math.imul(sum ^ words[i]!, 0x01000193);
  return sum >>> 0;
}
