import { InputError } from "../runtime/errors.ts";
import { memoryAvailable } from "../runtime/environment.ts";
import { findBlas } from "../runtime/native.ts";
import { Allocator } from "./_allocator.ts";
import type { CpuDevice, Live, Slot } from "./device.ts";
import { startThreads } from "./threads.ts";

const PAGE = 65_536;

/** Bytes that the heap may grow to: pointers have 32 bits. */
export const HEAP_BYTES: number = 2 ** 32 - PAGE;

/** The heap grows by at least so much: each growth moves the address that native libraries are given. */
const STEP = 16 * 2 ** 20;

/** Byte 0 means "none" to kernels that may be given no tensor. */
const START = 1024;

/**
 * Opens the CPU: a heap of our own, threads that share it, and a BLAS where one is found.
 *
 * @param asked how many threads
 */
export async function openCpu(why: string, asked: number): Promise<CpuDevice> {
  const { blas, why: blasWhy } = await findBlas(), { memory, count } = openHeap(asked);
  // Ours share products out: two kinds of threads would fight for the cores.
  if (count === asked) blas?.threads?.set(1);
  const products = blas ? `products by ${blas.description}` : `own SIMD products (BLAS: ${blasWhy})`;
  const work = count === 1 ? "1 thread" : `${count} threads`;
  const refused = count < asked ? ", since the system refuses memory that more could share" : "";
  const allocator = new Allocator({
    size: () => memory.buffer.byteLength,
    grow: (bytes) =>
      [Math.max(bytes, STEP, memory.buffer.byteLength / 8), bytes].some((wanted) => {
        try {
          memory.grow(Math.ceil(wanted / PAGE));
          return true;
        } catch {
          return false; // over the maximum, or more than the system gives
        }
      }),
  }, START);
  const live: Live = { tensors: 0, scopes: [] };
  let used = 0;
  const allocate = (bytes: number): number => {
    const pointer = allocator.allocate(bytes);
    if (pointer !== 0) return pointer;
    const mib = (n: number) => `${Math.ceil(n / 2 ** 20).toLocaleString("en")} MiB`;
    throw new InputError(
      `Cannot allocate ${mib(bytes)} more: the heap of the CPU has ${
        mib(allocator.use().used)
      } in use, holds at most ` +
        `${mib(HEAP_BYTES)}, and this machine may give less; a smaller option \`microBatchTokens\` or ` +
        "option `batchSize` needs less",
    );
  };
  const bytesOf = ({ pointer, outside }: Slot, from: number, length: number) =>
    outside ? outside.subarray(from, from + length) : new Uint8Array(memory.buffer, pointer! + from, length);
  const device: CpuDevice = {
    name: "wasm",
    reason: `wasm, ${work}${refused}, ${products}: ${why}`,
    ...(blas && { blas }),
    memory,
    live,
    allocate,
    free: (pointer) => allocator.free(pointer),
    threads: startThreads({ memory, allocate, free: (pointer) => allocator.free(pointer) }, count, blas),
    left: () => {
      const held = memory.buffer.byteLength, free = held - allocator.use().used;
      return free + Math.min(HEAP_BYTES - held, memoryAvailable());
    },
    pointer(tensor) {
      if (tensor.device !== device) {
        throw new Error(
          `Cannot use a tensor of shape [${
            tensor.shape.join(", ")
          }] on the CPU: it is on ${tensor.device.name}`,
        );
      }
      if (tensor.slot.pointer === undefined) {
        throw new Error(
          `Cannot compute with a tensor of shape [${tensor.shape.join(", ")}]: it is outside the heap`,
        );
      }
      return tensor.slot.pointer;
    },
    take(bytes, values) {
      const slot: Slot = { bytes, owners: 1, pointer: allocate(bytes) };
      used += bytes;
      if (values) bytesOf(slot, 0, bytes).set(values);
      return slot;
    },
    takeOutside(bytes) {
      used += bytes;
      return { bytes, owners: 1, outside: new Uint8Array(bytes) };
    },
    release({ pointer, bytes }) {
      used -= bytes;
      if (pointer !== undefined) allocator.free(pointer);
    },
    write: (slot, bytes, offset) => bytesOf(slot, offset, bytes.length).set(bytes),
    read: (slot, bytes) => Promise.resolve(bytesOf(slot, 0, bytes).slice().buffer),
    copy: (from, to, { bytes, offset = 0 }) => bytesOf(to, offset, bytes).set(bytesOf(from, 0, bytes)),
    zero: (slot) => void bytesOf(slot, 0, slot.bytes).fill(0),
    submit() {},
    finish: () => Promise.resolve(),
    use: () => ({ tensors: live.tensors, used, held: memory.buffer.byteLength }),
    trim() {},
  };
  return device;
}

/** A heap, shared where several threads are to work on it and the system allows it. */
function openHeap(threads: number): { memory: WebAssembly.Memory; count: number } {
  const pages = { initial: STEP / PAGE, maximum: HEAP_BYTES / PAGE };
  if (threads > 1) {
    try {
      return { memory: new WebAssembly.Memory({ ...pages, shared: true }), count: threads };
    } catch {
      // All of its addresses are reserved at once, which a limit of the system may not allow.
    }
  }
  return { memory: new WebAssembly.Memory(pages), count: 1 };
}
