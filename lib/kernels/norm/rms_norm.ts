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
import module from "../built/rms_norm.wasm.ts";

/** What the forward pass returns. */
export interface Normalized {
  /** x + residual, or x itself when there was no residual. [N, D] */
  readonly sum: Tensor;
  /** The normalised rows. [N, D] */
  readonly y: Tensor;
  /** 1/√(mean(sum²) + ε) of each row: what the backward pass needs. [N] */
  readonly rstd: Tensor;
}

/**
 * Root-mean-square normalisation with the residual addition before it, in one pass.
 *
 *   s = x + residual,   y = s · rstd · w,   rstd = 1/√(mean(s²) + ε)
 *
 * Source: Zhang & Sennrich, arXiv 1910.07467.
 *
 * @param x [N, D]
 * @param weight [D]
 * @param options `epsilon`; `residual` [N, D], added first
 */
export function rmsNorm(
  x: Tensor,
  weight: Tensor,
  options: { readonly epsilon: number; readonly residual?: Tensor | undefined },
): Normalized {
  const [rows, d] = x.shape;
  const { epsilon, residual } = options;
  const sum = residual ? empty(x.device, [rows, d]) : x,
    y = empty(x.device, [rows, d]),
    rstd = empty(x.device, [rows]);
  if (x.device.name === "wasm") {
    const cpu = cpuOf(x), at = cpu.pointer;
    profile.run(
      "rms_norm",
      () =>
        overRows(cpu, { kernel: [module, "forward"], rows: rows!, each: d! }, (from, count) => {
          const skip = 4 * from * d!, added = residual ? at(residual) + skip : 0;
          const out = [at(sum) + skip, at(y) + skip, at(rstd) + 4 * from];
          return [at(x) + skip, added, at(weight), ...out, count, d!, epsilon];
        }),
    );
  } else {
    const shape = rowShape(d), tensors = { x, w: weight, y, rstd };
    dispatch(forwardProgram(shape, residual !== undefined), {
      tensors: residual ? { ...tensors, residual, sum } : tensors,
      params: { rows, units: shape.units, d, epsilon },
      groups: [Math.ceil(rows / ROWS)],
    });
  }
  return { sum, y, rstd };
}

/**
 * Gradient of {@linkcode rmsNorm}.
 *
 *   ds = dsum + rstd·(w∘dy − s·rstd²·mean(w∘dy∘s)),   dw += Σ_rows dy∘s·rstd
 *
 * ds is the gradient of both x and residual.
 *
 * @param normalized what the forward pass returned
 * @param dy gradient with respect to y [N, D]
 * @param options `weight` [D]; `dsum`, gradient with respect to the sum from elsewhere [N, D]; `dweight` [D], added to
 * in place (absent for a frozen weight); `y` [N, D], gets the normalised rows once more, for who did not keep them
 * @returns ds [N, D]
 */
export function rmsNormGradient(
  normalized: Pick<Normalized, "sum" | "rstd">,
  dy: Tensor,
  options: {
    readonly weight: Tensor;
    readonly dsum?: Tensor | undefined;
    readonly dweight?: Tensor | undefined;
    readonly y?: Tensor | undefined;
  },
): Tensor {
  const { sum, rstd } = normalized;
  const { weight, dsum, dweight, y } = options;
  const [rows, d] = sum.shape;
  const dx = empty(dy.device, [rows, d]);
  if (dy.device.name === "wasm") {
    const cpu = cpuOf(dy), at = cpu.pointer, sums = [{ at: dweight ? at(dweight) : 0, width: d! }];
    profile.run(
      "rms_norm_gradient",
      () =>
        overSummedRows(
          cpu,
          { kernel: [module, "backward"], rows: rows!, each: 2 * d!, sums },
          (from, count, [dw]) => {
            const skip = 4 * from * d!, place = (tensor?: Tensor) => tensor ? at(tensor) + skip : 0;
            const rows = [place(dy), place(dsum), place(dx), dw!, place(y)];
            return [place(sum), at(weight), at(rstd) + 4 * from, ...rows, count, d!];
          },
        ),
    );
    return dx;
  }
  const shape = rowShape(d), groups = Math.ceil(rows / ROWS);
  const partial = dweight && empty(dy.device, [groups, d]);
  dispatch(
    gradientProgram(shape, { dsum: dsum !== undefined, weight: partial !== undefined, y: y !== undefined }),
    {
      tensors: {
        ...{ x: sum, w: weight, rstd, dy, dx },
        ...(dsum && { dsum }),
        ...(partial && { partial }),
        ...(y && { y }),
      },
      params: { rows, units: shape.units, d },
      groups: [groups],
    },
  );
  if (partial) {
    addColumnSums(partial, dweight);
    partial.dispose();
  }
  return dx;
}

