import { ok } from "node:assert/strict";
import { test } from "node:test";
import { read } from "../../lib/backend/tensors.ts";
import { findAdapter } from "../../lib/backend/webgpu.ts";
import { gradientOnGpu } from "../../lib/kernels/attention/_webgpu.ts";
import { fusedViews, spanAttention, spanAttentionGradient } from "../../lib/kernels/attention/attention.ts";
import type { Heads } from "../../lib/kernels/attention/shapes.ts";
import { decodingLayout, type Segment, spanLayout } from "../../lib/kernels/attention/span_layout.ts";
import { keysOf, referenceAttention } from "./_attention_reference.ts";
import {
  assertClose,
  assertNoLeak,
  differences,
  empty,
  gaussian,
  onBothBackends,
  testDevice,
  upload,
  useDevice,
} from "../_backends.ts";

const noAdapter = (await findAdapter()).adapter ? false : "no WebGPU adapter on this machine";

/** Questions as [prompt length, response lengths…], packed one behind the other. */
function pack(questions: readonly (readonly number[])[]): Segment[] {
  const segments: Segment[] = [];
  let at = 0;
  for (const [prompt, ...responses] of questions) {
    const start = at;
    if (prompt > 0) segments.push({ start, end: at += prompt, sharedStart: start, sharedEnd: start });
    for (const length of responses) {
      segments.push({ start: at, end: at += length, sharedStart: start, sharedEnd: start + prompt });
    }
  }
  return segments;
}

/** Runs forward and gradient on the active backend. */
async function run(
  values: Float32Array,
  dout: Float32Array,
  { heads, segments, rows, window }: {
    heads: Heads;
    segments: Segment[];
    rows: number;
    window?: number | undefined;
  },
): Promise<{ out: ArrayLike<number>; lse: ArrayLike<number>; dqkv: ArrayLike<number> }> {
  const qkv = upload(values, [rows, values.length / rows]), g = upload(dout, [rows, dout.length / rows]);
  const layout = spanLayout(segments, {
    rows,
    device: testDevice(),
    ...(window !== undefined && { window }),
  });
  const attended = spanAttention(fusedViews(qkv, heads), layout, heads);
  const gradient = spanAttentionGradient(qkv, attended, { dout: g, layout, heads });
  const result = { out: await read(attended.out), lse: await read(attended.lse), dqkv: await read(gradient) };
  [qkv, g, layout, attended.out, attended.lse, gradient].forEach((t) => t.dispose());
  return result;
}

test("The reference's gradient is that of its finite differences", () => {
  const keys = keysOf(pack([[2, 3, 1]]), 6), sizes = { heads: 2, kvHeads: 1, headDim: 2, scale: 0.9 };
  const qkv = gaussian(6 * 8, 1), dout = gaussian(6 * 4, 2);
  const { dqkv } = referenceAttention(qkv, keys, { ...sizes, dout });
  const loss = (x: ArrayLike<number>) =>
    referenceAttention(x, keys, sizes).out.reduce((a, v, i) => a + v * dout[i], 0);
  assertClose(dqkv, differences(loss, qkv), 1e-8, "dqkv");
});

onBothBackends("Two keys by hand", async () => {
  // Scale ½: the second row's scores are ½·2·1 = 1 and ½·2·log 3 = log 3, so its weights e : 3.
  const qkv = Float32Array.of(1, 0, 0, 1, 4, 0, 0, 2, 0, Math.log(3), 0, 8);
  const heads = { heads: 1, kvHeads: 1, headDim: 2, scale: 0.5 };
  const { out, lse } = await run(qkv, new Float32Array(4), { heads, segments: pack([[2]]), rows: 2 });
  const { E } = Math;
  assertClose(out, [4, 0, 4 * E / (E + 3), 8 * 3 / (E + 3)], 1e-6, "out");
  assertClose(lse, [0, Math.log(E + 3)], 1e-6, "lse");
});

