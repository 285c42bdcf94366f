/** The page of `gpu-report`. */

import {
  agrees,
  bandwidth,
  type GpuMeasurements,
  type KernelTime,
  leastTime,
  milliseconds,
  share,
} from "./gpu_measurements.ts";
import { htmlTable } from "./html_table.ts";
import { type Markup, markup } from "./_markup.ts";
import { page } from "./page.ts";
import { roofline } from "./roofline.ts";

/** A self-contained page of what was found. */
export function gpuPage(found: GpuMeasurements): string {
  return page({
    title: `${found.adapter}: kernels, steps and decoding`,
    lead: leadOf(found),
    warnings: warningsOf(found),
    body: [
      about(found),
      ceilings(found),
      roof(found),
      models(found),
      kernels(found),
      checks(found),
      left(found),
    ],
  });
}

/** What came out, in one sentence. */
function leadOf({ checks, models }: GpuMeasurements): string {
  const wrong = checks.filter((check) => !agrees(check)).length;
  const verdict = wrong === 0
    ? `All ${checks.length} comparisons of kernels with the CPU's agree`
    : `${wrong} of ${checks.length} comparisons of kernels with the CPU's do not agree`;
  const largest = models.findLast(({ trained }) => trained !== undefined);
  return largest
    ? `${verdict}; an AFT step of ${largest.name} trains on ${
      group(largest.trained!)
    } response tokens a second.`
    : `${verdict}.`;
}

function warningsOf({ isCpu, quick, checks, adapter }: GpuMeasurements): string[] {
  return [
    ...isCpu
      ? [
        `${adapter} is a CPU that stands in for a GPU: its numbers show that kernels are right, not how fast a GPU is.`,
      ]
      : [],
    ...quick ? ["A quick run: everything was done once, at one small size. Its times say nothing."] : [],
    ...checks.filter((check) => !agrees(check)).map(({ kernel, shape, error, tolerance, failed }) =>
      failed !== undefined
        ? `${kernel} at ${shape} failed: ${failed}`
        : `${kernel} at ${shape} differs from the CPU's by ${
          error === null ? "what is no number" : exponent(error)
        }: expected at most ${exponent(tolerance)}.`
    ),
  ];
}

function about(found: GpuMeasurements): Markup {
  const { adapter, runtime, webgpu, machine, date, version, seconds, features, limits } = found;
  const rows: readonly (readonly [string, string])[] = [
    ["Adapter", adapter],
    ["Runtime", `${runtime}, ${webgpu === "dawn" ? "Dawn" : "its own WebGPU"}`],
    ["Machine", machine],
    ["Measured", `${date.slice(0, 16).replace("T", " ")} UTC in ${group(seconds)} s`],
    ["Project", `version ${version}`],
    ["Features", features.join(", ") || "none"],
    ["Limits", Object.entries(limits).map(([name, value]) => `${name} ${value}`).join(", ")],
  ];
  return markup`<section aria-label="What was measured"><dl class="about">${
    rows.map(([term, text]) => markup`<div><dt>${term}</dt><dd>${text}</dd></div>\n`)
  }</dl></section>`;
}

