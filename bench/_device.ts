/** The device of a benchmark, and beside it the same kind of backend for stock TF.js, the baseline. */

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { type BackendChoice, openDevice } from "../lib/backend/backend.ts";
import type { Device, Tensor } from "../lib/backend/device.ts";
import * as tensors from "../lib/backend/tensors.ts";

let device: Device | undefined;

/** The device that was opened last. */
export function benchDevice(): Device {
  if (!device) throw new Error("No device is open: call openBench first");
  return device;
}

/** Opens a device, and makes TF.js compute with the same kind: its own WASM backend, or WebGPU on our device. */
export async function openBench(choice?: BackendChoice): Promise<Device> {
  device = await openDevice(choice);
  if (device.name === "wasm") {
    const { setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
    const manifest = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm/package.json");
    setWasmPaths(join(dirname(manifest), "dist/"));
  }
  await tf.setBackend(device.name);
  await tf.ready();
  return device;
}

/** A tensor of ours with these values. */
export function upload(values: Float32Array | Int32Array, shape: readonly number[]): Tensor {
  return tensors.upload(benchDevice(), values, shape);
}

/** A tensor of ours of zeros. */
export function zeros(shape: readonly number[]): Tensor {
  return tensors.zeros(benchDevice(), shape);
}

const twins = new WeakMap<Tensor, tf.Tensor>();

/** A tensor of ours, and one of TF.js with the same values, which `twin` gives. */
export function uploadBoth(values: Float32Array, shape: readonly number[]): Tensor {
  const made = upload(values, shape);
  twins.set(made, tf.tensor(values, [...shape]));
  return made;
}

/** The tensor of TF.js that {@linkcode uploadBoth} made. */
export function twin(tensor: Tensor): tf.Tensor {
  return twins.get(tensor)!;
}
