import type { Tensor } from "../backend/device.ts";
import { dispatch, type Program } from "../backend/dispatch.ts";
import { profile } from "../backend/profile.ts";
import { empty } from "../backend/tensors.ts";
import { assembly, cpuOf } from "./_assembly.ts";
import module from "./built/dropout.wasm.ts";

/** Which elements a dropout zeroes. */
export interface DropoutOptions {
  /** Share of the elements that are zeroed, from 0 to below 1. */
  readonly rate: number;
  /** Which mask: any 32-bit number. */
  readonly key: number;
  /** Same shape as x: the result is added to it in place, and it is returned. */
  readonly into?: Tensor;
}

/**
 * Zeroes elements by chance and scales the others: y_i = m_i·x_i/(1 − rate), m_i = 1 where hash(i, key) ≥ rate·2³².
 *
 * The mask is a function of the element's index and the key and is stored nowhere: the same call on dy is the
 * gradient. Both backends draw the same mask (the hash is Jarzynski & Olano's PCG, JCGT 9(3), 2020, twice).
 *
 * @param x any shape
 */
export function dropout(x: Tensor, options: DropoutOptions): Tensor {
  const { rate, key, into } = options, y = into ?? empty(x.device, x.shape);
  const threshold = Math.min(2 ** 32 - 1, Math.round(rate * 2 ** 32)), scale = 1 / (1 - rate);
  if (x.device.name === "wasm") {
    const at = cpuOf(x).pointer;
    profile.run(
      "dropout",
      () =>
        assembly(cpuOf(x), module).dropout(at(x), at(y), x.size, key | 0, threshold | 0, scale, into ? 1 : 0),
    );
    return y;
  }
  dispatch(into ? addProgram : setProgram, {
    tensors: { x, y },
    params: { size: x.size, key: key >>> 0, threshold, scale },
    groups: [Math.ceil(x.size / 256)],
  });
  return y;
}

function program(assignment: "=" | "+="): Program {
  return {
    name: `dropout_${assignment === "=" ? "set" : "add"}`,
    inputs: { x: "f32" },
    outputs: { y: "f32" },
    params: { size: "u32", key: "u32", threshold: "u32", scale: "f32" },
    workgroup: [256],
    header: `
fn pcg(v: u32) -> u32 {
  let state = v * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}`,
    body: `
  let i = row * 256u + lane;
  if (i >= params.size) { return; }
  y[i] ${assignment} select(0.0, x[i] * params.scale, pcg(pcg(i) ^ params.key) >= params.threshold);`,
  };
}

const setProgram = program("="), addProgram = program("+=");
