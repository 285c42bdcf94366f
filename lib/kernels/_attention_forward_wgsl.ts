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

function bindings(shape: Shape): Pick<Program, "inputs" | "outputs" | "params"> {
  const vectors = elementType(shape);
  return {
    inputs: { q: vectors, k: vectors, v: vectors, spans: "vec4<i32>" },
    outputs: { out: vectors, lse: "f32" },
    params: {
      rows: "u32",
      key_rows: "u32",
      heads: "u32",
      shared_by: "u32",
      q_stride: "u32",
      q_offset: "u32",
      k_stride: "u32",
      k_offset: "u32",
      v_stride: "u32",
      v_offset: "u32",
      scale2: "f32",
    },
  };
}

/**
 * Forward of training and prefill: a workgroup takes `rows` queries of one head and walks over the keys that any of
 * them attends to, with an online softmax in base 2. Groups of four keys share one rescaling.
 */
export function forwardProgram(shape: Shape): Program {
  const { d, aligned, parts, slice, width, rows, tile, threads } = shape;
  const dot = (u: number) =>
    `let k${u} = (u + ${u}u) * ${width}u + part * ${slice}u;\n` +
    `var a${u} = q0 * keys[k${u}];\n` +
    times(slice - 1, (i) => `a${u} += q${i + 1} * keys[k${u} + ${i + 1}u];`);
  const four = (line: (u: number) => string) => times(4, line);
  const score = (u: number) =>
    parts === 1 ? `a${u}.x + a${u}.y + a${u}.z + a${u}.w` : sumOfParts(shape, 0, `u + ${u}u`);
  return {
    ...bindings(shape),
    name: `span_attention_${d}${aligned ? "" : "_unaligned"}`,
    workgroup: [threads],
    header: `${NEXT}
var<workgroup> keys: array<vec4<f32>, ${tile * width}>;
var<workgroup> values: array<vec4<f32>, ${tile * width}>;
${parts > 1 ? `var<workgroup> pieces: array<f32, ${rows * parts * tile}>;` : ""}
${reader("q", shape)}
${reader("k", shape)}
${reader("v", shape)}
${writer("out", shape)}`,
    body: `
  let r = lane % ${rows}u;
  let part = lane / ${rows}u;
  let i = group.x * ${rows}u + r;
  let head = group.y;
  let kv = head / params.shared_by * ${d}u;
  var mine = vec4<u32>();
  if (i < params.rows) { mine = vec4<u32>(spans[i]); }
  let query = min(i, params.rows - 1u) * params.q_stride + params.q_offset + head * ${d}u;
${
      times(slice, (c) =>
        `  let q${c} = read_q(query, part * ${slice}u + ${c}u) * params.scale2; var o${c} = vec4<f32>();`)
    }
  var most = -1e30;
  var sum = 0.0;
  var at = 0u;
  if (lane == 0u) { atomicStore(&nearest, NONE); }
  workgroupBarrier();
  loop {
    ${advance("next_in(mine, at)")}
    for (var t = lane; t < ${tile * width}u; t += ${threads}u) {
      let j = min(at + t / ${width}u, params.key_rows - 1u);
      keys[t] = read_k(j * params.k_stride + params.k_offset + kv, t % ${width}u);
      values[t] = read_v(j * params.v_stride + params.v_offset + kv, t % ${width}u);
    }
    workgroupBarrier();
${
      parts === 1 ? "" : `    for (var u = 0u; u < ${tile}u; u += 4u) {
${four(dot)}
${
        four((u) =>
          `      pieces[(part * ${tile}u + u + ${u}u) * ${rows}u + r] = a${u}.x + a${u}.y + a${u}.z + a${u}.w;`
        )
      }
    }
    workgroupBarrier();`
    }
    for (var u = 0u; u < ${tile}u; u += 4u) {
${four((u) => `      let in${u} = attends(mine, at + u + ${u}u);`)}
      if (in0 || in1 || in2 || in3) {
${parts === 1 ? four(dot) : ""}
${four((u) => `        let s${u} = select(-1e30, ${score(u)}, in${u});`)}
        let larger = max(max(s0, s1), max(s2, s3));
        if (larger > most) {
          let keep = exp2(most - larger);
          most = larger;
          sum *= keep;
${times(slice, (c) => `          o${c} *= keep;`)}
        }
${four((u) => `        let p${u} = select(0.0, exp2(s${u} - most), in${u});`)}
        sum += (p0 + p1) + (p2 + p3);
${four((u) => `        let v${u} = (u + ${u}u) * ${width}u + part * ${slice}u;`)}
${
      times(
        slice,
        (c) =>
          `        o${c} += p0 * values[v0 + ${c}u] + p1 * values[v1 + ${c}u] + p2 * values[v2 + ${c}u] + ` +
          `p3 * values[v3 + ${c}u];`,
      )
    }
      }
    }
    at += ${tile}u;
  }
  if (i >= params.rows) { return; }
  let by = select(0.0, 1.0 / max(sum, 1e-30), sum > 0.0);
  let place = (i * params.heads + head) * ${d}u;
${times(slice, (c) => `  write_out(place, part * ${slice}u + ${c}u, o${c} * by);`)}
  if (part == 0u) {
    lse[i * params.heads + head] = select(-1e30, (most + log2(max(sum, 1e-30))) * 0.6931471805599453, sum > 0.0);
  }`,
  };
}

