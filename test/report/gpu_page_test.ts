import assert from "node:assert/strict";
import { test } from "node:test";
import { parseHTML } from "linkedom";
import {
  agrees,
  type GpuMeasurements,
  type KernelTime,
  leastTime,
  share,
} from "../../lib/report/gpu_measurements.ts";
import { gpuPage } from "../../lib/report/gpu_page.ts";
import { roofline } from "../../lib/report/roofline.ts";

// 1e12 operations and 1e11 bytes a second: the ridge lies at 10 operations for each byte.
const ceilings = {
  copies: [{ bytes: 65_536, rate: 3e11 }, { bytes: 2 ** 26, rate: 1e11 }],
  arithmetic: 1e12,
  product: 8e11,
};
const product: KernelTime = {
  kernel: "linear",
  shape: "100×100×1000",
  flops: 2e7,
  bytes: 8.4e5,
  launches: 1,
  device: 0.04,
  wall: 0.1,
};
const norm: KernelTime = {
  kernel: "RMSNorm",
  shape: "1×<2>",
  flops: 5.2e5,
  bytes: 4e6,
  launches: 1,
  wall: 0.08,
};

test("the least time is that of operations or of bytes, whichever is longer, and the share what is reached of it", () => {
  // 2e7 operations take 20 µs, 8.4e5 bytes 8.4 µs; half of the peak in 40 µs.
  assert.deepEqual(leastTime(product, ceilings), { milliseconds: 0.02, bound: "arithmetic" });
  assert.equal(share(product, ceilings), 0.5);
  // 4e6 bytes take 40 µs, 5.2e5 operations half a microsecond; without a clock of the device what was waited counts.
  assert.deepEqual(leastTime(norm, ceilings), { milliseconds: 0.04, bound: "memory" });
  assert.equal(share(norm, ceilings), 0.5);
});

test("a kernel agrees within its tolerance; what is no number agrees with nothing", () => {
  const check = { kernel: "linear", shape: "1×1×1", tolerance: 1e-4 };
  assert.ok(agrees({ ...check, error: 1e-4 }));
  assert.ok(!agrees({ ...check, error: 1.1e-4 }));
  assert.ok(!agrees({ ...check, error: null }));
});

const found: GpuMeasurements = {
  format: 1,
  date: "2026-01-02T03:04:05.678Z",
  version: "0.1.0",
  runtime: "deno 2.9.6",
  webgpu: "native",
  machine: "A CPU, linux, 2 cores",
  adapter: "Card <1>",
  isCpu: false,
  features: ["shader-f16"],
  limits: { maxBufferSize: 1024 },
  quick: false,
  seconds: 200,
  ceilings,
  costs: { launch: 20, wait: 1, readback: 2, readRate: 1e9, writeRate: 2e9 },
  checks: [
    { kernel: "linear", shape: "3×5×7", error: 3e-7, tolerance: 1e-4 },
    { kernel: "linear", shape: "1×1×1", error: 0, tolerance: 1e-4 },
    { kernel: "RMSNorm", shape: "3×5", error: 1e-6, tolerance: 1e-4 },
  ],
  kernels: [product, norm],
  models: [{
    name: "a small one",
    parameters: 2_500_000,
    step: 100,
    trained: 14_400,
    decoded: [{ sequences: 1, rate: 50.26 }, { sequences: 32, rate: 900 }],
  }],
  skipped: [{ what: "steps of a large one", why: "it would take about 99 s, and 9 s were for it" }],
};

/** What is used of the DOM, which is not among the types here. */
interface Element {
  readonly textContent: string;
  querySelector(selector: string): Element | null;
  querySelectorAll(selector: string): Iterable<Element>;
  getAttribute(name: string): string | null;
}

/** A page, or a part of one, as a document. */
function documentOf(html: string): Element {
  return (parseHTML(html) as unknown as { document: Element }).document;
}

/** The cells of the table's row with that head. */
function cells(html: string, section: string, head: string): string[] {
  const document = documentOf(html);
  const rows = [...document.querySelectorAll(`section[aria-labelledby="${section}"] tbody tr`)];
  const row = rows.find((one) => one.querySelector("th")!.textContent === head);
  assert.ok(row, `no row ${head} in ${section}`);
  return [...row.querySelectorAll("td")].map((cell) => cell.textContent);
}

