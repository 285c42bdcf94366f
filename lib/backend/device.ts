/**
 * A device is a value: where tensors live and kernels run. There are two kinds, a GPU through WebGPU and the CPU; a
 * program may have both at once, since every tensor knows its own and every kernel finds it from its tensors.
 */

import type { NativeBlas } from "../runtime/native.ts";
import type { Threads } from "./threads.ts";

/** Kinds of numbers, 4 bytes each. */
export type Dtype = "float32" | "int32";

/** Memory of tensors on a device. */
export interface Slot {
  /** Its size. */
  readonly bytes: number;
  /** Tensors that own it: it is given back when the last is freed. */
  owners: number;
  /** On the CPU: where it begins in the heap. */
  readonly pointer?: number;
  /** On the CPU, in place of it: memory outside the heap, which kernels do not reach. */
  readonly outside?: Uint8Array;
  /** On a GPU: the buffer. */
  readonly buffer?: GPUBuffer;
  /** What keeps memory alive that is another program's. */
  readonly lender?: { dispose(): void };
}

/** What is in use, and what is held besides. */
export interface MemoryUse {
  /** Tensors that are alive. */
  readonly tensors: number;
  /** Bytes of memory that tensors own. */
  readonly used: number;
  /** Bytes that the device holds for them, free ones included. */
  readonly held: number;
}

/** The tensors of a device that are alive: how many, and those of the work that is under way. */
export interface Live {
  /** How many there are. */
  tensors: number;
  /** Tensors made by each call of `freeOnError` that has not returned, the innermost last. */
  readonly scopes: Set<Tensor>[];
}

/** What both kinds of device do. */
export interface AnyDevice {
  /** Which it is and why, in one line. */
  readonly reason: string;
  /** What {@linkcode Tensor} keeps of those that are alive. */
  readonly live: Live;
  /** Memory with these values, or whatever it held. Throws InputError when there is none left. */
  take(bytes: number, values?: Uint8Array): Slot;
  /** Gives memory back. */
  release(slot: Slot): void;
  /** Puts bytes, a multiple of 4, at byte `offset`, behind the launches that were recorded. */
  write(slot: Slot, bytes: Uint8Array, offset: number): void;
  /** The first bytes of memory. On a GPU one readback, which costs about 10 ms in Deno, and where its errors come out. */
  read(slot: Slot, bytes: number): Promise<ArrayBuffer>;
  /** Copies the first `bytes` of one memory to byte `offset` (default 0) of another. */
  copy(from: Slot, to: Slot, part: { readonly bytes: number; readonly offset?: number }): void;
  /** Sets all bytes to zero. */
  zero(slot: Slot): void;
  /** Sends what is recorded to the device now. */
  submit(): void;
  /** Waits until all work is done: what a timer must call before it stops. */
  finish(): Promise<void>;
  /** What is in use. */
  use(): MemoryUse;
  /** Gives free memory back to the system, as far as that can be done: where shapes change for good. */
  trim(): void;
}

/** The CPU: tensors lie in the memory of WebAssembly, where SIMD kernels and, if there is one, a BLAS work on them. */
export interface CpuDevice extends AnyDevice {
  /** The word that `--backend` takes. */
  readonly name: "wasm";
  /** The heap. Typed arrays over its buffer must be made anew after anything was allocated. */
  readonly memory: WebAssembly.Memory;
  /** A native library for products, where one was found. */
  readonly blas?: NativeBlas;
  /** Bytes of the heap that tensors can still have: what it may grow by, as far as the machine has memory, and what is free. */
  left(): number;
  /** Zeros outside the heap, for what is too large for it and seldom used: to be read, written and copied, no more. */
  takeOutside(bytes: number): Slot;
  /** Byte offset of a tensor's first element. Throws for a tensor of another device, and for one outside the heap. */
  readonly pointer: (tensor: Tensor) => number;
  /** Bytes outside any tensor, for the caller to free. */
  readonly allocate: (bytes: number) => number;
  /** Gives them back. */
  readonly free: (pointer: number) => void;
  /** What works on it. */
  readonly threads: Threads;
}

/** What an adapter says of itself; each may be empty. */
export interface AdapterIdentity {
  /** Who made it: a name, or a number in decimals. */
  readonly vendor: string;
  /** The family it is of. */
  readonly architecture: string;
  /** Which of its family. */
  readonly device: string;
  /** Its name, by some WebGPUs with the driver and its version. */
  readonly description: string;
}

