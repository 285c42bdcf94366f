/**
 * How a head is laid over the threads of a workgroup, and pieces of WGSL that the programs of attention share.
 *
 * A thread owns one row (a query, or a key in the pass for dk and dv) and holds a slice of its vectors in registers.
 * Rows of the other side come by tiles into workgroup memory, where all threads read the same element at once, which
 * costs one broadcast. A head longer than a slice is cut among `parts` threads, which add their pieces dot products
 * through workgroup memory.
 */
export interface Shape {
  /** Elements of a head. */
  readonly d: number;
  /** Whether every vector starts on a multiple of 4 elements, so that it is read four at a time. */
  readonly aligned: boolean;
  readonly parts: number;
  /** vec4s of one thread's slice. */
  readonly slice: number;
  /** vec4s of a row in workgroup memory: parts · slice. */
  readonly width: number;
  /** Rows of a workgroup. */
  readonly rows: number;
  /** Rows of a tile, a multiple of 4. */
  readonly tile: number;
  /** rows · parts. */
  readonly threads: number;
}

const WORKGROUP_BYTES = 12288; // of the 16 KiB that every device has; the rest is for row data and the next-tile search

/**
 * @param d elements of a head
 * @param options `vectors`, most vec4s of a slice, which decides the registers a thread needs; `dots`, dot products a
 * pair of rows needs
 */
export function shapeOf(
  d: number,
  options: { readonly aligned: boolean; readonly vectors: number; readonly dots: number },
): Shape {
  const { aligned, vectors, dots } = options, total = Math.ceil(d / 4);
  let parts = 1;
  while (Math.ceil(total / parts) > vectors) parts *= 2;
  const slice = Math.ceil(total / parts), width = slice * parts, rows = parts <= 2 ? 64 : 128 / parts;
  const bytesARow = width * 32 + (parts > 1 ? rows * parts * dots * 4 : 0);
  const tile = Math.max(4, Math.min(32, Math.floor(WORKGROUP_BYTES / bytesARow / 4) * 4));
  return { d, aligned, parts, slice, width, rows, tile, threads: rows * parts };
}

/** Lines for i = 0…count−1. */
export function times(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}

/** `fn read_NAME(at, c)`: vec4 number c of the vector that starts at element `at` of binding NAME; 0 beyond the head. */
export function reader(name: string, { d, aligned, width }: Shape): string {
  const whole = width * 4 === d;
  if (aligned) {
    const value = `${name}[at / 4u + c]`;
    return `fn read_${name}(at: u32, c: u32) -> vec4<f32> {
  ${whole ? `return ${value};` : `if (c >= ${d / 4}u) { return vec4<f32>(); }\n  return ${value};`}
}`;
  }
  return `fn read_${name}(at: u32, c: u32) -> vec4<f32> {
  var four = vec4<f32>();
  for (var i = 0u; i < 4u; i++) { if (4u * c + i < ${d}u) { four[i] = ${name}[at + 4u * c + i]; } }
  return four;
}`;
}

/** Writes vec4 `value` as number c of the vector that starts at element `at` of NAME. */
export function writer(name: string, { d, aligned, width }: Shape): string {
  const guard = width * 4 === d ? "" : `if (c >= ${Math.ceil(d / 4)}u) { return; }\n  `;
  return `fn write_${name}(at: u32, c: u32, value: vec4<f32>) {
  ${guard}${
    aligned
      ? `${name}[at / 4u + c] = value;`
      : `for (var i = 0u; i < 4u; i++) { if (4u * c + i < ${d}u) { ${name}[at + 4u * c + i] = value[i]; } }`
  }
}`;
}

/** The element type of a binding that `reader` or `writer` serves. */
export function elementType({ aligned }: Shape): string {
  return aligned ? "vec4<f32>" : "f32";
}

/**
 * Declarations to find, all threads together, the next row that any of them needs: whole stretches that no row of the
 * workgroup attends to are jumped over.
 */
export const NEXT = `
const NONE = 0xffffffffu;
var<workgroup> nearest: atomic<u32>;
var<workgroup> next_row: u32;
fn next_in(spans: vec4<u32>, at: u32) -> u32 {
  let s = max(at, spans.x);
  let o = max(at, spans.z);
  return min(select(NONE, s, s < spans.y), select(NONE, o, o < spans.w));
}
fn attends(spans: vec4<u32>, j: u32) -> bool {
  return (j >= spans.x && j < spans.y) || (j >= spans.z && j < spans.w);
}`;

/** Sets `at` to the next row that a thread needs (it gives `wanted`), or leaves the loop. */
export function advance(wanted: string): string {
  return `
    atomicMin(&nearest, ${wanted});
    workgroupBarrier();
    if (lane == 0u) { next_row = atomicLoad(&nearest); atomicStore(&nearest, NONE); }
    at = workgroupUniformLoad(&next_row);
    if (at == NONE) { break; }`;
}

/** The sum over the parts of a row of `name`, which each thread has put into `pieces`. */
export function sumOfParts({ parts, rows, tile }: Shape, dot: number, u: string): string {
  return Array.from(
    { length: parts },
    (_, p) => `pieces[(${(dot * parts + p) * tile}u + ${u}) * ${rows}u + r]`,
  )
    .join(" + ");
}