const cases: { name: string; questions: number[][]; padding?: number; window?: number; heads: Heads }[] = [
  { name: "one row", questions: [[1]], heads: { heads: 1, kvHeads: 1, headDim: 6 } },
  { name: "a prompt and responses", questions: [[5, 3, 1, 4]], heads: { heads: 2, kvHeads: 1, headDim: 8 } },
  {
    name: "prompts of one token, padding",
    questions: [[1, 1], [1, 70, 2], [40]],
    padding: 13,
    heads: { heads: 4, kvHeads: 2, headDim: 8 },
  },
  {
    name: "several tiles",
    questions: [[67, 70, 129, 5], [3, 33], [130, 64]],
    padding: 3,
    heads: { heads: 2, kvHeads: 2, headDim: 22 },
  },
  { name: "head 64", questions: [[20, 66, 9], [5, 30]], heads: { heads: 2, kvHeads: 1, headDim: 64 } },
  { name: "head 80", questions: [[20, 40]], padding: 4, heads: { heads: 2, kvHeads: 1, headDim: 80 } },
  { name: "head 22", questions: [[9, 30, 3]], heads: { heads: 1, kvHeads: 1, headDim: 22, scale: 0.2 } },
  { name: "head 256", questions: [[17, 20]], padding: 1, heads: { heads: 2, kvHeads: 1, headDim: 256 } },
  {
    name: "a window of 9",
    questions: [[20, 70, 3, 12], [4, 5], [66]],
    window: 9,
    padding: 2,
    heads: { heads: 2, kvHeads: 1, headDim: 6 },
  },
  { name: "a window of 1", questions: [[3, 5]], window: 1, heads: { heads: 1, kvHeads: 1, headDim: 2 } },
  {
    name: "a window over prompt and response",
    questions: [[90, 100, 80]],
    window: 75,
    heads: { heads: 2, kvHeads: 1, headDim: 8 },
  },
];
for (const { name, questions, padding = 0, window, heads } of cases) {
  onBothBackends(`Span attention and its gradient agree with float64: ${name}`, async () => {
    const segments = pack(questions), rows = segments[segments.length - 1].end + padding;
    const width = (heads.heads + 2 * heads.kvHeads) * heads.headDim;
    const qkv = gaussian(rows * width, 3), dout = gaussian(rows * heads.heads * heads.headDim, 4);
    await assertNoLeak(async () => {
      const { out, lse, dqkv } = await run(qkv, dout, { heads, segments, rows, window });
      const want = referenceAttention(qkv, keysOf(segments, rows, window), { ...heads, dout });
      assertClose(out, want.out, 1e-5, "out");
      for (let i = 0; i < lse.length; i++) {
        ok(
          want.lse[i] < -1e29 ? lse[i] < -1e29 : Math.abs(lse[i] - want.lse[i]) < 1e-4,
          `lse[${i}] ${lse[i]}`,
        );
      }
      assertClose(dqkv, want.dqkv, 2e-5, "dqkv");
    });
  });
}

test(
  "The gradient with two rows a thread, as on a GPU, agrees with float64 [webgpu]",
  { skip: noAdapter, timeout: 120_000 },
  async () => {
    await useDevice("webgpu");
    const heads = { heads: 2, kvHeads: 1, headDim: 64 }, segments = pack([[67, 70, 5], [3, 33]]), rows = 181;
    const values = gaussian(rows * 256, 3), douts = gaussian(rows * 128, 4);
    const qkv = upload(values, [rows, 256]), dout = upload(douts, [rows, 128]), dqkv = empty([rows, 256]);
    const layout = spanLayout(segments, { rows, device: testDevice() });
    const attended = spanAttention(fusedViews(qkv, heads), layout, heads);
    gradientOnGpu({ qkv, ...attended, dout, dqkv }, layout, { ...heads, held: 2 });
    const want = referenceAttention(values, keysOf(segments, rows), { ...heads, dout: douts });
    assertClose(await read(dqkv), want.dqkv, 2e-5, "dqkv");
    [qkv, dout, dqkv, layout, attended.out, attended.lse].forEach((t) => t.dispose());
  },
);

onBothBackends("Scores of ±500 neither overflow nor lose the sum", async () => {
  const heads = { heads: 1, kvHeads: 1, headDim: 8, scale: 0.7 }, segments = pack([[6, 5]]), rows = 11;
  const qkv = gaussian(rows * 24, 5).map((v, i) => i % 24 < 16 ? v * 15 : v), dout = gaussian(rows * 8, 6);
  const { out, dqkv } = await run(qkv, dout, { heads, segments, rows });
  const want = referenceAttention(qkv, keysOf(segments, rows), { ...heads, dout });
  assertClose(out, want.out, 1e-3, "out");
  assertClose(dqkv, want.dqkv, 1e-3, "dqkv");
});

