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

const PARAMS = {
  rows: "u32",
  heads: "u32",
  kv_heads: "u32",
  held_vectors: "u32",
  parts: "u32",
  scale: "f32",
  scale2: "f32",
} as const;

/** Declarations of both passes. */
function header(shape: Shape): string {
  return `${declarations(shape, 2)}
${reader("qkv", shape)}
${reader("dout", shape)}
${writer("dqkv", shape)}
fn row_at(i: u32) -> u32 { return i * (params.heads + 2u * params.kv_heads) * ${shape.d}u; }`;
}

/**
 * A loop over the rows u of a tile that the thread needs. `x` and `y` name its arrays whose dots with the two tiles
 * `body` finds in `s` and `e`, one value a held row.
 */
function pairs(shape: Shape, { x, y, body }: { x: string; y: string; body: string }): string {
  const { held, parts, slice, width, tile } = shape;
  const loop = (inner: string) =>
    `      for (var u = 0u; u < min(${tile}u, end - at); u++) {
        if (!attends(hull, at + u)) { continue; }
        let base = u * ${width}u + part * ${slice}u;
        ${inner}
      }`;
  const dots = `${times(held, (i) => `var a${i} = vec4<f32>(); var b${i} = vec4<f32>();`)}
        ${
    each(
      shape,
      `let ta = tile_a[base + c]; let tb = tile_b[base + c]; ` +
        times(held, (i) => `a${i} += ${x}[${i * slice}u + c] * ta; b${i} += ${y}[${i * slice}u + c] * tb;`),
    )
  }`;
  const a = vector(shape, "f32", (i) => `total(a${i})`), b = vector(shape, "f32", (i) => `total(b${i})`);
  if (parts === 1) return loop(`${dots}\nlet s = ${a};\nlet e = ${b};\n${body}`);
  return `${
    loop(`${dots}
        pieces[${pieceAt(shape, { dot: 0, p: "part", u: "u" })}] = ${a};
        pieces[${pieceAt(shape, { dot: 1, p: "part", u: "u" })}] = ${b};`)
  }
      workgroupBarrier();
${loop(`${sumParts(shape, { s: [0, "u"], e: [1, "u"] })}\n${body}`)}`;
}

/** D = rowsum(dout∘out), which the other pass needs too, and dq: a thread holds queries, tiles bring keys. */
export function queriesProgram(shape: Shape): Program {
  const { d, aligned, held, parts, slice, width } = shape,
    vectors = elementType(shape),
    f = `vec${held}<f32>`;
  return {
    name: `span_attention_gradient_q_${d}_${held}${aligned ? "" : "_unaligned"}`,
    inputs: { qkv: vectors, out: vectors, dout: vectors, lse: "f32", spans: "vec4<i32>" },
    outputs: { dqkv: vectors, pull: "f32" },
    params: PARAMS,
    workgroup: [shape.threads],
    header: header(shape) + reader("out", shape),
    body: `
  let head = group.y;
  let kv = head / (params.heads / params.kv_heads);
  ${ownRows(shape)}
  var hull = vec4<u32>(NONE, 0u, NONE, 0u);
  var q: array<vec4<f32>, ${held * slice}>;
  var g: array<vec4<f32>, ${held * slice}>;
  var dq: array<vec4<f32>, ${held * slice}>;
  var down = ${f}();
  var lse2 = ${f}();
${
      times(held, (i) => `
  var mine${i} = vec4<u32>();
  if (first_row + ${i}u < params.rows) {
    mine${i} = vec4<u32>(spans[first_row + ${i}u]);
    lse2[${i}] = lse[(first_row + ${i}u) * params.heads + head] * 1.4426950408889634;
  }
  hull = hull_of(hull, proper(mine${i}));`)
    }
  ${
      readHeld(shape, {
        read: `let cell = (i * params.heads + head) * ${d}u;
    let q4 = read_qkv(row_at(i) + head * ${d}u, x);
    let g4 = read_dout(cell, x);
    down += select(${f}(), ${f}(dot(g4, read_out(cell, x))), ${vector(shape, "u32", (i) => `${i}u`)} == ${
          vector(shape, "u32", () => `n / ${slice}u`)
        });`,
        names: { q: "q4", g: "g4" },
      })
    }
${
      parts === 1 ? "" : `  pieces[${pieceAt(shape, { dot: 0, p: "part", u: "0u" })}] = down;
  workgroupBarrier();
  ${sumParts(shape, { whole: [0, "0u"] })}
  down = whole;`
    }
  if (lane == 0u) { atomicStore(&nearest, NONE); }
  workgroupBarrier();
  ${
      walk(shape, {
        load: `let place = row_at(min(at + t / ${width}u, params.rows - 1u)) + (params.heads + kv) * ${d}u;
        tile_a[t] = read_qkv(place, t % ${width}u);
        tile_b[t] = read_qkv(place + params.kv_heads * ${d}u, t % ${width}u);`,
        use: pairs(shape, {
          x: "q",
          y: "g",
          body: `let inside = ${vector(shape, "bool", (i) => `attends(mine${i}, at + u)`)};
        let ds = select(${f}(), exp2(s * params.scale2 - lse2) * (e - down) * params.scale, inside);
        ${
            each(
              shape,
              `let x = tile_a[base + c]; ` + times(held, (i) => `dq[${i * slice}u + c] += ds[${i}] * x;`),
            )
          }`,
        }),
      })
    }
  ${writeHeld(shape, { names: ["dq"], write: `write_dqkv(row_at(i) + head * ${d}u, x, dq4);` })}
  if (part == 0u) {
${
      times(
        held,
        (i) =>
          `    if (first_row + ${i}u < params.rows) { pull[(first_row + ${i}u) * params.heads + head] = down[${i}]; }`,
      )
    }
  }`,
  };
}