function ceilings({ ceilings: found, costs, kernels }: GpuMeasurements): Markup {
  const own = kernels.some(({ device }) => device !== undefined);
  const most = found.copies.reduce((a, b) => a.rate > b.rate ? a : b);
  const rows = [
    {
      what: `Copy of ${bytes(found.copies.at(-1)!.bytes)}`,
      value: `${group(bandwidth(found) / 1e9)} GB/s`,
    },
    { what: `Fastest copy, ${bytes(most.bytes)}`, value: `${group(most.rate / 1e9)} GB/s` },
    { what: "Arithmetic in registers", value: `${group(found.arithmetic / 1e9)} GFLOP/s` },
    ...found.product === undefined
      ? []
      : [{ what: "Fastest square product", value: `${group(found.product / 1e9)} GFLOP/s` }],
    { what: "A launch of nothing", value: `${group(costs.launch)} µs` },
    { what: "Waiting for nothing", value: `${group(costs.wait)} ms` },
    { what: "Reading 4 bytes", value: `${group(costs.readback)} ms` },
    { what: "Reading much", value: `${group(costs.readRate / 1e9)} GB/s` },
    { what: "Sending much", value: `${group(costs.writeRate / 1e9)} GB/s` },
  ];
  return markup`<section aria-labelledby="ceilings"><h2 id="ceilings">What the adapter can do</h2>
<p>Measured in the same run, by programs that do nothing else. Of copies, bytes read and written; of arithmetic,
multiplications and additions in float32; launches are many in a row.${
    own
      ? " Times of kernels are the device's own."
      : " The device has no clock of its own: times of kernels are the program's, launches included."
  }</p>
${
    htmlTable([{ key: "what", title: "What" }, { key: "value", title: "At best" }], { rows, caption: false })
  }</section>`;
}

/** Which family a kernel belongs to, by the first words of its name. */
function familyOf(kernel: string): string {
  if (/^(product|linear(?!-)|logits|adapter)/.test(kernel)) {
    return /f16|int8|int4/.test(kernel) ? "products, narrow weights" : "products";
  }
  if (/^attention/.test(kernel)) return "attention";
  if (/^linear-log-prob/.test(kernel)) return "linear-log-prob";
  if (/^(AdamW|sum of)/.test(kernel)) return "optimizer";
  return "rows and elements";
}

function rateOf(kernel: KernelTime): number {
  return kernel.flops / (milliseconds(kernel) / 1000);
}

function roof({ kernels, ceilings }: GpuMeasurements): Markup {
  const order = [...kernels].sort((a, b) => familyOf(a.kernel).localeCompare(familyOf(b.kernel)));
  const points = order.map((kernel) => ({
    family: familyOf(kernel.kernel),
    title: `${kernel.kernel}, ${kernel.shape}: ${group(100 * share(kernel, ceilings))}% of the roof`,
    intensity: kernel.flops / kernel.bytes,
    rate: rateOf(kernel),
  }));
  return markup`<section aria-labelledby="roof"><h2 id="roof">Roofline</h2>
<p>How fast each kernel computes, by how much it computes for each byte that it must move. Nothing gets above the roof,
unless its bytes stayed in a cache.</p>
<div class="pair"><figure>${
    roofline(points, {
      roof: { arithmetic: ceilings.arithmetic, bandwidth: bandwidth(ceilings) },
      label: `Rates of ${points.length} kernels under a roof of ${
        group(ceilings.arithmetic / 1e9)
      } GFLOP/s and ${group(bandwidth(ceilings) / 1e9)} GB/s`,
    })
  }</figure></div></section>`;
}

function models({ models: found }: GpuMeasurements): Markup {
  const counts = [...new Set(found.flatMap(({ decoded }) => decoded.map(({ sequences }) => sequences)))];
  const rows = found.map(({ name, parameters, step, trained, decoded }) => ({
    name,
    parameters: count(parameters),
    step,
    trained,
    ...Object.fromEntries(decoded.map(({ sequences, rate }) => [`decoded ${sequences}`, rate])),
  }));
  return markup`<section aria-labelledby="models"><h2 id="models">Training and decoding</h2>
<p>Models with random weights. A step is AFT on 2 questions with 6 candidates (prompts of 100 tokens, responses of 120,
which alone are counted): forward, loss, backward, AdamW. The fastest of a few.</p>
${
    rows.length === 0 ? markup`<p class="empty">Not measured</p>` : htmlTable([
      { key: "name", title: "Model" },
      { key: "parameters", title: "Parameters" },
      { key: "step", title: "AFT step", unit: "ms", digits: 0 },
      { key: "trained", title: "Training", unit: "tokens a second", digits: 0 },
      ...counts.map((n) => ({
        key: `decoded ${n}`,
        title: n === 1 ? "Decoding one" : `Decoding ${n} at once`,
        unit: "tokens a second",
        digits: n === 1 ? 1 : 0,
      })),
    ], { rows, caption: false })
  }</section>`;
}

