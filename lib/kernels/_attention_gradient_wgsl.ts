import type { Program } from "../backend/dispatch.ts";
import {
  advance,
  elementType,
  NEXT,
  reader,
  type Shape,
  sumOfParts,
  times,
  writer,
} from "./_attention_wgsl.ts";

const PARAMS = { rows: "u32", heads: "u32", kv_heads: "u32", scale: "f32", scale2: "f32" } as const;

/**
 * Declarations of both passes: two tiles of vectors (k and v, or q and dout), what the parts of a row exchange, and
 * places in qkv.
 */
function header(shape: Shape): string {
  const { parts, rows, tile, width, d } = shape;
  return `${NEXT}
var<workgroup> tile_a: array<vec4<f32>, ${tile * width}>;
var<workgroup> tile_b: array<vec4<f32>, ${tile * width}>;
${parts > 1 ? `var<workgroup> pieces: array<f32, ${2 * rows * parts * tile}>;` : ""}
${reader("qkv", shape)}
${reader("dout", shape)}
${writer("dqkv", shape)}
fn row_at(i: u32) -> u32 { return i * (params.heads + 2u * params.kv_heads) * ${d}u; }
fn total(a: vec4<f32>) -> f32 { return (a.x + a.y) + (a.z + a.w); }`;
}

/** Dots of this thread's slices x and y with row u of the tiles, as sums of four lanes a and b. */
function dots({ width, slice }: Shape, [x, y]: readonly [string, string]): string {
  return `let base = u * ${width}u + part * ${slice}u;
      var a = ${x}0 * tile_a[base];
      var b = ${y}0 * tile_b[base];
${
    times(
      slice - 1,
      (c) =>
        `      a += ${x}${c + 1} * tile_a[base + ${c + 1}u]; b += ${y}${c + 1} * tile_b[base + ${c + 1}u];`,
    )
  }`;
}

/** Where a row has several parts: their pieces dots, put into workgroup memory before any of them is used. */
function exchange(shape: Shape, names: readonly [string, string]): string {
  const { parts, rows, tile } = shape;
  if (parts === 1) return "";
  return `    for (var u = 0u; u < ${tile}u; u++) {
      ${dots(shape, names)}
      pieces[(part * ${tile}u + u) * ${rows}u + r] = total(a);
      pieces[((${parts}u + part) * ${tile}u + u) * ${rows}u + r] = total(b);
    }
    workgroupBarrier();`;
}

/** The two dots of a pair of rows: `s` and `e`. */
function pair(shape: Shape, names: readonly [string, string]): string {
  return shape.parts === 1
    ? `${dots(shape, names)}
      let s = total(a);
      let e = total(b);`
    : `let base = u * ${shape.width}u + part * ${shape.slice}u;
      let s = ${sumOfParts(shape, 0, "u")};
      let e = ${sumOfParts(shape, 1, "u")};`;
}

/** D = rowsum(dout∘out), which the other pass needs too, and dq: a thread holds a query, tiles bring keys. */
export function queriesProgram(shape: Shape): Program {
  const { d, aligned, parts, slice, width, rows, tile, threads } = shape, vectors = elementType(shape);
  return {
    name: `span_attention_gradient_q_${d}${aligned ? "" : "_unaligned"}`,
    inputs: { qkv: vectors, out: vectors, dout: vectors, lse: "f32", spans: "vec4<i32>" },
    outputs: { dqkv: vectors, pull: "f32" },
    params: PARAMS,
    workgroup: [threads],
    header: header(shape) + reader("out", shape),
    body: `
  let r = lane % ${rows}u;
  let part = lane / ${rows}u;
  let i = group.x * ${rows}u + r;
  let head = group.y;
  let kv = head / (params.heads / params.kv_heads);
  let safe = min(i, params.rows - 1u);
  var mine = vec4<u32>();
  if (i < params.rows) { mine = vec4<u32>(spans[safe]); }
  let query = row_at(safe) + head * ${d}u;
  let cell = (safe * params.heads + head) * ${d}u;
  var product = vec4<f32>();
${
      times(slice, (c) =>
        `  let q${c} = read_qkv(query, part * ${slice}u + ${c}u); ` +
        `let g${c} = read_dout(cell, part * ${slice}u + ${c}u); var dq${c} = vec4<f32>();
  product += g${c} * read_out(cell, part * ${slice}u + ${c}u);`)
    }
  var down = total(product);
${
      parts === 1 ? "" : `  pieces[part * ${rows}u + r] = down;
  workgroupBarrier();
  down = ${Array.from({ length: parts }, (_, p) => `pieces[${p * rows}u + r]`).join(" + ")};`
    }
  let lse2 = lse[safe * params.heads + head] * 1.4426950408889634;
  var at = 0u;
  if (lane == 0u) { atomicStore(&nearest, NONE); }
  workgroupBarrier();
  loop {
    ${advance("next_in(mine, at)")}
    for (var t = lane; t < ${tile * width}u; t += ${threads}u) {
      let place = row_at(min(at + t / ${width}u, params.rows - 1u)) + (params.heads + kv) * ${d}u;
      tile_a[t] = read_qkv(place, t % ${width}u);
      tile_b[t] = read_qkv(place + params.kv_heads * ${d}u, t % ${width}u);
    }
    workgroupBarrier();
${exchange(shape, ["q", "g"])}
    for (var u = 0u; u < ${tile}u; u++) {
      if (!attends(mine, at + u)) { continue; }
      ${pair(shape, ["q", "g"])}
      let ds = exp2(s * params.scale2 - lse2) * (e - down) * params.scale;
${times(slice, (c) => `      dq${c} += ds * tile_a[base + ${c}u];`)}
    }
    at += ${tile}u;
  }
  if (i >= params.rows) { return; }
${times(slice, (c) => `  write_dqkv(query, part * ${slice}u + ${c}u, dq${c});`)}
  if (part == 0u) { pull[i * params.heads + head] = down; }`,
  };
}