const THREADS = 64;

/**
 * Forward of decoding: a workgroup takes one row of one head. Threads take keys for the scores, then columns of v
 * (and, where the head is short, every G-th key) for the output.
 */
export function decodingProgram(shape: Shape): Program {
  const { d, aligned } = shape, width = Math.ceil(d / 4);
  let columns = 1;
  while (columns < width) columns *= 2;
  const groups = THREADS / columns, chunk = THREADS * 4;
  return {
    ...bindings(shape),
    name: `span_attention_decoding_${d}${aligned ? "" : "_unaligned"}`,
    workgroup: [THREADS],
    header: `
var<workgroup> query: array<vec4<f32>, ${width}>;
var<workgroup> scores: array<f32, ${chunk}>;
var<workgroup> largest: array<vec4<f32>, ${THREADS / 4}>;
var<workgroup> sums: array<f32, ${THREADS}>;
var<workgroup> outputs: array<vec4<f32>, ${THREADS}>;
${reader("q", shape)}
${reader("k", shape)}
${reader("v", shape)}
${writer("out", shape)}`,
    body: `
  let i = group.x;
  let head = group.y;
  let kv = head / params.shared_by * ${d}u;
  let mine = vec4<u32>(spans[i]);
  let first = select(0u, mine.y - mine.x, mine.y > mine.x);
  let count = first + select(0u, mine.w - mine.z, mine.w > mine.z);
  if (lane < ${width}u) {
    query[lane] = read_q(i * params.q_stride + params.q_offset + head * ${d}u, lane) * params.scale2;
  }
  workgroupBarrier();
  let c = lane % ${columns}u;
  let offset = lane / ${columns}u;
  var most = -1e30;
  var sum = 0.0;
  var o = vec4<f32>();
  for (var at = 0u; at < count; at += ${chunk}u) {
    let n = min(count - at, ${chunk}u);
    var s: array<f32, 4>;
    var larger = -1e30;
    for (var t = 0u; t < 4u; t++) {
      let j = t * ${THREADS}u + lane;
      s[t] = -1e30;
      if (j < n) {
        let key = select(mine.z + at + j - first, mine.x + at + j, at + j < first);
        let start = key * params.k_stride + params.k_offset + kv;
        var a = vec4<f32>();
        for (var x = 0u; x < ${width}u; x++) { a += query[x] * read_k(start, x); }
        s[t] = a.x + a.y + a.z + a.w;
        larger = max(larger, s[t]);
      }
    }
    largest[lane / 4u][lane % 4u] = larger;
    workgroupBarrier();
    var four = largest[0];
    for (var t = 1u; t < ${THREADS / 4}u; t++) { four = max(four, largest[t]); }
    larger = max(most, max(max(four.x, four.y), max(four.z, four.w)));
    let keep = exp2(most - larger);
    most = larger;
    sum *= keep;
    o *= keep;
    for (var t = 0u; t < 4u; t++) {
      let p = select(0.0, exp2(s[t] - most), t * ${THREADS}u + lane < n);
      sum += p;
      scores[t * ${THREADS}u + lane] = p;
    }
    workgroupBarrier();
    if (c < ${width}u) {
      for (var j = offset; j < n; j += ${groups}u) {
        let key = select(mine.z + at + j - first, mine.x + at + j, at + j < first);
        o += scores[j] * read_v(key * params.v_stride + params.v_offset + kv, c);
      }
    }
  }
  sums[lane] = sum;
  outputs[lane] = o;
  workgroupBarrier();
  if (lane < ${width}u) {
    var total = 0.0;
    for (var t = 0u; t < ${THREADS}u; t++) { total += sums[t]; }
    for (var t = 1u; t < ${groups}u; t++) { o += outputs[t * ${columns}u + lane]; }
    let by = select(0.0, 1.0 / max(total, 1e-30), total > 0.0);
    write_out((i * params.heads + head) * ${d}u, lane, o * by);
    if (lane == 0u) {
      lse[i * params.heads + head] = select(-1e30, (most + log2(max(total, 1e-30))) * 0.6931471805599453, total > 0.0);
    }
  }`,
  };
}
