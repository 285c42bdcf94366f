/**
 * How a head is laid over the threads of a workgroup.
 *
 * A thread owns `held` neighbouring rows (queries, or keys in the pass for dk and dv) and holds a slice of their
 * vectors in registers. Rows of the other side come by tiles into workgroup memory; what is read from there serves all
 * rows of the thread, and all threads of a part read the same element at once, a broadcast. The `parts` threads of the
 * same rows add their partial dot products through workgroup memory.
 */
export interface Shape {
  /** Elements of a head. */
  readonly d: number;
  /** Whether every vector starts on a multiple of 4 elements, so that it is read four at a time. */
  readonly aligned: boolean;
  /** Rows of a thread, 2 or 4. */
  readonly held: number;
  /** Threads among which the vectors of a row are cut. */
  readonly parts: number;
  /** vec4s of one thread's slice. */
  readonly slice: number;
  /** vec4s of a row in workgroup memory: parts · slice. */
  readonly width: number;
  /** Rows of a workgroup. */
  readonly rows: number;
  /** Rows of a tile of the other side. */
  readonly tile: number;
  /** rows / held · parts. */
  readonly threads: number;
}

const WORKGROUP_BYTES = 12288; // of the 16 KiB that every device has: the rest is for spans and the search for runs
// vec4s: with 4 rows of q and of the output, 128 registers. Slices of 2, 3, 8 and 16 took up to twice the time.
const SLICE = 4;

/**
 * The layout for one head size: tiles as large as workgroup memory allows.
 *
 * @param d elements of a head
 * @param options `held`, rows of a thread; `dots`, dot products that a pair of rows needs
 */
export function shapeOf(
  d: number,
  { aligned, held, dots }: { readonly aligned: boolean; readonly held: number; readonly dots: number },
): Shape {
  const total = Math.ceil(d / 4), parts = Math.ceil(total / SLICE), slice = Math.ceil(total / parts);
  const width = slice * parts;
  let rows = 64, tile = 0;
  for (; rows >= 8; rows /= 2) {
    tile = Math.min(
      32,
      Math.floor(WORKGROUP_BYTES / (width * 32 + (parts > 1 ? rows * parts * dots * 4 : 0))),
    );
    if (tile >= 4) break;
  }
  tile -= tile % 4;
  return { d, aligned, held, parts, slice, width, rows, tile, threads: rows / held * parts };
}

/** Lines for i = 0…count−1. */
export function times(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}

/** A loop over the vec4s c of a slice. */
export function each({ slice }: Shape, body: string): string {
  return `for (var c = 0u; c < ${slice}u; c++) { ${body} }`;
}

/** A vector of one value a held row: `line` gives them. */
export function vector({ held }: Shape, type: string, line: (i: number) => string): string {
  return `vec${held}<${type}>(${Array.from({ length: held }, (_, i) => line(i)).join(", ")})`;
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
  var four = array<f32, 4>(); // FXC takes no index into a vector that is known at run time alone
  for (var i = 0u; i < 4u; i++) { if (4u * c + i < ${d}u) { four[i] = ${name}[at + 4u * c + i]; } }
  return vec4(four[0], four[1], four[2], four[3]);
}`;
}

/** `fn write_NAME(at, c, value)`: sets what `read_NAME(at, c)` reads. */
export function writer(name: string, { d, aligned, width }: Shape): string {
  const guard = width * 4 === d ? "" : `if (c >= ${Math.ceil(d / 4)}u) { return; }\n  `;
  return `fn write_${name}(at: u32, c: u32, value: vec4<f32>) {
  ${guard}${
    aligned ? `${name}[at / 4u + c] = value;` : `var four = array<f32, 4>(value.x, value.y, value.z, value.w);
  for (var i = 0u; i < 4u; i++) { if (4u * c + i < ${d}u) { ${name}[at + 4u * c + i] = four[i]; } }`
  }
}`;
}

/** The element type of a binding that `reader` or `writer` serves. */
export function elementType({ aligned }: Shape): string {
  return aligned ? "vec4<f32>" : "f32";
}

/** What the search for runs declares: see {@linkcode walk}. */
const RUNS = `
const NONE = 0xffffffffu;
var<workgroup> nearest: atomic<u32>;
var<workgroup> furthest: atomic<u32>;
var<workgroup> run_start: u32;
var<workgroup> run_end: u32;
fn attends(spans: vec4<u32>, j: u32) -> bool {
  return (j >= spans.x && j < spans.y) || (j >= spans.z && j < spans.w);
}
fn next_in(spans: vec4<u32>, at: u32) -> u32 {
  let s = max(at, spans.x);
  let o = max(at, spans.z);
  return min(select(NONE, s, s < spans.y), select(NONE, o, o < spans.w));
}
fn end_in(spans: vec4<u32>, at: u32) -> u32 {
  return max(select(0u, spans.y, at >= spans.x), select(0u, spans.w, at >= spans.z));
}
// An empty range says nothing about a hull.
fn proper(spans: vec4<u32>) -> vec4<u32> {
  return select(vec4<u32>(NONE, 0u, NONE, 0u), spans, (spans.xxzz < spans.yyww));
}
fn hull_of(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
  return select(max(a, b), min(a, b), vec4<bool>(true, false, true, false));
}
fn total(a: vec4<f32>) -> f32 { return (a.x + a.y) + (a.z + a.w); }`;

/** Declarations that every tiled program needs: the search for runs, two tiles, partial dot products. */
export function declarations({ held, parts, rows, tile, width }: Shape, dots: number): string {
  return `${RUNS}
