import { test } from "node:test";
import process from "node:process";
import { openDevice } from "../lib/backend/backend.ts";
import type { Device, Dtype, Tensor } from "../lib/backend/device.ts";
import * as tensors from "../lib/backend/tensors.ts";
import { findAdapter } from "../lib/backend/webgpu.ts";

const { adapter } = await findAdapter();
if (!adapter && process.env.AFT_REQUIRE_WEBGPU === "1") {
  throw new Error("AFT_REQUIRE_WEBGPU=1 but no WebGPU adapter was found: the WebGPU tests would be skipped");
}

let device: Device | undefined;

/** The device of the test that is running; of a test outside {@linkcode onBothBackends}, after {@linkcode useDevice}. */
export function testDevice(): Device {
  if (!device) throw new Error("No device is open: declare the test with onBothBackends");
  return device;
}

/** Opens a device and makes it the one that the helpers below use. */
export async function useDevice(backend: "wasm" | "webgpu"): Promise<Device> {
  return device = await openDevice(backend);
}

/** A tensor of the test's device with these values. */
export function upload(values: Float32Array | Int32Array, shape: readonly number[]): Tensor {
  return tensors.upload(testDevice(), values, shape);
}

/** A tensor of zeros on the test's device. */
export function zeros(shape: readonly number[], dtype?: Dtype): Tensor {
  return tensors.zeros(testDevice(), shape, dtype);
}

/** A tensor of the test's device whose contents are whatever its memory held. */
export function empty(shape: readonly number[], dtype?: Dtype): Tensor {
  return tensors.empty(testDevice(), shape, dtype);
}

/** Declares a test that runs on both backends; without an adapter the WebGPU one is skipped, saying so. */
export function onBothBackends(
  name: string,
  body: (backend: "wasm" | "webgpu") => Promise<void> | void,
): void {
  for (const backend of ["wasm", "webgpu"] as const) {
    const skip = backend === "webgpu" && !adapter ? "no WebGPU adapter on this machine" : false;
    test(`${name} [${backend}]`, { skip, timeout: 120_000 }, async () => {
      device = await openDevice(backend);
      await body(backend);
    });
  }
}

/** Fails unless `run` leaves as many tensors as it found. */
export async function assertNoLeak(run: () => Promise<void> | void): Promise<void> {
  const before = testDevice().use().tensors;
  await run();
  const left = testDevice().use().tensors - before;
  if (left !== 0) throw new Error(`${left} tensors leaked`);
}

/** Seeded standard normal numbers. */
export function gaussian(count: number, seed = 1): Float32Array {
  let state = seed * 2654435761 >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 4294967296;
  };
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/** Fails unless |actual − expected| ≤ tolerance · max(1, largest |expected|) everywhere. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what = "",
): void {
  if (actual.length !== expected.length) {
    throw new Error(`${what} has ${actual.length} elements: expected ${expected.length}`);
  }
  let scale = 1;
  for (let i = 0; i < expected.length; i++) scale = Math.max(scale, Math.abs(expected[i]));
  for (let i = 0; i < expected.length; i++) {
    if (!(Math.abs(actual[i] - expected[i]) <= tolerance * scale)) {
      throw new Error(`${what}[${i}] is ${actual[i]}: expected ${expected[i]} within ${tolerance * scale}`);
    }
  }
}

/**
 * The gradient of a scalar function of float64 numbers by central differences.
 *
 * Kernels are compared with a float64 reference, and the reference's gradient with this: float32 differences alone
 * would be too coarse to tell a wrong term from rounding.
 */
export function differences(f: (x: Float64Array) => number, x: ArrayLike<number>, step = 1e-5): Float64Array {
  const at = Float64Array.from(x);
  return at.map((value, i) => {
    at[i] = value + step;
    const above = f(at);
    at[i] = value - step;
    const below = f(at);
    at[i] = value;
    return (above - below) / (2 * step);
  });
}
