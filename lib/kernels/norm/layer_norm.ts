import type { Tensor } from "../../backend/device.ts";
import { dispatch, type Program } from "../../backend/dispatch.ts";
import { profile } from "../../backend/profile.ts";
import { empty } from "../../backend/tensors.ts";
import { cpuOf } from "../_assembly.ts";
import { overRows, overSummedRows } from "../_over_rows.ts";
import { addColumnSums } from "../product/linear.ts";
import {
  eachRow,
  eachUnit,
  FOUR_ROWS,
  fourOf,
  fourSums,
  inner,
  ROWS,
  type RowShape,
  rowShape,
  shapeName,
  unitType,
} from "./_rows_wgsl.ts";
import module from "../built/layer_norm.wasm.ts";

/** What the forward pass returns. */
export interface LayerNormalized {
  /** x + residual, or x itself when there was no residual. [N, D] */
  readonly sum: Tensor;
  /** The normalised rows. [N, D] */
  readonly y: Tensor;
  /** Mean of each row of the sum. [N] */
  readonly mean: Tensor;
  /** 1/√(variance + ε) of each row of the sum. [N] */
  readonly rstd: Tensor;
}

/**
 * Layer normalisation with the residual addition before it, in one pass.
 *
 *   s = x + residual,   y = (s − mean(s)) · rstd · w + b,   rstd = 1/√(mean((s − mean(s))²) + ε)
 *
 * Source: Ba, Kiros & Hinton, arXiv 1607.06450.
 *
 * @param x [N, D]
 * @param weight [D]
 * @param options `bias` [D]; `epsilon`; `residual` [N, D], added first
 */
export function layerNorm(
  x: Tensor,
  weight: Tensor,
  options: { readonly bias: Tensor; readonly epsilon: number; readonly residual?: Tensor | undefined },
): LayerNormalized {
  const [rows, d] = x.shape;
  const { bias, epsilon, residual } = options;
  const sum = residual ? empty(x.device, [rows, d]) : x, y = empty(x.device, [rows, d]);
  const mean = empty(x.device, [rows]), rstd = empty(x.device, [rows]);
  if (x.device.name === "wasm") {
    const cpu = cpuOf(x), at = cpu.pointer;
    profile.run(
      "layer_norm",
      () =>
        overRows(cpu, { kernel: [module, "forward"], rows: rows!, each: d! }, (from, count) => {
          const skip = 4 * from * d!, added = residual ? at(residual) + skip : 0;
          const out = [at(sum) + skip, at(y) + skip, at(mean) + 4 * from, at(rstd) + 4 * from];
          return [at(x) + skip, added, at(weight), at(bias), ...out, count, d!, epsilon];
        }),
    );
  } else {
    const shape = rowShape(d), tensors = { x, w: weight, b: bias, y, mean, rstd };
    dispatch(forwardProgram(shape, residual !== undefined), {
      tensors: residual ? { ...tensors, residual, sum } : tensors,
      params: { rows, units: shape.units, d, epsilon },
      groups: [Math.ceil(rows / ROWS)],
    });
  }
  return { sum, y, mean, rstd };
}

/**
 * Gradient of {@linkcode layerNorm}, with z = (s − mean)·rstd.
 *
 *   ds = dsum + rstd·(w∘dy − mean(w∘dy) − z·mean(w∘dy∘z)),   dw += Σ_rows dy∘z,   db += Σ_rows dy
 *
 * ds is the gradient of both x and residual.
 *
 * @param normalized what the forward pass returned
 * @param dy gradient with respect to y [N, D]
 * @param options `weight` [D]; `dsum`, gradient with respect to the sum from elsewhere [N, D]; `dweight` and `dbias`
 * [D], added to in place (absent when frozen); `again`, `y` [N, D], which gets the normalised rows once more, for who
 * did not keep them, and the `bias` [D] that they need
 * @returns ds [N, D]
 */
export function layerNormGradient(
  normalized: Pick<LayerNormalized, "sum" | "mean" | "rstd">,
  dy: Tensor,
  options: {
    readonly weight: Tensor;
    readonly dsum?: Tensor | undefined;
    readonly dweight?: Tensor | undefined;
    readonly dbias?: Tensor | undefined;
    readonly again?: { readonly y: Tensor; readonly bias: Tensor } | undefined;
  },
): Tensor {
  const { sum, mean, rstd } = normalized;
  const { weight, dsum, dweight, dbias, again } = options;
  const [rows, d] = sum.shape;
  const dx = empty(dy.device, [rows, d]);
  if (dy.device.name === "wasm") {
    const cpu = cpuOf(dy), at = cpu.pointer;
    const sums = [dweight, dbias].map((tensor) => ({ at: tensor ? at(tensor) : 0, width: d! }));
    profile.run(
      "layer_norm_gradient",
      () =>
        overSummedRows(
          cpu,
          { kernel: [module, "backward"], rows: rows!, each: 2 * d!, sums },
          (from, count, [dw, db]) => {
            const skip = 4 * from * d!, place = (tensor?: Tensor) => tensor ? at(tensor) + skip : 0;
            const given = [
              place(sum),
              at(weight),
              at(mean) + 4 * from,
              at(rstd) + 4 * from,
              place(dy),
              place(dsum),
            ];
            return [...given, place(dx), dw!, db!, place(again?.y), again ? at(again.bias) : 0, count, d!];
          },
        ),
    );
    return dx;
  }
  const shape = rowShape(d), groups = Math.ceil(rows / ROWS), parameters = dweight || dbias;
  const shares = parameters
    ? { dw: empty(dy.device, [groups, d]), db: empty(dy.device, [groups, d]) }
    : undefined;
  dispatch(
    gradientProgram(shape, {
      dsum: dsum !== undefined,
      parameters: shares !== undefined,
      y: again !== undefined,
    }),
    {
      tensors: {
        ...{ x: sum, w: weight, mean, rstd, dy, dx },
        ...(dsum && { dsum }),
        ...shares,
        ...(again && { y: again.y, b: again.bias }),
      },
      params: { rows, units: shape.units, d },
      groups: [groups],
    },
  );
  if (shares) {
    if (dweight) addColumnSums(shares.dw, dweight);
    if (dbias) addColumnSums(shares.db, dbias);
    Object.values(shares).forEach((t) => t.dispose());
  }
  return dx;
}