/** dk and dv: a thread holds keys, tiles bring the queries that may attend to them, head after head of their group. */
export function keysProgram(shape: Shape): Program {
  const { d, aligned, held, slice, width, tile, threads } = shape, vectors = elementType(shape);
  const f = `vec${held}<f32>`;
  return {
    name: `span_attention_gradient_kv_${d}_${held}${aligned ? "" : "_unaligned"}`,
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
  let kv = group.y;
  let shared_by = params.heads / params.kv_heads;
  ${ownRows(shape)}
  var hull = vec4<u32>(NONE, 0u, NONE, 0u);
  var k: array<vec4<f32>, ${held * slice}>;
  var v: array<vec4<f32>, ${held * slice}>;
  var dk: array<vec4<f32>, ${held * slice}>;
  var dv: array<vec4<f32>, ${held * slice}>;
${
      times(held, (i) => `
  if (first_row + ${i}u < params.rows) {
    hull = hull_of(hull, proper(vec4<u32>(vec2<u32>(key_spans[first_row + ${i}u]), NONE, 0u)));
  }`)
    }
  ${
      readHeld(shape, {
        read: `let place = row_at(i) + (params.heads + kv) * ${d}u;
    let k4 = read_qkv(place, x);
    let v4 = read_qkv(place + params.kv_heads * ${d}u, x);`,
        names: { k: "k4", v: "v4" },
      })
    }
  if (lane == 0u) { atomicStore(&nearest, NONE); }
  workgroupBarrier();
  for (var head = kv * shared_by; head < (kv + 1u) * shared_by; head++) {
  ${
      walk(shape, {
        load: `let i = min(at + t / ${width}u, params.rows - 1u);
        tile_a[t] = read_qkv(row_at(i) + head * ${d}u, t % ${width}u);
        tile_b[t] = read_dout((i * params.heads + head) * ${d}u, t % ${width}u);
        if (t % ${width}u == 0u) {
          tile_spans[t / ${width}u] = vec4<u32>(spans[i]);
          tile_rows[t / ${width}u] =
            vec2<f32>(lse[i * params.heads + head] * 1.4426950408889634, pull[i * params.heads + head]);
        }`,
        use: pairs(shape, {
          x: "k",
          y: "v",
          body: `let theirs = tile_spans[u];
        let row_of = tile_rows[u];
        let inside = ${vector(shape, "bool", (i) => `attends(theirs, first_row + ${i}u)`)};
        let p = select(${f}(), exp2(s * params.scale2 - row_of.x), inside);
        let ds = p * (e - row_of.y) * params.scale;
        ${
            each(
              shape,
              `let x = tile_a[base + c]; let y = tile_b[base + c]; ` +
                times(
                  held,
                  (i) => `dk[${i * slice}u + c] += ds[${i}] * x; dv[${i * slice}u + c] += p[${i}] * y;`,
                ),
            )
          }`,
        }),
      })
    }
  }
  ${
      writeHeld(shape, {
        names: ["dk", "dv"],
        write: `let place = row_at(i) + (params.heads + kv) * ${d}u;
    write_dqkv(place, x, dk4);
    write_dqkv(place + params.kv_heads * ${d}u, x, dv4);`,
      })
    }`,
  };
}
