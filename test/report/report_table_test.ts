import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { createProgress, formatDuration } from "../../tasks/cli/progress.ts";
import {
  csvTable,
  formatCell,
  isBare,
  markdownTable,
  type Row,
  spread,
  textTable,
} from "../../lib/report/table.ts";

const columns = [
  { key: "model", title: "Model" },
  { key: "accuracy", title: "Accuracy", percent: true, digits: 1 },
  { key: "steps", title: "Steps" },
  { key: "loss", digits: 3 },
];
const rows = [
  { model: "VFT", accuracy: spread([0.5, 0.6, 0.7]), steps: 120, loss: 1.23456 },
  { model: "AFT | dc, β", accuracy: 0.625, steps: 1200, loss: NaN },
  { model: 'a "name"', accuracy: null, steps: undefined, loss: -Infinity },
];

test("spread is the mean and the sample deviation", () => {
  // (2 + 4 + 9)/3 = 5; (9 + 1 + 16)/2 = 13
  assert.deepEqual(spread([2, 4, 9]), { mean: 5, deviation: Math.sqrt(13) });
  assert.deepEqual(spread([2, NaN, 4]), { mean: 3, deviation: Math.SQRT2 });
  assert.deepEqual(spread([7]), { mean: 7, deviation: NaN });
});

test("a table is bare when every row lacks a value and has no other than 0", () => {
  const bare = (...rows: Row[]) => isBare([{ key: "name" }, { key: "count" }, { key: "r" }], rows);
  assert.ok(bare({ name: "a", count: 0 }, { name: "b", count: 0, r: NaN }));
  assert.ok(!bare({ name: "a", count: 0 }, { name: "b", count: 3 }));
  assert.ok(!bare({ name: "a", count: 0, r: 0 }), "0 everywhere was measured");
  assert.ok(!bare({ name: "a", count: 0, r: { mean: 0, deviation: 0 } }));
});

test("a cell is formatted by its column", () => {
  assert.equal(formatCell(3, { key: "a" }), "3");
  assert.equal(formatCell(3, { key: "a", digits: 1 }), "3.0");
  assert.equal(formatCell(0.126, { key: "a" }), "0.13");
  assert.equal(formatCell({ mean: 1, deviation: 0.5 }, { key: "a" }), "1.00 ± 0.50");
  assert.equal(formatCell({ mean: 1, deviation: NaN }, { key: "a" }), "1.00");
  assert.equal(formatCell(-0.0004, { key: "a", digits: 3 }), "0.000");
  assert.equal(formatCell({ mean: -0.0004, deviation: 0.1 }, { key: "a", digits: 3 }), "0.000 ± 0.100");
  assert.equal(formatCell(-0.00004, { key: "a", digits: 1, percent: true }), "0.0");
  assert.equal(formatCell(-0.4, { key: "a", digits: 0 }), "0");
  assert.equal(formatCell(-0.0006, { key: "a", digits: 3 }), "-0.001");
  assert.equal(formatCell(Infinity, { key: "a" }), "∞");
});

test("the plain table is aligned, words left and numbers right", () => {
  assert.equal(
    textTable(columns, rows),
    [
      "Model           Accuracy  Steps   loss",
      "───────────  ───────────  ─────  ─────",
      "VFT          60.0 ± 10.0    120  1.235",
      "AFT | dc, β         62.5   1200      –",
      'a "name"                            -∞',
      "",
    ].join("\n"),
  );
});

test("the Markdown table escapes its separator", () => {
  assert.equal(
    markdownTable(columns, rows.slice(0, 2)),
    [
      "| Model        |    Accuracy | Steps |  loss |",
      "| ------------ | ----------: | ----: | ----: |",
      "| VFT          | 60.0 ± 10.0 |   120 | 1.235 |",
      "| AFT \\| dc, β |        62.5 |  1200 |     – |",
      "",
    ].join("\n"),
  );
});