/** A GPU, with what recording launches on it needs. */
export interface WebgpuDevice extends AnyDevice {
  /** The word that `--backend` takes. */
  readonly name: "webgpu";
  /** The device as the runtime made it. */
  readonly gpu: GPUDevice;
  /** The adapter's name. */
  readonly description: string;
  /** All that the adapter says of itself. */
  readonly adapter: AdapterIdentity;
  /** Whether it is a CPU that stands in for a GPU: registers are memory there, and kernels are shaped otherwise. */
  readonly isCpu: boolean;
  /** What it can beyond the standard. */
  readonly features: ReadonlySet<string>;
  /** What it allows: the adapter's own limits. */
  readonly limits: GPUSupportedLimits;
  /** Operations after which a submission is sent, and about the most of one launch. */
  readonly submissionWork: number;
  /** The encoder of the submission that is being recorded, no pass open. */
  encoder(): GPUCommandEncoder;
  /** The pass that launches are recorded into; a new one where timestamps are to be written. */
  pass(timestampWrites?: GPUComputePassTimestampWrites): GPUComputePassEncoder;
  /** Ends the pass that is open, if any. */
  endPass(): void;
  /**
   * Says that a launch of so many operations was recorded: after 64 launches, and after
   * `submissionWork` operations, the submission is sent.
   */
  launched(work: number): void;
  /** Calls `before` ahead of every submission. */
  onSubmit(before: () => void): void;
  /** Throws the first GPU error that was reported, as one line. Called wherever results are read. */
  check(): void;
}

/** Where tensors live and kernels run. */
export type Device = CpuDevice | WebgpuDevice;

/**
 * Numbers on a device. Whoever makes a tensor frees it, by `dispose` or at the end of a `using` block; a tensor that is
 * used afterwards, or beside tensors of another device, throws.
 */
export class Tensor implements Disposable {
  /** What its numbers are. */
  readonly dtype: Dtype;
  /** Where it lives. */
  readonly device: Device;
  #slot: Slot | undefined;

  /** Use `empty`, `zeros` or `upload` of `tensors.ts`. */
  constructor(
    /** Its dimensions, rows first. */
    readonly shape: readonly number[],
    { dtype, device, slot }: { readonly dtype: Dtype; readonly device: Device; readonly slot: Slot },
  ) {
    this.dtype = dtype;
    this.device = device;
    this.#slot = slot;
    device.live.tensors++;
    device.live.scopes.at(-1)?.add(this);
  }

  /** Number of its elements. */
  get size(): number {
    return this.shape.reduce((product, length) => product * length, 1);
  }

  /** Its memory. Throws when it was freed. */
  get slot(): Slot {
    if (!this.#slot) {
      throw new Error(`Cannot use a tensor of shape [${this.shape.join(", ")}]: it was freed`);
    }
    return this.#slot;
  }

  /** Whether it was freed. */
  get isFreed(): boolean {
    return this.#slot === undefined;
  }

  /** A second owner of the same memory, to be freed on its own. */
  share(): Tensor {
    const { slot } = this;
    slot.owners++;
    return new Tensor(this.shape, { dtype: this.dtype, device: this.device, slot });
  }

  /** Frees it. May be called again. */
  dispose(): void {
    const slot = this.#slot;
    if (!slot) return;
    this.#slot = undefined;
    this.device.live.tensors--;
    this.device.live.scopes.at(-1)?.delete(this);
    if (--slot.owners === 0) this.device.release(slot);
  }

  /** The same, at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * The device of some tensors.
 *
 * @param what runs on them, for the message
 * @throws {Error} when they are on different ones
 */
export function deviceOf(tensors: Readonly<Record<string, Tensor>>, what: string): Device {
  let device: Device | undefined;
  for (const [name, tensor] of Object.entries(tensors)) {
    device ??= tensor.device;
    if (tensor.device !== device) {
      throw new Error(
        `Cannot run ${what}: "${name}" is on ${tensor.device.name}, the tensors before it on ${device.name}`,
      );
    }
  }
  if (!device) throw new Error(`Cannot run ${what}: it was given no tensor`);
  return device;
}
