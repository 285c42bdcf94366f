import type { Tensor } from "../backend/device.ts";
import { type AssemblyKernels, instantiate, moduleBytes } from "../backend/instantiate.ts";
import { dispatch, type Program } from "../backend/dispatch.ts";
import { profile } from "../backend/profile.ts";
import { empty, writeInto } from "../backend/tensors.ts";
import { assembly, cpuOf } from "./_assembly.ts";
import module from "./built/widen.wasm.ts";

/** Numbers of 16 bits: the upper half of a float32, and IEEE half. */
export type NarrowDtype = "BF16" | "F16";

/** Kind and place of the numbers to widen. */
export interface WidenOptions {
  readonly dtype: NarrowDtype;
  /** Element of the target that the first number goes to. */
  readonly at: number;
}

/**
 * Widens 16-bit numbers into a float32 tensor, exactly: infinities, subnormal numbers and NaN's payload come as they are.
 *
 * JavaScript would take 8 ms for 4 MiB of BF16, WASM takes 1, so that loading keeps up with a disk; a GPU widens them
 * itself.
 *
 * @param target any shape
 * @param bytes little-endian, 2 a number
 */
export function widenInto(target: Tensor, bytes: Uint8Array, options: WidenOptions): void {
  const { dtype, at } = options, count = bytes.length / 2;
  if (at + count > target.size) throw new Error(`Cannot put ${count} numbers at ${at} of ${target.size}`);
  if (count === 0) return;
  const active = target.device;
  if (active.name === "webgpu") {
    return (active.isCpu ? widenFirst : widenOnGpu)(target, bytes, options);
  }
  const { memory, pointer, allocate, free } = cpuOf(target), from = allocate(bytes.length);
  new Uint8Array(memory.buffer, from, bytes.length).set(bytes);
  run(assembly(cpuOf(target), module), dtype, [from, pointer(target) + 4 * at, count]);
  free(from);
}

function run(
  kernels: AssemblyKernels,
  dtype: NarrowDtype,
  [from, to, count]: [number, number, number],
): void {
  if (dtype === "BF16") profile.run("widen_bf16", () => kernels.widenBfloats(from, to, count));
  else profile.run("widen_f16", () => kernels.widenHalves(from, to, count));
}

let own: { readonly memory: WebAssembly.Memory; readonly kernels: AssemblyKernels } | undefined;

/**
 * {@linkcode widenInto} for a CPU that stands in for a GPU: widened by WASM in a memory of its own, then uploaded. 4 MiB
 * of BF16 take 2.5 ms so, and 4.6 through {@linkcode widenOnGpu}.
 */
function widenFirst(target: Tensor, bytes: Uint8Array, { dtype, at }: WidenOptions): void {
  if (!own) {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65_535 });
    own = { memory, kernels: instantiate(moduleBytes(module), memory) };
  }
  const { memory, kernels } = own, to = Math.ceil(bytes.length / 16) * 16, end = to + 2 * bytes.length;
  const missing = end - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65_536));
  new Uint8Array(memory.buffer).set(bytes);
  run(kernels, dtype, [0, to, bytes.length / 2]);
  writeInto(target, new Uint8Array(memory.buffer, to, 2 * bytes.length), at);
}

/** {@linkcode widenInto} for a GPU: it is sent the bytes as they are and widens them. */
export function widenOnGpu(target: Tensor, bytes: Uint8Array, { dtype, at }: WidenOptions): void {
  const count = bytes.length / 2, many = Math.ceil(count / 2), words = empty(target.device, [many], "int32");
  writeInto(words, wholeWords(bytes), 0);
  // From the boundary before `at`, and no more than is written: a large tensor's whole may exceed a binding.
  const offset = at - at % ALIGNMENT, first = at - offset, quad = at % 4 === 0 && count % 4 === 0;
  const unit = quad ? 4 : 1, steps = count / unit;
  dispatch(programs[dtype][quad ? "quad" : "single"], {
    tensors: { words, wide: { tensor: target, offset, length: first + count } },
    params: { first: first / unit, count: steps },
    groups: [Math.ceil(steps / (THREADS * EACH))],
  });
  words.dispose();
}

/** Bytes filled up to what WebGPU can write. */
function wholeWords(bytes: Uint8Array): Uint8Array {
  if (bytes.length % 4 === 0) return bytes;
  const filled = new Uint8Array(bytes.length + 2);
  filled.set(bytes);
  return filled;
}

/** Elements of 256 bytes, on whose multiples bindings begin. */
const ALIGNMENT = 64;
/**
 * Threads of a workgroup, and elements, or fours, of a thread. Software Vulkan, which pays for each workgroup, takes 2.5
 * ms for 2 M numbers so, 6.2 with 256 threads of one four, and 22 with 256 of one element.
 */
const THREADS = 64, EACH = 32;

/**
 * The float32 bits of a number's 16. On integers: `unpack2x16float` may flush subnormal halves to zero, and a float's way
 * through a register may change NaN's payload.
 */
const bits: Readonly<Record<NarrowDtype, string>> = {
  BF16: "fn widened(half: u32) -> u32 { return half << 16u; }",
  F16: `
fn widened(half: u32) -> u32 {
  let sign = (half & 0x8000u) << 16u; let rest = half & 0x7fffu;
  if (rest >= 0x7c00u) { return sign | 0x7f800000u | ((rest & 0x3ffu) << 13u); }
  if (rest >= 0x400u) { return sign | ((rest << 13u) + 0x38000000u); }
  if (rest == 0u) { return sign; }
  // rest · 2^-24: its highest bit becomes the one that float32 leaves out.
  let high = firstLeadingBit(rest);
  return sign | ((high + 103u) << 23u) | ((rest << (23u - high)) & 0x7fffffu);
}`,
};

/** Threads go side by side along a run of elements, or of fours. */
function program(dtype: NarrowDtype, quad: boolean): Program {
  const value = quad
    ? `let pair = words[i];
      wide[params.first + i] = vec4(widened(pair.x & 0xffffu), widened(pair.x >> 16u), widened(pair.y & 0xffffu), widened(pair.y >> 16u));`
    : `wide[params.first + i] = widened((words[i / 2u] >> (16u * (i & 1u))) & 0xffffu);`;
  return {
    name: `widen_${dtype.toLowerCase()}${quad ? "_quad" : ""}`,
    inputs: { words: quad ? "vec2<u32>" : "u32" },
    outputs: { wide: quad ? "vec4<u32>" : "u32" },
    params: { first: "u32", count: "u32" },
    workgroup: [THREADS],
    header: bits[dtype],
    body: `
  let end = min(params.count, (row + 1u) * ${THREADS * EACH}u);
  for (var i = row * ${THREADS * EACH}u + lane; i < end; i += ${THREADS}u) {
    ${value}
  }`,
  };
}

const programs = {
  BF16: { single: program("BF16", false), quad: program("BF16", true) },
  F16: { single: program("F16", false), quad: program("F16", true) },
} as const;