function kernels({ kernels: found, ceilings }: GpuMeasurements): Markup {
  const rows = found.map((kernel) => ({
    kernel: kernel.kernel,
    shape: kernel.shape,
    time: 1000 * milliseconds(kernel),
    wall: 1000 * kernel.wall,
    launches: kernel.launches,
    rate: kernel.flops > 0 ? rateOf(kernel) / 1e9 : undefined,
    moved: kernel.bytes / (milliseconds(kernel) / 1000) / 1e9,
    share: share(kernel, ceilings),
    bound: leastTime(kernel, ceilings).bound,
  }));
  return markup`<section aria-labelledby="kernels"><h2 id="kernels">Every kernel</h2>
<p>The share is what the kernel reaches of the time that its operations or its bytes would take at the measured peak,
whichever takes longer. Above 100% its bytes stayed in a cache.</p>
${
    rows.length === 0 ? markup`<p class="empty">Not measured</p>` : htmlTable([
      { key: "kernel", title: "Kernel" },
      { key: "shape", title: "Sizes" },
      { key: "time", title: "Time", unit: "µs", digits: 0 },
      { key: "wall", title: "Waited", unit: "µs a call", digits: 0 },
      { key: "launches", title: "Launches" },
      { key: "rate", title: "Rate", unit: "GFLOP/s", digits: 1 },
      { key: "moved", title: "Moved", unit: "GB/s", digits: 1 },
      { key: "share", title: "Of the peak", unit: "%", percent: true, digits: 0 },
      { key: "bound", title: "Bound by" },
    ], { rows, caption: false })
  }</section>`;
}

function checks({ checks: found }: GpuMeasurements): Markup {
  const names = [...new Set(found.map(({ kernel }) => kernel))];
  const rows = names.map((kernel) => {
    const own = found.filter((check) => check.kernel === kernel), good = own.filter(agrees);
    const errors = own.map(({ error }) => error ?? Infinity);
    return {
      kernel,
      sizes: own.length,
      agree: good.length === own.length ? "all" : `${good.length} of ${own.length}`,
      error: exponent(Math.max(...errors)),
      tolerance: exponent(Math.max(...own.map(({ tolerance }) => tolerance))),
    };
  });
  return markup`<section aria-labelledby="checks"><h2 id="checks">Beside the CPU</h2>
<p>Each kernel on the same numbers on both, at small and odd sizes: the largest difference as a share of the largest
number (of 1, where all are smaller).</p>
${
    htmlTable([
      { key: "kernel", title: "Kernel" },
      { key: "sizes", title: "Sizes" },
      { key: "agree", title: "Agree" },
      { key: "error", title: "Largest difference" },
      { key: "tolerance", title: "Allowed" },
    ], { rows, caption: false })
  }</section>`;
}

function left({ skipped }: GpuMeasurements): Markup {
  if (skipped.length === 0) return markup``;
  return markup`<section aria-labelledby="left"><h2 id="left">Left out</h2>
<details><summary>${skipped.length} things</summary><ul>${
    skipped.map(({ what, why }) => markup`<li>${what}: ${why}</li>\n`)
  }</ul></details></section>`;
}

/** A number with as many digits as one reads. */
function group(value: number): string {
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

function bytes(many: number): string {
  return many >= 2 ** 20 ? `${many / 2 ** 20} MiB` : `${many / 2 ** 10} KiB`;
}

function count(many: number): string {
  return many >= 1e6 ? `${group(many / 1e6)} M` : group(many);
}

/** "3.1e-6", and 0 as it is. */
function exponent(value: number): string {
  return value === 0 ? "0" : Number.isFinite(value) ? value.toExponential(1) : "no number";
}
