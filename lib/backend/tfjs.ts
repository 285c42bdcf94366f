/**
 * Tensors to TF.js programs and back, in the same memory of a GPU. On its own, so that who does not use TF.js never sees
 * its types.
 *
 * ```ts
 * import * as tf from "@tensorflow/tfjs";
 * import { openDevice, upload } from "./mod.ts";
 * import { toTfjs } from "./lib/backend/tfjs.ts";
 *
 * const device = await openDevice("webgpu");
 * await tf.setBackend("webgpu");
 * using x = upload(device, Float32Array.of(1, 2, 3), [3]);
 * console.log(await tf.square(toTfjs(x)).data());
 * ```
 *
 * @module
 */
export { fromTfjs, toTfjs } from "./webgpu.ts";