test("the page says what was measured, every number in its unit", () => {
  const html = gpuPage(found);
  assert.match(html, /<h1>Card &lt;1&gt;: kernels, steps and decoding<\/h1>/);
  assert.equal(
    documentOf(html).querySelector(".lead")!.textContent,
    "All 3 comparisons of kernels with the CPU's agree; " +
      "an AFT step of a small one trains on 14,400 response tokens a second.",
  );
  assert.ok(!html.includes('class="warnings"'));
  // µs, waited, launches, GFLOP/s, GB/s, share, bound
  const linear = ["100×100×1000", "40", "100", "1", "500.0", "21.0", "50", "arithmetic"];
  assert.deepEqual(cells(html, "kernels", "linear"), linear);
  assert.deepEqual(cells(html, "kernels", "RMSNorm"), [
    "1×<2>",
    "80",
    "80",
    "1",
    "6.5",
    "50.0",
    "50",
    "memory",
  ]);
  assert.deepEqual(cells(html, "models", "a small one"), ["2.5 M", "100", "14400", "50.3", "900"]);
  assert.deepEqual(cells(html, "checks", "linear"), ["2", "all", "3.0e-7", "1.0e-4"]);
  assert.deepEqual(cells(html, "ceilings", "Copy of 64 MiB"), ["100 GB/s"]);
  assert.deepEqual(cells(html, "ceilings", "Fastest copy, 64 KiB"), ["300 GB/s"]);
  assert.match(html, /steps of a large one: it would take about 99 s/);
  assert.match(html, /linear, 100×100×1000: 50% of the roof/);
});

test("the page opens with what is wrong, with a CPU adapter and with a quick run", () => {
  const html = gpuPage({
    ...found,
    isCpu: true,
    quick: true,
    checks: [
      { kernel: "linear", shape: "3×5×7", error: 0.25, tolerance: 1e-4 },
      { kernel: "RMSNorm", shape: "odd", error: null, tolerance: 0, failed: "device lost" },
      { kernel: "SwiGLU", shape: "1×1", error: null, tolerance: 1e-4 },
    ],
  });
  const document = documentOf(html);
  const warnings = [...document.querySelectorAll(".warnings li")].map((item) => item.textContent.trim());
  assert.deepEqual(warnings, [
    "Card <1> is a CPU that stands in for a GPU: its numbers show that kernels are right, not how fast a GPU is.",
    "A quick run: everything was done once, at one small size. Its times say nothing.",
    "linear at 3×5×7 differs from the CPU's by 2.5e-1: expected at most 1.0e-4.",
    "RMSNorm at odd failed: device lost",
    "SwiGLU at 1×1 differs from the CPU's by what is no number: expected at most 1.0e-4.",
  ]);
  assert.match(document.querySelector(".lead")!.textContent, /^3 of 3 comparisons of .* do not agree;/);
  assert.deepEqual(cells(html, "checks", "RMSNorm"), ["1", "0 of 1", "no number", "0"]);
});

test("without a kernel or a model the page says so", () => {
  const document = documentOf(gpuPage({ ...found, kernels: [], models: [], skipped: [] }));
  assert.equal([...document.querySelectorAll("p.empty")].length, 3);
});

test("the roofline draws its roof through the ridge, and points where they belong", () => {
  const svg = String(roofline(
    [{ family: "a", title: "one", intensity: 1, rate: 5e10 }, {
      family: "b",
      title: "two",
      intensity: 100,
      rate: 1e12,
    }],
    { roof: { arithmetic: 1e12, bandwidth: 1e11 }, label: "two kernels" },
  ));
  const document = documentOf(`<body>${svg}</body>`);
  const line = document.querySelector('[aria-label="line"] path')!.getAttribute("d")!;
  const corners = line.slice(1).split("L").map((corner) => corner.split(",").map(Number));
  assert.equal(corners.length, 3); // down to the left of the ridge, level to the right of it
  assert.ok(corners[0]![1]! > corners[1]![1]!);
  assert.equal(corners[1]![1], corners[2]![1]);
  const places = [...document.querySelectorAll('[aria-label="dot"] path, [aria-label="dot"] circle')].map(
    (dot) => {
      const moved = /translate\(([\d.]+),([\d.]+)\)/.exec(dot.getAttribute("transform") ?? "");
      return (moved ? moved.slice(1) : [dot.getAttribute("cx"), dot.getAttribute("cy")]).map(Number);
    },
  );
  // The second lies on the level part of the roof, the first at half of the slope's height.
  assert.ok(Math.abs(places[1]![1]! - corners[1]![1]!) < 0.01, `${places} ${corners}`);
  const decade = (corners[0]![1]! - corners[1]![1]!) / Math.log10(10 / (1 / 1.5));
  const slope = corners[0]![1]! - decade * Math.log10(1.5); // at 1 operation for each byte
  assert.ok(Math.abs(places[0]![1]! - (slope + decade * Math.log10(2))) < 0.01, `${places} ${corners}`);
});
