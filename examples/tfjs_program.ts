/**
 * A TF.js program that computes with a tensor of ours, without a copy. It needs a WebGPU adapter.
 *
 *   deno run -A examples/tfjs_program.ts
 */
import * as tf from "@tensorflow/tfjs";
import { openDevice, read, upload, UsageError } from "../mod.ts";
import { fromTfjs, toTfjs } from "../lib/backend/tfjs.ts";

try {
  const device = await openDevice("webgpu");
  await tf.setBackend("webgpu");
  using x = upload(device, Float32Array.of(1, 2, 3), [3]);
  const squares = tf.square(toTfjs(x));
  console.log("TF.js has", await squares.data());
  using back = fromTfjs(device, squares);
  console.log("and we have", await read(back));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.log(error.message);
}
