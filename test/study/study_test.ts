import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "csv-parse/sync";
import { parseHTML } from "linkedom";
import { pearson, spearman } from "../../lib/study/correlation.ts";
import { repetition } from "../../lib/study/repetition.ts";
import { scatterPlot } from "../../lib/report/scatter_plot.ts";
import { type Outcome, renderStudy, studyMarkdown } from "../../lib/report/study.ts";

const folder = mkdtempSync(join(tmpdir(), "study-test-"));
after(() => rmSync(folder, { recursive: true }));
const task = fileURLToPath(new URL("../../tasks/study.ts", import.meta.url));

/** What these tests ask of a page: the DOM's types are not at hand. */
interface Element {
  readonly id: string;
  readonly textContent: string | null;
  getAttribute(name: string): string | null;
  querySelector(selector: string): Element | null;
  querySelectorAll(selector: string): ArrayLike<Element> & Iterable<Element>;
}

/** A page's document. */
const parsed = (text: string) => (parseHTML(text) as unknown as { document: Element }).document;

/** Runs `study` as a user would. */
function study(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const leading = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  return new Promise((resolve) => {
    execFile(process.execPath, [...leading, task, ...args], { maxBuffer: 2 ** 26 }, (error, out, err) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error ? 1 : 0, out, err });
    });
  });
}

test("correlations by hand", () => {
  // Deviations −1, 0, 1 and −1, 1, 0: Σ = 1, squares 2 and 2, so r = 1/2.
  assert.ok(Math.abs(pearson([1, 2, 3], [1, 3, 2])! - 0.5) < 1e-12);
  assert.ok(Math.abs(pearson([1, 2, 4], [-1, -2, -4])! + 1) < 1e-12);
  // Monotone, not linear: ρ is 1, r is not.
  assert.equal(spearman([1, 2, 3, 4], [1, 10, 100, 1000]), 1);
  assert.ok(pearson([1, 2, 3, 4], [1, 10, 100, 1000])! < 0.9);
  // Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: Σ = 4.5, squares 4.5 and 5, so ρ = 4.5/√22.5 = 0.94868.
  assert.ok(Math.abs(spearman([0, 5, 5, 9], [1, 2, 3, 4])! - 4.5 / Math.sqrt(22.5)) < 1e-12);
  assert.equal(pearson([1, 2], [1, 2]), undefined);
  assert.equal(pearson([1, 1, 1], [1, 2, 3]), undefined);
  assert.throws(() => pearson([1, 2, 3], [1]), /same length: got 3 and 1/);
});

test("repetition is the share of n-grams seen before", () => {
  // a b c d · b c d a · c d a b · d a b c · a b c d: the fifth is the first.
  assert.equal(repetition("a b c d a b c d"), 1 / 5);
  assert.equal(repetition("a b c d e f g h"), 0);
  assert.equal(repetition("x x x x x x x"), 3 / 4);
  assert.equal(repetition("a b c"), 0);
  assert.equal(repetition("a a a", 1), 2 / 3);
});

test("a scatter plot has a mark a point, a fit where there are three, and a legend", () => {
  const series = [
    { name: "<one>", points: [[0.1, 0.2], [0.2, 0.3], [0.3, 0.5], [NaN, 0.5]] as const },
    { name: "two", points: [[0.4, 0.9]] as const },
  ];
  const html = scatterPlot(series, { x: "task", y: "assessment", percent: true, label: "A & B" }).text;
  const document = parsed(`<body>${html}</body>`);
  const svg = document.querySelector("svg.plot")!;
  assert.equal(svg.getAttribute("aria-label"), "A & B");
  assert.equal(svg.querySelectorAll('g[aria-label="dot"]').length, 2);
  assert.equal(svg.querySelectorAll('g[aria-label="dot"] > *').length, 4);
  assert.equal(svg.querySelectorAll('g[aria-label="linear-regression"]').length, 1);
  assert.match(document.querySelector(".legend")!.textContent!, /<one>.*two/s);
  assert.match(svg.textContent!, /20%/);
  assert.match(scatterPlot([{ name: "none", points: [] }], { x: "", y: "", label: "" }).text, /Not measured/);
});

test("the page says of each claim whether it held, folds long tables, and a head in Markdown has its unit", () => {
  const outcome: Outcome = {
    name: "main",
    title: "Main",
    about: "What was done.",
    size: "Small.",
    claims: (["yes", "no", "unclear", "smaller", "yes"] as const).map((held, i) => ({
      claim: `Claim ${i}`,
      theirs: "above",
      ours: "+1.00",
      estimate: { difference: 0, low: -0.0101, high: 0.0001 * i, p: 1, seeds: 2, problems: 9 },
      ...(i === 0 && { start: "base" }),
      held,
    })),
    tables: [
      {
        name: "both",
        title: "Two measures",
        columns: [
          { key: "method", title: "Method" },
          { key: "accuracy", title: "Accuracy", unit: "% ↑" },
          { key: "margin", unit: "nats/token" },
        ],
        rows: [{ method: "a", accuracy: 1, margin: 2 }],
      },
      { name: "long", title: "Long", folded: true, columns: [{ key: "x" }], rows: [{ x: 1 }] },
    ],
    plots: [],
  };
  const around = { title: "A study", about: [] };
  const document = parsed(renderStudy([outcome], around));
  const claims = document.querySelector('section[aria-labelledby="claims"]')!;
  assert.match(claims.textContent!, /2 of 5 held, 1 did not, 1 is smaller than what matters, 1 is unclear\./);
  assert.deepEqual([...claims.querySelectorAll(".verdict")].map((v) => v.textContent), [
    "✓ held",
    "✗ did not hold",
    "? unclear: smaller than 1.1 points",
    "≈ smaller than 1.1 points",
    "✓ held",
  ]);
  const folded = document.querySelectorAll("details");
  assert.deepEqual([...folded].map((d) => d.querySelector("summary")!.textContent), ["Long"]);
  assert.equal(
    [...document.querySelectorAll("caption")].map((c) => c.textContent).join(),
    "Two measures",
  );
  const markdown = studyMarkdown([outcome], around);
  assert.match(markdown, /\| Claim 0 +\| base +\| above +\| \+1.00 +\| held +\|/);
  assert.match(markdown, /\| Method \| Accuracy \(% ↑\) \| margin \(nats\/token\) \|/);
});