const programs = new Map<string, Program>();

function cached(name: string, make: () => Program): Program {
  let program = programs.get(name);
  if (!program) programs.set(name, program = make());
  return program;
}

/** The forward pass, with a residual added first or without. */
function forwardProgram(shape: RowShape, residual: boolean): Program {
  const name = `${residual ? "add_" : ""}rms_norm_${shapeName(shape)}`, unit = unitType(shape);
  return cached(name, () => ({
    name,
    inputs: { x: unit, ...(residual && { residual: unit }), w: unit },
    outputs: { ...(residual && { sum: unit }), y: unit, rstd: "f32" },
    params: { rows: "u32", units: "u32", d: "f32", epsilon: "f32" },
    workgroup: [shape.threads],
    header: fourSums(shape),
    body: `${FOUR_ROWS}
  var squares = vec4<f32>();
  ${
      eachUnit(
        shape,
        residual
          ? `${eachRow((r) => `let v${r} = x[at${r} + i] + residual[at${r} + i]; sum[at${r} + i] = v${r};`)}
    squares += ${fourOf((r) => inner(shape, `v${r}`, `v${r}`))};`
          : `${eachRow((r) => `let v${r} = x[at${r} + i];`)}
    squares += ${fourOf((r) => inner(shape, `v${r}`, `v${r}`))};`,
      )
    }
  let scale = inverseSqrt(four_sums(squares, lane) / params.d + params.epsilon);
  ${
      eachUnit(
        shape,
        `let wi = w[i];
    ${eachRow((r) => `y[at${r} + i] = ${residual ? "sum" : "x"}[at${r} + i] * scale[${r}] * wi;`)}`,
      )
    }
  if (lane == 0u) {
    ${eachRow((r) => `rstd[row${r}] = scale[${r}];`)}
  }`,
  }));
}

/** The gradient of four rows, their share of the weight's gradient and their normalised rows, as asked. */
function gradientProgram(
  shape: RowShape,
  { dsum, weight, y }: { readonly dsum: boolean; readonly weight: boolean; readonly y: boolean },
): Program {
  const name = `rms_norm_gradient_${shapeName(shape)}${dsum ? "_sum" : ""}${weight ? "_weight" : ""}${
    y ? "_y" : ""
  }`;
  const unit = unitType(shape);
  return cached(name, () => ({
    name,
    inputs: { x: unit, w: unit, rstd: "f32", dy: unit, ...(dsum && { dsum: unit }) },
    outputs: { dx: unit, ...(weight && { partial: unit }), ...(y && { y: unit }) },
    params: { rows: "u32", units: "u32", d: "f32" },
    workgroup: [shape.threads],
    header: fourSums(shape),
    body: `${FOUR_ROWS}
  let scale = ${fourOf((r) => `rstd[row${r}]`)};
  var dots = vec4<f32>();
  ${
      eachUnit(
        shape,
        `let wi = w[i];
    dots += ${fourOf((r) => inner(shape, `wi * dy[at${r} + i]`, `x[at${r} + i]`))};`,
      )
    }
  let pull = four_sums(dots, lane) * scale * scale * scale / params.d;
  let counted = select(vec4<f32>(), scale, vec4(first) + vec4(0u, 1u, 2u, 3u) < vec4(params.rows));
  ${
      eachUnit(
        shape,
        `let wi = w[i];
    ${
          eachRow((r) =>
            `let x${r} = x[at${r} + i]; let g${r} = dy[at${r} + i];
    dx[at${r} + i] = wi * g${r} * scale[${r}] - x${r} * pull[${r}]${dsum ? ` + dsum[at${r} + i]` : ""};${
              y ? ` y[at${r} + i] = x${r} * scale[${r}] * wi;` : ""
            }`
          )
        }${
          weight
            ? `
    partial[row * params.units + i] = g0 * x0 * counted[0] + g1 * x1 * counted[1] + g2 * x2 * counted[2] + g3 * x3 * counted[3];`
            : ""
        }`,
      )
    }
  _ = counted;`,
  }));
}
