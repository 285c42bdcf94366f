/**
 * How threads find the kernels of a job: a table in the heap that says for each number where the bytes of its module lie
 * and which of its exports is meant. Entries are only ever added, before the first job that uses them.
 */

import { type AssemblyKernels, instantiate, moduleBytes } from "./instantiate.ts";
import { type Kernel, NATIVE_PRODUCT } from "./_shared_work.ts";

/** Most kernels that are known, and bytes of the table. */
const MOST = 256;
export const TABLE_BYTES: number = MOST * 16;

/** Puts bytes into the heap for good: their place and length. */
export type Put = (bytes: Uint8Array) => [number, number];

/** What a table is made of. */
interface TableOptions {
  readonly memory: WebAssembly.Memory;
  /** Where it lies. */
  readonly table: number;
  readonly put: Put;
  /** The product of a native library, if there is one. */
  readonly native: Kernel | undefined;
}

/** The side that enters kernels: the thread that opened the device. It has each module once. */
export class KernelTable {
  readonly #modules = new Map<string, AssemblyKernels>();
  readonly #places = new Map<string, [number, number]>();
  readonly #numbers = new Map<string, Map<string, number>>();
  readonly #kernels: Kernel[] = [];

  constructor(readonly options: TableOptions) {}

  /** The kernels of a built module on this thread. */
  module(text: string): AssemblyKernels {
    let kernels = this.#modules.get(text);
    if (!kernels) this.#modules.set(text, kernels = instantiate(moduleBytes(text), this.options.memory));
    return kernels;
  }

  /** The number of one of them. */
  number(text: string, name: string): number {
    let numbers = this.#numbers.get(text);
    if (!numbers) this.#numbers.set(text, numbers = new Map());
    let number = numbers.get(name);
    if (number === undefined) {
      const kernel = this.module(text)[name];
      if (!kernel) throw new Error(`No kernel is named ${name}`);
      number = this.#kernels.push(kernel) - 1;
      if (number === MOST) throw new Error(`More than ${MOST} kernels`);
      const { memory, table, put } = this.options;
      let place = this.#places.get(text);
      if (!place) this.#places.set(text, place = put(moduleBytes(text)));
      const entry = [...place, ...put(new TextEncoder().encode(name))];
      new Uint32Array(memory.buffer, table + number * 16, 4).set(entry);
      numbers.set(name, number);
    }
    return number;
  }

  /** The kernel of a number. */
  kernelOf = (number: number): Kernel =>
    number === NATIVE_PRODUCT ? this.options.native! : this.#kernels[number]!;
}

/** The side that reads it: `kernelOf` of a further thread, which instantiates modules as it meets them. */
export function kernelsOf(
  memory: WebAssembly.Memory,
  table: number,
  native?: Kernel,
): (number: number) => Kernel {
  const kernels: Kernel[] = [], modules = new Map<number, AssemblyKernels>();
  const bytes = (at: number, length: number) => Uint8Array.from(new Uint8Array(memory.buffer, at, length));
  const find = (number: number): Kernel => {
    const [at, length, nameAt, nameLength] = new Uint32Array(memory.buffer, table + number * 16, 4);
    let module = modules.get(at!);
    if (!module) modules.set(at!, module = instantiate(bytes(at!, length!), memory));
    return module[new TextDecoder().decode(bytes(nameAt!, nameLength!))]!;
  };
  return (number) => number === NATIVE_PRODUCT ? native! : kernels[number] ??= find(number);
}
