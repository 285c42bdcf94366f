import assert from "node:assert/strict";
import { test } from "node:test";
import { type Measurements, performancePage, rateOfPeer } from "../../bench/_report.ts";

const none: Measurements = {
  machine: { cpu: "A CPU", cores: 2, memory: 8 * 2 ** 30, os: "Linux 6" },
  versions: { Deno: "2.9.6" },
  date: "2026-01-02",
  figures: {},
};

/** The cells of the table's line that starts so. */
function row(page: string, what: string): string[] {
  const line = page.split("\n").find((l) => l.startsWith(`| ${what}`));
  assert.ok(line, `no line "${what}" in\n${page}`);
  return line.split("|").slice(2, -1).map((cell) => cell.trim());
}

test("a rate of ours over a peer's, with its target", () => {
  const figures = {
    "peer-pytorch": { ours: 3000, theirs: 1200, line: "pytorch 1.13 aft params 1: 1200 response tok/s" },
  };
  const page = performancePage({ ...none, figures });
  assert.deepEqual(row(page, "AFT step, WASM with BLAS"), [
    "3,000 tokens/s",
    "PyTorch: 1,200 tokens/s",
    "2.5×",
    "≥ 2×",
    "yes",
    "`peer-pytorch`",
  ]);
  assert.match(page, /```\npytorch 1\.13 aft params 1: 1200 response tok\/s\n```/);
  const slower = performancePage({ ...none, figures: { "peer-pytorch": { ours: 1200, theirs: 1200 } } });
  assert.equal(row(slower, "AFT step, WASM with BLAS").at(-2), "no");
});

test("bytes that must not exceed a share, and bytes that must stay flat", () => {
  const loss = { "peak bytes": 2 ** 20, "stock TF.js, peak bytes": 2 ** 24, ratio: 1 / 16 };
  const candidates = Object.fromEntries(
    [2, 4, 8, 16, 32].flatMap((k) => [
      [`k=${k}, peak bytes`, k === 8 ? 5 * 2 ** 20 : 6 * 2 ** 20],
      [`k=${k}, µs a response token`, 300 - k],
    ]),
  );
  const page = performancePage({ ...none, figures: { loss, candidates } });
  assert.deepEqual(row(page, "peak bytes of the loss").slice(2, 5), ["6.3%", "≤ 12.5%", "yes"]);
  assert.deepEqual(row(page, "peak bytes of an AFT step").slice(0, 5), [
    "6 MiB",
    "5 MiB",
    "1.2×",
    "≤ 1.1×",
    "no",
  ]);
  assert.deepEqual(row(page, "time per response token").slice(2, 5), ["0.899×", "≤ 1×", "yes"]);
});

test("what was not measured is said to be so", () => {
  const page = performancePage(none);
  assert.equal(row(page, "AFT step, WebGPU").at(-2), "not measured");
  assert.doesNotMatch(page, /undefined|NaN/);
});

test("a peer's last rate is read, whatever else it printed", () => {
  const jax =
    "step 7 loss 6.2 300 ms\njax-js wasm D128 L4: median 407 ms (min 390)  2516 tok/s  9.9 GFLOP/s\n";
  assert.equal(rateOfPeer(jax).rate, 2516);
  const torch = "pytorch 1.13.0 aft params 1 rows 48x220: median 7600 ms  758 response tok/s  55.0 GFLOP/s";
  assert.deepEqual(rateOfPeer(torch), { rate: 758, line: torch });
  assert.throws(() => rateOfPeer("Traceback"), /printed no rate/);
});

test("deno bench's output becomes a table for each group, with the factor over its baseline", () => {
  const result = (avg: number) => [{ ok: { min: avg / 2, avg, n: 5 } }];
  const bench = {
    benches: [
      { origin: "file:///x/loss_bench.ts", group: "g", name: "ours", baseline: false, results: result(2e6) },
      { origin: "file:///x/loss_bench.ts", group: "g", name: "stock", baseline: true, results: result(8e6) },
      { origin: "file:///x/loss_bench.ts", group: "g", name: "failed", baseline: false, results: [{}] },
    ],
  };
  const page = performancePage({ ...none, bench });
  assert.match(page, /\*\*loss_bench\.ts: g\*\*/);
  assert.deepEqual(row(page, "ours |"), ["2 ms", "1 ms", "4.00×"]);
  assert.doesNotMatch(page, /failed/);
});

test("another machine's page has its own figures alone, and the ladder of products a column for each number of rows", () => {
  const figures = {
    products: {
      backend: "wasm",
      "1 rows, f32 dots, GFLOP/s": 4,
      "1 rows, int4 dots, fused, GFLOP/s": 20.04,
      "96 rows, int4 dots, fused, GFLOP/s": 35,
    },
    "decoding-smol": { "1 at once, f32, tokens a second": 10, "1 at once, int4, tokens a second": 25 },
  };
  const page = performancePage({ ...none, figures, onlyMeasured: true });
  assert.deepEqual(row(page, "decoding, SmolLM2-135M's shape, int4, WASM with BLAS, 1 at once"), [
    "25 tokens/s",
    "f32: 10 tokens/s",
    "2.5×",
    "≥ 2×",
    "yes",
    "`decoding-smol`",
  ]);
  assert.doesNotMatch(page, /not measured/);
  assert.deepEqual(row(page, "f32 dots"), ["4.0", ""]);
  assert.deepEqual(row(page, "int4 dots, fused"), ["20.0", "35.0"]);
  assert.match(page, /\| 1 row +\| 96 rows \|/);
});