const programs = new Map<string, Program>();

function cached(name: string, make: () => Program): Program {
  let program = programs.get(name);
  if (!program) programs.set(name, program = make());
  return program;
}

/** The forward pass; two passes over a row, so that no digits cancel. */
function forwardProgram(shape: RowShape, residual: boolean): Program {
  const name = `${residual ? "add_" : ""}layer_norm_${shapeName(shape)}`, unit = unitType(shape);
  const source = residual ? "sum" : "x";
  return cached(name, () => ({
    name,
    inputs: { x: unit, ...(residual && { residual: unit }), w: unit, b: unit },
    outputs: { ...(residual && { sum: unit }), y: unit, mean: "f32", rstd: "f32" },
    params: { rows: "u32", units: "u32", d: "f32", epsilon: "f32" },
    workgroup: [shape.threads],
    header: fourSums(shape),
    body: `${FOUR_ROWS}
  var total = vec4<f32>();
  ${
      eachUnit(
        shape,
        `${
          eachRow((r) =>
            residual
              ? `let v${r} = x[at${r} + i] + residual[at${r} + i]; sum[at${r} + i] = v${r};`
              : `let v${r} = x[at${r} + i];`
          )
        }
    total += ${fourOf((r) => inner(shape, `v${r}`))};`,
      )
    }
  let middle = four_sums(total, lane) / params.d;
  var squares = vec4<f32>();
  ${
      eachUnit(
        shape,
        `${eachRow((r) => `let v${r} = ${source}[at${r} + i] - middle[${r}];`)}
    squares += ${fourOf((r) => inner(shape, `v${r}`, `v${r}`))};`,
      )
    }
  let scale = inverseSqrt(four_sums(squares, lane) / params.d + params.epsilon);
  ${
      eachUnit(
        shape,
        `let wi = w[i]; let bi = b[i];
    ${eachRow((r) => `y[at${r} + i] = (${source}[at${r} + i] - middle[${r}]) * scale[${r}] * wi + bi;`)}`,
      )
    }
  if (lane == 0u) {
    ${eachRow((r) => `mean[row${r}] = middle[${r}]; rstd[row${r}] = scale[${r}];`)}
  }`,
  }));
}

/** The gradient of four rows, their share of the parameters' gradients and their normalised rows, as asked. */
function gradientProgram(
  shape: RowShape,
  { dsum, parameters, y }: { readonly dsum: boolean; readonly parameters: boolean; readonly y: boolean },
): Program {
  const name = `layer_norm_gradient_${shapeName(shape)}${dsum ? "_sum" : ""}${
    parameters ? "_parameters" : ""
  }${y ? "_y" : ""}`;
  const unit = unitType(shape), z = (r: number) => `(x[at${r} + i] - middle[${r}]) * scale[${r}]`;
  return cached(name, () => ({
    name,
    inputs: {
      ...{ x: unit, w: unit, mean: "f32", rstd: "f32", dy: unit },
      ...(dsum && { dsum: unit }),
      ...(y && { b: unit }),
    },
    outputs: { dx: unit, ...(parameters && { dw: unit, db: unit }), ...(y && { y: unit }) },
    params: { rows: "u32", units: "u32", d: "f32" },
    workgroup: [shape.threads],
    header: fourSums(shape),
    body: `${FOUR_ROWS}
  let middle = ${fourOf((r) => `mean[row${r}]`)};
  let scale = ${fourOf((r) => `rstd[row${r}]`)};
  var total = vec4<f32>();
  var dots = vec4<f32>();
  ${
      eachUnit(
        shape,
        `let wi = w[i];
    ${eachRow((r) => `let v${r} = wi * dy[at${r} + i];`)}
    total += ${fourOf((r) => inner(shape, `v${r}`))};
    dots += ${fourOf((r) => inner(shape, `v${r}`, z(r)))};`,
      )
    }
  let shift = four_sums(total, lane) / params.d;
  let pull = four_sums(dots, lane) / params.d;
  let counted = select(vec4<f32>(), vec4(1.0), vec4(first) + vec4(0u, 1u, 2u, 3u) < vec4(params.rows));
  ${
      eachUnit(
        shape,
        `let wi = w[i];
    ${
          eachRow((r) =>
            `let z${r} = ${z(r)}; let g${r} = dy[at${r} + i];
    dx[at${r} + i] = scale[${r}] * (wi * g${r} - shift[${r}] - z${r} * pull[${r}])${
              dsum ? ` + dsum[at${r} + i]` : ""
            };${y ? ` y[at${r} + i] = z${r} * wi + b[i];` : ""}`
          )
        }${
          parameters
            ? `
    dw[row * params.units + i] = g0 * z0 * counted[0] + g1 * z1 * counted[1] + g2 * z2 * counted[2] + g3 * z3 * counted[3];
    db[row * params.units + i] = g0 * counted[0] + g1 * counted[1] + g2 * counted[2] + g3 * counted[3];`
            : ""
        }`,
      )
    }
  _ = counted;`,
  }));
}