/** dk and dv: a thread holds a key, tiles bring the queries that may attend to it, head after head of its group. */
export function keysProgram(shape: Shape): Program {
  const { d, aligned, slice, width, rows, tile, threads } = shape, vectors = elementType(shape);
  return {
    name: `span_attention_gradient_kv_${d}${aligned ? "" : "_unaligned"}`,
    inputs: {
      qkv: vectors,
      dout: vectors,
      lse: "f32",
      pull: "f32",
      spans: "vec4<i32>",
      key_spans: "vec2<i32>",
    },
    outputs: { dqkv: vectors },
    params: PARAMS,
    workgroup: [threads],
    header: `${header(shape)}
var<workgroup> tile_spans: array<vec4<u32>, ${tile}>;
var<workgroup> tile_rows: array<vec2<f32>, ${tile}>;`,
    body: `
  let r = lane % ${rows}u;
  let part = lane / ${rows}u;
  let j = group.x * ${rows}u + r;
  let kv = group.y;
  let shared_by = params.heads / params.kv_heads;
  let safe = min(j, params.rows - 1u);
  var mine = vec4<u32>();
  if (j < params.rows) { mine = vec4<u32>(vec2<u32>(key_spans[safe]), 0u, 0u); }
  let key = row_at(safe) + (params.heads + kv) * ${d}u;
  let value = key + params.kv_heads * ${d}u;
${
      times(slice, (c) =>
        `  let k${c} = read_qkv(key, part * ${slice}u + ${c}u); ` +
        `let v${c} = read_qkv(value, part * ${slice}u + ${c}u); var dk${c} = vec4<f32>(); var dv${c} = vec4<f32>();`)
    }
  if (lane == 0u) { atomicStore(&nearest, NONE); }
  workgroupBarrier();
  for (var head = kv * shared_by; head < (kv + 1u) * shared_by; head++) {
  var at = 0u;
  loop {
    ${advance("next_in(mine, at)")}
    for (var t = lane; t < ${tile * width}u; t += ${threads}u) {
      let i = min(at + t / ${width}u, params.rows - 1u);
      tile_a[t] = read_qkv(row_at(i) + head * ${d}u, t % ${width}u);
      tile_b[t] = read_dout((i * params.heads + head) * ${d}u, t % ${width}u);
    }
    for (var t = lane; t < ${tile}u; t += ${threads}u) {
      let i = min(at + t, params.rows - 1u);
      tile_spans[t] = select(vec4<u32>(), vec4<u32>(spans[i]), at + t < params.rows);
      tile_rows[t] = vec2<f32>(lse[i * params.heads + head] * 1.4426950408889634, pull[i * params.heads + head]);
    }
    workgroupBarrier();
${exchange(shape, ["k", "v"])}
    for (var u = 0u; u < ${tile}u; u++) {
      if (!attends(tile_spans[u], j)) { continue; }
      ${pair(shape, ["k", "v"])}
      let row_of = tile_rows[u];
      let p = exp2(s * params.scale2 - row_of.x);
      let ds = p * (e - row_of.y) * params.scale;
${times(slice, (c) => `      dv${c} += p * tile_b[base + ${c}u]; dk${c} += ds * tile_a[base + ${c}u];`)}
    }
    at += ${tile}u;
  }
  }
  if (j >= params.rows) { return; }
${
      times(
        slice,
        (c) =>
          `  write_dqkv(key, part * ${slice}u + ${c}u, dk${c}); write_dqkv(value, part * ${slice}u + ${c}u, dv${c});`,
      )
    }`,
  };
}
