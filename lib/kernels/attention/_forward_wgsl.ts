import type { Program } from "../../backend/dispatch.ts";
import {
  declarations,
  each,
  elementType,
  ownRows,
  pieceAt,
  reader,
  readHeld,
  type Shape,
  sumParts,
  times,
  vector,
  walk,
  writeHeld,
  writer,
} from "./_wgsl.ts";

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
      vectors: "u32",
      held_vectors: "u32",
      parts: "u32",
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
  const { d, aligned, held, parts, slice, width, tile } = shape, several = parts > 1;
  const four = Math.min(4, tile), keys = Array.from({ length: four }, (_, g) => g);
  const mine = Array.from({ length: held }, (_, i) => i);
  // Dot products of the held queries with tile row u, into a0, a1, …
  const dots = (u: string) => `
        ${mine.map((i) => `var a${i} = vec4<f32>();`).join(" ")}
        ${
    each(
      shape,
      `let x = tile_a[(${u}) * ${width}u + part * ${slice}u + c]; ` +
        mine.map((i) => `a${i} += q[${i * slice}u + c] * x;`).join(" "),
    )
  }`;
  const sums = vector(shape, "f32", (i) => `total(a${i})`);
  const f = `vec${held}<f32>`;
  return {
    ...bindings(shape),
    name: `span_attention_${d}${aligned ? "" : "_unaligned"}`,
    workgroup: [shape.threads],
    header: `${declarations(shape, 1)}
${reader("q", shape)}
${reader("k", shape)}
${reader("v", shape)}
${writer("out", shape)}`,
    body: `
  let head = group.y;
  let kv = head / params.shared_by * ${d}u;
  ${ownRows(shape)}
  var hull = vec4<u32>(NONE, 0u, NONE, 0u);
  var q: array<vec4<f32>, ${held * slice}>;
  var o: array<vec4<f32>, ${held * slice}>;
${
      times(held, (i) => `
  var mine${i} = vec4<u32>();
  if (first_row + ${i}u < params.rows) { mine${i} = vec4<u32>(spans[first_row + ${i}u]); }
  hull = hull_of(hull, proper(mine${i}));`)
    }
  ${
      readHeld(shape, {
        read: `let four = read_q(i * params.q_stride + params.q_offset + head * ${d}u, x) * params.scale2;`,
        names: { q: "four" },
      })
    }
  var most = ${f}(-1e30);
  var sum = ${f}();
  if (lane == 0u) { atomicStore(&nearest, NONE); }
  workgroupBarrier();
  ${
      walk(shape, {
        load: `let j = min(at + t / ${width}u, params.key_rows - 1u);
        tile_a[t] = read_k(j * params.k_stride + params.k_offset + kv, t % ${width}u);
        tile_b[t] = read_v(j * params.v_stride + params.v_offset + kv, t % ${width}u);`,
        use: `
${
          several
            ? `      for (var u = 0u; u < min(${tile}u, end - at); u++) {
        if (!attends(hull, at + u)) { continue; }
        ${dots("u")}
        pieces[${pieceAt(shape, { dot: 0, p: "part", u: "u" })}] = ${sums};
      }
      workgroupBarrier();`
            : ""
        }
      for (var u = 0u; u < min(${tile}u, end - at); u += ${four}u) {
        let j = at + u;
        if (next_in(hull, j) >= min(j + ${four}u, end)) { continue; }
${
          keys.map((g) =>
            `        let in${g} = ${
              vector(shape, "bool", (i) => `j + ${g}u < end && attends(mine${i}, j + ${g}u)`)
            };`
          ).join("\n")
        }
        ${
          several
            ? sumParts(shape, Object.fromEntries(keys.map((g) => [`s${g}`, [0, `(u + ${g}u)`]])))
            : keys.map((g) => `var s${g}: ${f}; { ${dots(`u + ${g}u`)} s${g} = ${sums}; }`).join("\n")
        }
${keys.map((g) => `        s${g} = select(${f}(-1e30), s${g}, in${g});`).join("\n")}
        let larger = ${keys.reduce((a, g) => `max(${a}, s${g})`, "most")};
        if (any(larger > most)) {
          let keep = exp2(most - larger);
          most = larger;
          sum *= keep;
          ${each(shape, mine.map((i) => `o[${i * slice}u + c] *= keep[${i}];`).join(" "))}
        }
${
          keys.map((g) =>
            `        let p${g} = select(${f}(), exp2(s${g} - most), in${g});
        sum += p${g};`
          ).join("\n")
        }
        let first = u * ${width}u + part * ${slice}u;
        ${
          each(
            shape,
            keys.map((g) => `let v${g} = tile_b[first + c + ${g * width}u];`).join(" ") +
              mine.map((i) =>
                ` o[${i * slice}u + c] += ${keys.map((g) => `p${g}[${i}] * v${g}`).join(" + ")};`
              )
                .join(""),
          )
        }
      }`,
      })
    }
  let by = select(${f}(), 1.0 / max(sum, ${f}(1e-30)), sum > ${f}());
  ${each(shape, mine.map((i) => `o[${i * slice}u + c] *= by[${i}];`).join(" "))}
  ${
      writeHeld(shape, {
        names: ["o"],
        write: `write_out((i * params.heads + head) * ${d}u, x, o4);`,
      })
    }
  if (part == 0u) {
    let all = select(${f}(-1e30), (most + log2(max(sum, ${f}(1e-30)))) * 0.6931471805599453, sum > ${f}());
${
      times(
        held,
        (i) =>
          `    if (first_row + ${i}u < params.rows) { lse[(first_row + ${i}u) * params.heads + head] = all[${i}]; }`,
      )
    }
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
  const groups = THREADS / columns, chunk = THREADS * 4, own = [0, 1, 2, 3];
  return {
    ...bindings(shape),
    name: `span_attention_decoding_${d}${aligned ? "" : "_unaligned"}`,
    workgroup: [THREADS],
    header: `
var<workgroup> query: array<vec4<f32>, ${width}>;
var<workgroup> scores: array<f32, ${chunk}>;
var<workgroup> largest: array<f32, ${THREADS}>;
var<workgroup> eighths: array<f32, 8>;
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
${
      own.map((t) =>
        `    let j${t} = at + ${t * THREADS}u + lane;
    let start${t} = select(mine.z + j${t} - first, mine.x + j${t}, j${t} < first) * params.k_stride + params.k_offset + kv;
    var a${t} = vec4<f32>();`
      ).join("\n")
    }
    for (var x = 0u; x < params.vectors; x++) {
      let four = query[x];
${own.map((t) => `      if (j${t} < count) { a${t} += four * read_k(start${t}, x); }`).join("\n")}
    }
    var s = vec4<f32>(${own.map((t) => `a${t}.x + a${t}.y + a${t}.z + a${t}.w`).join(", ")});
    let here = vec4<u32>(${own.map((t) => `j${t}`).join(", ")}) < vec4<u32>(count);
    s = select(vec4<f32>(-1e30), s, here);
    largest[lane] = max(max(s.x, s.y), max(s.z, s.w));
    workgroupBarrier();
    if (lane < 8u) {
      var eighth = largest[lane];
      for (var t = lane + 8u; t < ${THREADS}u; t += 8u) { eighth = max(eighth, largest[t]); }
      eighths[lane] = eighth;
    }
    workgroupBarrier();
    var larger = most;
    for (var t = 0u; t < 8u; t++) { larger = max(larger, eighths[t]); }
    let keep = exp2(most - larger);
    most = larger;
    sum *= keep;
    o *= keep;
    let p = select(vec4<f32>(), exp2(s - most), here);
    sum += (p.x + p.y) + (p.z + p.w);
${own.map((t) => `    scores[${t * THREADS}u + lane] = p[${t}];`).join("\n")}
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
