/** The device of a benchmark, and beside it a backend for stock TF.js, the baseline on GPUs. */

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

/**
 * Opens a device, and makes TF.js compute beside it: by WebGPU on our device, or in plain JavaScript, whose results and
 * bytes can be compared with those of our CPU, but not its time.
 */
export async function openBench(choice?: BackendChoice): Promise<Device> {
  device = await openDevice(choice);
  await tf.setBackend(device.name === "wasm" ? "cpu" : "webgpu");
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