test("CSV keeps full precision and gives a deviation its own column", () => {
  const precise = [{ model: "VFT", accuracy: { mean: 0.6, deviation: 0.125 }, steps: 120, loss: 1.23456 }];
  assert.equal(
    csvTable(columns, [...precise, ...rows.slice(1)]),
    [
      "model,accuracy,accuracy_deviation,steps,loss",
      "VFT,0.6,0.125,120,1.23456",
      '"AFT | dc, β",0.625,,1200,',
      '"a ""name""",,,,-Infinity',
      "",
    ].join("\n"),
  );
});

test("a table without rows has its head", () => {
  assert.equal(textTable([{ key: "a" }], []), "  a\n───\n");
  assert.equal(csvTable([{ key: "a" }], []), "a\n");
});

test("durations", () => {
  assert.equal(formatDuration(0.4), "0s");
  assert.equal(formatDuration(59.7), "1m 00s");
  assert.equal(formatDuration(80), "1m 20s");
  assert.equal(formatDuration(7500), "2h 05m");
});

test("without a terminal, progress is a line every few seconds and one at the end", () => {
  const lines: string[] = [];
  let clock = 0;
  const write = (line: string) => void lines.push(line);
  const progress = createProgress("vft", { total: 10, terminal: false, write, now: () => clock });
  for (let step = 1; step <= 10; step++) {
    clock = step * 2000;
    progress.update(step, { tokens: 500, loss: 1 / step });
  }
  progress.stop();
  progress.stop();
  // One step and 500 tokens every 2 s; lines at 6 s and 12 s, the next would be due at 18 s.
  assert.deepEqual(lines, [
    "vft 3/10, 250 tokens/s, loss 0.3333, ETA 14s",
    "vft 6/10, 250 tokens/s, loss 0.1667, ETA 8s",
    "vft 9/10, 250 tokens/s, loss 0.1111, ETA 2s",
    "vft 10/10, 250 tokens/s, loss 0.1",
  ]);
});

test("updates that come all at once are one step of the rate", () => {
  const lines: string[] = [];
  let clock = 0;
  const progress = createProgress("score", {
    terminal: false,
    write: (line) => void lines.push(line),
    now: () => clock,
  });
  for (const second of [1, 2, 3]) {
    clock = second * 1000;
    // Four groups of 100 tokens, a millisecond apart, every second.
    for (let i = 1; i <= 4; i++, clock++) progress.update(second * 4 - 4 + i, { tokens: 100 });
    if (second === 1) progress.stop();
  }
  progress.stop();
  // After one burst no rate is known; from the first update (100 tokens) to the last (1,200) 2.003 s passed.
  assert.deepEqual(lines, ["score 4", "score 12, 549 tokens/s"]);
});

test("on a terminal, progress is a bar", () => {
  const drawn: string[] = [];
  let clock = 0, ended = 0;
  const progress = createProgress("vft", {
    total: 4,
    terminal: true,
    bar: { show: (line) => void drawn.push(line), end: () => ended++ },
    now: () => clock,
  });
  progress.update(1, { loss: 2 });
  clock = 3000;
  progress.update(2, { loss: 1 });
  progress.stop();
  progress.stop();
  progress.update(3, { loss: 1 }); // too late
  assert.equal(drawn[0], `vft ${"░".repeat(24)} `);
  assert.equal(drawn.at(-1), `vft ${"█".repeat(12)}${"░".repeat(12)} 2/4, loss 1, ETA 6s`);
  assert.equal(ended, 1);
});

test("updates that come all at once are drawn once, and the last of them is", async () => {
  const drawn: string[] = [];
  using progress = createProgress("score", {
    terminal: true,
    bar: { show: (line) => void drawn.push(line), end: () => {} },
  });
  for (let i = 1; i <= 500; i++) progress.update(i);
  await delay(200);
  assert.equal(drawn.at(-1), "score 500");
  assert.ok(drawn.length < 100, `${drawn.length} drawings`);
});

test("quiet progress says nothing", () => {
  const lines: string[] = [];
  const progress = createProgress("vft", { quiet: true, write: (line) => void lines.push(line), every: 0 });
  progress.update(1);
  progress.stop();
  assert.deepEqual(lines, []);
});
