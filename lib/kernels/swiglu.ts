import type { Tensor } from "../backend/device.ts";
import { dispatch, type Program } from "../backend/dispatch.ts";
import { profile } from "../backend/profile.ts";
import { empty } from "../backend/tensors.ts";
import { cpuOf } from "./_assembly.ts";
import { overRows } from "./_over_rows.ts";
import { eachUnit, type RowShape, rowShape, shapeName, unitType } from "./norm/_rows_wgsl.ts";
import module from "./built/swiglu.wasm.ts";

/**
 * Gated linear unit with SiLU: y = g·σ(g)·u. Source: Shazeer, arXiv 2002.05202.
 *
 * @param gateUp gate columns, then up columns [N, 2F]
 * @returns y [N, F]
 */
export function swiglu(gateUp: Tensor): Tensor {
  const [rows, width] = gateUp.shape;
  const f = width / 2, y = empty(gateUp.device, [rows, f]);
  if (gateUp.device.name === "wasm") {
    const at = cpuOf(gateUp).pointer;
    profile.run(
      "swiglu",
      () =>
        overRows(cpuOf(gateUp), { kernel: [module, "forward"], rows, each: 2 * f }, (from, count) => [
          at(gateUp) + 8 * from * f,
          at(y) + 4 * from * f,
          count,
          f,
        ]),
    );
  } else {
    const shape = rowShape(f);
    dispatch(program("forward", shape), {
      tensors: { gu: gateUp, y },
      params: { rows, units: shape.units },
      groups: [rows],
    });
  }
  return y;
}

/**
 * Gradient of {@linkcode swiglu}: dg = dy·u·(σ + gσ(1 − σ)), du = dy·gσ.
 *
 * @param gateUp the forward pass's input [N, 2F]
 * @param dy [N, F]
 * @param y [N, F], gets the forward pass's result once more, for who did not keep it
 * @returns gradient of gateUp [N, 2F]
 */
export function swigluGradient(gateUp: Tensor, dy: Tensor, y?: Tensor): Tensor {
  const [rows, width] = gateUp.shape;
  const f = width / 2, dgu = empty(gateUp.device, [rows, width]);
  if (gateUp.device.name === "wasm") {
    const at = cpuOf(gateUp).pointer;
    profile.run(
      "swiglu_gradient",
      () =>
        overRows(cpuOf(gateUp), { kernel: [module, "backward"], rows, each: 3 * f }, (from, count) => {
          const skip = 4 * from * f, wide = 2 * skip;
          return [at(gateUp) + wide, at(dy) + skip, at(dgu) + wide, y ? at(y) + skip : 0, count, f];
        }),
    );
  } else {
    const shape = rowShape(f);
    dispatch(program(y ? "gradient and y" : "gradient", shape), {
      tensors: { gu: gateUp, dy, dgu, ...(y && { y }) },
      params: { rows, units: shape.units },
      groups: [rows],
    });
  }
  return dgu;
}

const programs = new Map<string, Program>();

/**
 * A workgroup takes a row: the column of an element then needs no division, which costs software Vulkan more than the
 * exponential does.
 */
function program(kind: "forward" | "gradient" | "gradient and y", shape: RowShape): Program {
  const name = `swiglu_${kind.replaceAll(" ", "_")}_${shapeName(shape)}`, unit = unitType(shape);
  let made = programs.get(name);
  if (made) return made;
  const forward = kind === "forward", y = kind !== "gradient";
  made = {
    name,
    inputs: { gu: unit, ...(!forward && { dy: unit }) },
    outputs: { ...(!forward && { dgu: unit }), ...(y && { y: unit }) },
    params: { rows: "u32", units: "u32" },
    workgroup: [shape.threads],
    body: `
  if (row >= params.rows) { return; }
  let gate = 2u * row * params.units;
  let up = gate + params.units;
  let at = row * params.units;
  ${
      eachUnit(
        shape,
        `let g = gu[gate + i]; let u = gu[up + i];
    let s = 1.0 / (1.0 + exp(-g)); let gs = g * s;${
          forward ? "" : `
    let d = dy[at + i];
    dgu[gate + i] = d * u * (s + gs * (1.0 - s));
    dgu[up + i] = d * gs;`
        }${
          y
            ? `
    y[at + i] = gs * u;`
            : ""
        }`,
      )
    }`,
  };
  programs.set(name, made);
  return made;
}
