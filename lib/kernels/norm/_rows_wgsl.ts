/** How many rows a workgroup takes: their sums are the four elements of one vector. */
export const ROWS = 4;

/** How the rows of a normalisation are laid over the threads of a workgroup. */
export interface RowShape {
  /** Whether rows are a multiple of 4 long, so that they are read as vec4. */
  readonly quad: boolean;
  /** Elements of a row, or vec4s of it. */
  readonly units: number;
  /** Threads of a workgroup. */
  readonly threads: number;
}

/**
 * The layout for rows of d elements: no more threads than a row has units, so that none is idle, and at most 256, which
 * every device has.
 */
export function rowShape(d: number): RowShape {
  const quad = d % 4 === 0, units = quad ? d / 4 : d;
  return { quad, units, threads: units <= 32 ? 32 : units <= 64 ? 64 : units <= 512 ? 128 : 256 };
}

/** The element type of a binding of rows. */
export function unitType({ quad }: RowShape): "f32" | "vec4<f32>" {
  return quad ? "vec4<f32>" : "f32";
}

/** A key for programs of that layout, part of their names. */
export function shapeName({ quad, threads }: RowShape): string {
  return `${threads}${quad ? "_quad" : ""}`;
}

/** The sum of a unit's elements, of a product of two units, or of a unit. */
export function inner({ quad }: RowShape, a: string, b = quad ? "vec4(1.0)" : "1.0"): string {
  return quad ? `dot(${a}, ${b})` : `(${a}) * (${b})`;
}

/** One line for each of the four rows. */
export function eachRow(line: (r: number) => string): string {
  return Array.from({ length: ROWS }, (_, r) => line(r)).join("\n    ");
}

/** A vector of one value for each row. */
export function fourOf(value: (r: number) => string): string {
  return `vec4(${Array.from({ length: ROWS }, (_, r) => value(r)).join(", ")})`;
}

/**
 * WGSL of `four_sums(value, lane)`: the sum over the threads of a workgroup, which every thread gets. Two barriers for
 * four rows, not one for each halving: they are what such a kernel waits for, most of all on software Vulkan, where
 * four rows at once took the norms of a step from 84 to 26 ms.
 */
export function fourSums({ threads }: RowShape): string {
  return `
var<workgroup> shared_values: array<vec4<f32>, ${threads}>;
var<workgroup> shared_sums: array<vec4<f32>, 8>;
fn four_sums(value: vec4<f32>, lane: u32) -> vec4<f32> {
  shared_values[lane] = value;
  workgroupBarrier();
  if (lane < 8u) {
    var sum = shared_values[lane];
    for (var i = lane + 8u; i < ${threads}u; i += 8u) { sum += shared_values[i]; }
    shared_sums[lane] = sum;
  }
  workgroupBarrier();
  return ((shared_sums[0] + shared_sums[1]) + (shared_sums[2] + shared_sums[3])) +
    ((shared_sums[4] + shared_sums[5]) + (shared_sums[6] + shared_sums[7]));
}`;
}

/**
 * The rows of the workgroup: `row0`…`row3`, and `at0`…`at3`, where they start. A row behind the last is the last once
 * more: it is computed and written again with the same numbers. Neighbouring threads take neighbouring units.
 */
export const FOUR_ROWS = `
  let first = row * ${ROWS}u;
  if (first >= params.rows) { return; }
  ${
  eachRow((r) => `let row${r} = min(first + ${r}u, params.rows - 1u); let at${r} = row${r} * params.units;`)
}`;

/** A loop of a thread over its units i of a row. */
export function eachUnit({ threads }: RowShape, body: string): string {
  return `for (var i = lane; i < params.units; i += ${threads}u) {
    ${body}
  }`;
}