onBothBackends("Responses behind one prompt equal separate sequences, gradients added", async () => {
  const heads = { heads: 2, kvHeads: 1, headDim: 8 }, prompt = 37, responses = [41, 9, 70], width = 32;
  const segments = pack([[prompt, ...responses]]), rows = segments[segments.length - 1].end;
  const qkv = gaussian(rows * width, 7), dout = gaussian(rows * 16, 8);
  dout.fill(0, 0, prompt * 16); // separate sequences would count the prompt's own outputs k times
  const packed = await run(qkv, dout, { heads, segments, rows });
  const sum = new Float64Array(prompt * width);
  for (const { start, end } of segments.slice(1)) {
    const join = (from: Float32Array, n: number) =>
      Float32Array.of(...from.subarray(0, prompt * n), ...from.subarray(start * n, end * n));
    const alone = await run(join(qkv, width), join(dout, 16), {
      heads,
      segments: pack([[prompt + end - start]]),
      rows: prompt + end - start,
    });
    const tail = (from: ArrayLike<number>, first: number, n: number, count: number) =>
      Array.from(from).slice(first * n, (first + count) * n);
    assertClose(
      tail(packed.out, start, 16, end - start),
      tail(alone.out, prompt, 16, end - start),
      1e-4,
      "out",
    );
    assertClose(
      tail(packed.dqkv, start, width, end - start),
      tail(alone.dqkv, prompt, width, end - start),
      1e-4,
      "dqkv of a response",
    );
    for (let i = 0; i < sum.length; i++) sum[i] += alone.dqkv[i];
  }
  assertClose(Array.from(packed.dqkv).slice(0, sum.length), sum, 1e-4, "dqkv of the prompt");
});

for (
  const heads of [
    { heads: 4, kvHeads: 2, headDim: 6 },
    { heads: 2, kvHeads: 1, headDim: 64 },
    { heads: 2, kvHeads: 2, headDim: 22 },
    { heads: 1, kvHeads: 1, headDim: 256 },
  ]
) {
  onBothBackends(
    `Decoding against a cache equals the last rows of a full pass, head ${heads.headDim}`,
    async () => {
      await assertNoLeak(async () => {
        const { kvHeads, headDim: d } = heads, h = heads.heads, width = (h + 2 * kvHeads) * d;
        const segments = pack([[141, 9, 150], [1, 1]]), rows = segments[segments.length - 1].end;
        const qkv = gaussian(rows * width, 9), keys = keysOf(segments, rows);
        const want = referenceAttention(qkv, keys, heads);
        // A cache with k and v in rows of their own width, 5 unused rows before and 2 behind
        const cacheWidth = 2 * kvHeads * d + 2, cache = gaussian((rows + 7) * cacheWidth, 10);
        for (let j = 0; j < rows; j++) {
          cache.set(qkv.subarray(j * width + h * d, (j + 1) * width), (j + 5) * cacheWidth + 2);
        }
        const lasts = [141 + 8, 141 + 9 + 149, rows - 1, -1];
        const queries = new Float32Array(lasts.length * h * d), spans = new Int32Array(lasts.length * 4);
        const expected: number[] = [];
        lasts.forEach((i, n) => {
          const segment = segments.find((s) => s.end === i + 1);
          if (!segment) return void expected.push(...new Array(h * d).fill(0)); // a slot that is free
          queries.set(qkv.subarray(i * width, i * width + h * d), n * h * d);
          spans.set([segment.sharedStart + 5, segment.sharedEnd + 5, segment.start + 5, i + 6], n * 4);
          expected.push(...want.out.subarray(i * h * d, (i + 1) * h * d));
        });
        const q = upload(queries, [lasts.length, h * d]), kv = upload(cache, [rows + 7, cacheWidth]);
        const layout = decodingLayout(testDevice(), { spans, keyRows: rows + 7 });
        const { out, lse } = spanAttention(
          {
            q: { tensor: q, stride: h * d, offset: 0 },
            k: { tensor: kv, stride: cacheWidth, offset: 2 },
            v: { tensor: kv, stride: cacheWidth, offset: 2 + kvHeads * d },
          },
          layout,
          heads,
        );
        assertClose(await read(out), expected, 1e-5, "out");
        const sums = await read(lse);
        assertClose([sums[0]], [want.lse[lasts[0] * h]], 1e-5, "lse");
        ok(sums[3 * h] < -1e29);
        [q, kv, layout, out, lse].forEach((t) => t.dispose());
      });
    },
  );
}