/** Every model of the study, by its folder: when it was written. */
function models(out: string): Map<string, number> {
  const cells = join(out, "cells");
  return new Map(
    readdirSync(cells).map((name) => [name, statSync(join(cells, name, "model.safetensors")).mtimeMs]),
  );
}

test("a quick study: cells are made once, and all experiments are told", { timeout: 900_000 }, async () => {
  const out = join(folder, "study"), quick = ["--quick", "--backend", "wasm", "--quiet", "--out", out];
  const first = await study(...quick, "--only", "main");
  assert.equal(first.code, 0, first.err);
  assert.match(first.out, /^Accuracy of greedy answers/);
  const made = models(out);
  // Two sets; VFT and seven methods that go on from it, six that start from the base, where VFT is VFT itself.
  assert.equal(made.size, 28);

  // A cell that a stop left without its model is made again, to the same bytes; the others stay.
  const lost = [...made.keys()].find((name) => name.includes("aft-dc"))!;
  const weights = () =>
    createHash("sha256").update(readFileSync(join(out, "cells", lost, "model.safetensors"))).digest("hex");
  const before = weights();
  rmSync(join(out, "cells", lost, "config.json"));
  const all = await study(...quick);
  assert.equal(all.code, 0, all.err);
  assert.equal(weights(), before);
  const now = models(out);
  for (const [name, time] of made) {
    assert.equal(
      now.get(name) === time,
      name !== lost,
      `${name} was ${name === lost ? "not " : ""}made again`,
    );
  }

  // Again: nothing is made, and every page comes out the same, also when only one experiment is asked for.
  const read = (name: string) => readFileSync(join(out, name), "utf8");
  const results = () => JSON.parse(read("results.json")).experiments;
  const pages = () => [read("study.html"), read("study.md"), JSON.stringify(results())];
  const said = pages();
  const again = await study(...quick, "--only", "sweeps");
  assert.equal(again.code, 0, again.err);
  assert.deepEqual(models(out), now);
  assert.deepEqual(pages(), said);

  const names = [
    "pilot",
    ...["main", "ranked", "multitask", "ood", "consistency", "sweeps", "constraints"].flatMap((name) => [
      `${name}-base`,
      name,
    ]),
  ];
  const experiments = results();
  assert.deepEqual(experiments.map((e: { name: string }) => e.name), names);
  assert.ok(
    experiments.every((e: { tables: { rows: unknown[] }[] }) => e.tables.every((t) => t.rows.length > 0)),
  );

  // Tables: as many cells in every line as the head has.
  const tables = readdirSync(join(out, "tables"));
  assert.equal(tables.length, 44);
  for (const file of tables) {
    const text = readFileSync(join(out, "tables", file), "utf8");
    assert.doesNotMatch(text, /NaN|undefined|Infinity|null|\[object/, file);
    if (file.endsWith(".csv")) {
      assert.ok(parse(text, { columns: true }).length >= 2, file); // throws for lines of other lengths
      continue;
    }
    const widths = text.trim().split("\n").map((line) => line.match(/(?<!\\)\|/g)!.length);
    assert.equal(new Set(widths).size, 1, file);
  }

  const html = said[0], document = parsed(html);
  assert.doesNotMatch(html, /NaN|undefined|Infinity|\[object/);
  assert.doesNotMatch(html, /<script|https?:\/\/(?!www\.w3\.org)/);
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  const links = [...document.querySelectorAll("nav a")].map((a) => a.getAttribute("href")!.slice(1));
  assert.deepEqual(links, names);
  for (const name of names) {
    const section = document.querySelector(`section[aria-labelledby="${name}"]`)!;
    assert.ok(section.querySelectorAll("tbody tr").length > 0, name);
  }
  assert.ok(document.querySelectorAll("figure svg.plot").length >= 8);
  assert.ok(document.querySelectorAll("dl.terms dt").length >= 15);

  // Another size makes other cells beside these.
  const other = await study(...quick, "--only", "consistency", "--max-tokens", "12");
  assert.equal(other.code, 0, other.err);
  for (const [name, time] of now) assert.equal(models(out).get(name), time, name);
  assert.ok(models(out).size > now.size);
});

test("wrong options are told before any work", async () => {
  const out = join(folder, "none");
  const typo = await study("--only", "mian", "--out", out);
  assert.equal(typo.code, 2);
  assert.match(
    typo.err,
    /^study: Experiment must be one of pilot, main, .*: got "mian": did you mean main\?\n$/,
  );
  const data = await study("--data", "arithmetic,optoins", "--out", out);
  assert.equal(data.code, 2);
  assert.match(data.err, /got "optoins": did you mean options\?/);
  const start = await study("--start", "vft,bas", "--out", out);
  assert.equal(start.code, 2);
  assert.equal(start.err, 'study: --start must be of base, vft: got "bas": did you mean base?\n');
  const methods = await study("--methods", "AFT,DPQ", "--out", out);
  assert.equal(methods.code, 2);
  assert.match(methods.err, /^study: --methods must be of VFT, .*: got "DPQ": did you mean DPO\?\n$/);
  assert.throws(() => statSync(out));
});