var<workgroup> tile_a: array<vec4<f32>, ${tile * width}>;
var<workgroup> tile_b: array<vec4<f32>, ${tile * width}>;
${parts > 1 ? `var<workgroup> pieces: array<vec${held}<f32>, ${dots * rows / held * parts * tile}>;` : ""}`;
}

/** Sets `part` and `first_row`, which of the workgroup's rows the thread's `held` start with. */
export function ownRows({ held, parts, rows }: Shape): string {
  const groups = rows / held;
  return `
  let part = ${parts === 1 ? "0u" : `lane / ${groups}u`};
  let holder = ${parts === 1 ? "lane" : `lane % ${groups}u`};
  let first_row = group.x * ${rows}u + holder * ${held}u;`;
}

/**
 * Reads the held rows into registers: `read` gives values for vec4 number x of row i, `names` says which array takes
 * which. One read in a loop that no compiler unrolls (its bound is a parameter) and a choice of registers by constant
 * index: written out, each of up to 64 reads costs software Vulkan 100 ms of compiling.
 */
export function readHeld(
  { held, slice }: Shape,
  { read, names }: { read: string; names: Readonly<Record<string, string>> },
): string {
  const take = ([array, value]: [string, string]) =>
    times(held * slice, (n) => `    ${array}[${n}] = select(${array}[${n}], ${value}, n == ${n}u);`);
  return `
  for (var n = 0u; n < params.held_vectors; n++) {
    let i = min(first_row + n / ${slice}u, params.rows - 1u);
    let x = part * ${slice}u + n % ${slice}u;
    ${read}
${Object.entries(names).map(take).join("\n")}
  }`;
}

/** Writes the held rows out of registers, as `readHeld` reads them: `write` puts value `NAME4` of each name. */
export function writeHeld(
  { held, slice }: Shape,
  { write, names }: { write: string; names: readonly string[] },
): string {
  const choose = (name: string) =>
    `    var ${name}4 = ${name}[0];\n` +
    times(held * slice - 1, (n) => `    ${name}4 = select(${name}4, ${name}[${n + 1}], n == ${n + 1}u);`);
  return `
  for (var n = 0u; n < params.held_vectors; n++) {
    let i = first_row + n / ${slice}u;
    if (i >= params.rows) { break; }
    let x = part * ${slice}u + n % ${slice}u;
${names.map(choose).join("\n")}
    ${write}
  }`;
}

/**
 * All threads together walk over the rows of the other side that any of them needs (`hull` holds a thread's own
 * ranges), run by run: what nobody attends to is jumped over. `load` fills tile element t from row \`at + t / width\`;
 * `use` works on rows `at…min(at + tile, end)`.
 *
 * Where the loop ends must be known to be the same for all threads, which `workgroupUniformLoad` says. Its own barriers
 * are not relied on: wgpu has compiled them wrongly for Metal (wgpu #4500).
 */
export function walk({ tile, width, threads }: Shape, { load, use }: { load: string; use: string }): string {
  return `
  var at = 0u;
  loop {
    atomicMin(&nearest, next_in(hull, at));
    workgroupBarrier();
    if (lane == 0u) { run_start = atomicLoad(&nearest); atomicStore(&furthest, 0u); }
    workgroupBarrier();
    at = workgroupUniformLoad(&run_start);
    workgroupBarrier();
    if (at == NONE) { break; }
    atomicMax(&furthest, end_in(hull, at));
    workgroupBarrier();
    if (lane == 0u) { run_end = atomicLoad(&furthest); atomicStore(&nearest, NONE); }
    workgroupBarrier();
    let end = workgroupUniformLoad(&run_end);
    workgroupBarrier();
    for (; at < end; at += ${tile}u) {
      for (var t = lane; t < ${tile * width}u; t += ${threads}u) {
        ${load}
      }
      workgroupBarrier();
${use}
      workgroupBarrier();
    }
    at = end;
  }`;
}

/** Where part p of dot product `dot` with tile row `u` lies among `pieces`. */
export function pieceAt(
  { parts, rows, held, tile }: Shape,
  { dot, p, u }: { readonly dot: number; readonly p: string; readonly u: string },
): string {
  return `((${dot * parts}u + ${p}) * ${tile}u + ${u}) * ${rows / held}u + holder`;
}

/** Declares dot products by name, [which dot, tile row], for each held row: the parts are added. */
export function sumParts(shape: Shape, dots: Readonly<Record<string, readonly [number, string]>>): string {
  const names = Object.entries(dots);
  return `${names.map(([name]) => `var ${name} = vec${shape.held}<f32>();`).join(" ")}
        for (var p = 0u; p < params.parts; p++) {
${
    names.map(([name, [dot, u]]) => `          ${name} += pieces[${pieceAt(shape, { dot, p: "p", u })}];`)
      .join("\n")
  }
        }`;
}
