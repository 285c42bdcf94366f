import assert from "node:assert/strict";
import { test } from "node:test";
import { parseHTML } from "linkedom";
import { isolated, smooth, thin } from "../../lib/report/_curve.ts";
import { wilson } from "../../lib/report/_interval.ts";
import { escapeHtml, Markup, markup } from "../../lib/report/_markup.ts";
import { extent, padded, shorten, shortNumber } from "../../lib/report/_plot_svg.ts";
import { htmlTable } from "../../lib/report/html_table.ts";
import { page } from "../../lib/report/page.ts";
import { dotChart, legend, lineChart } from "../../lib/report/plots.ts";
import type { Report, ReportModel } from "../../lib/report/contents.ts";
import { renderReport } from "../../lib/report/report.ts";
import { stripChart } from "../../lib/report/strip_chart.ts";

type Metrics = ReportModel["metrics"][number];

const line = (step: number, rest: Partial<Metrics> = {}): Metrics => ({
  step,
  steps: 40,
  epoch: step / 10,
  loss: 2 / step,
  gradient_norm: 1,
  learning_rate: 1e-3,
  tokens_per_second: 1000 + step,
  allocated_bytes: 1,
  ...rest,
});

const vft: ReportModel = {
  name: "vft",
  summary: {
    questions: 100,
    mixed_questions: 40,
    accuracy: 0.465,
    perplexity: 1.25,
    assessment_accuracy: 0.7,
  },
  metrics: [10, 20, 30, 40].map((step) => line(step)),
};
const aft: ReportModel = {
  name: "aft-dc",
  summary: {
    questions: 100,
    mixed_questions: 40,
    accuracy: 0.525,
    majority_accuracy: 0.6,
    perplexity: 1.25,
    assessment_accuracy: 0.95,
    positives: -0.25,
    negatives: -0.75,
    margin: 0.5,
  },
  metrics: [10, 20, 30, 40].map((step) =>
    line(step, { positives: -0.2, negatives: -step / 40, margin: step / 40 - 0.2, assessment_accuracy: 0.75 })
  ),
};
const report: Report = {
  title: "A run",
  about: [["Seed", "0"], ["Command", "deno task align"]],
  models: [vft, aft],
  warnings: ["First", "Second"],
  examples: [{
    question: "1 + 1?",
    answer: "2",
    reference: "1 + 1 = 2",
    candidates: [
      { text: "It is 2", correct: true, scores: { vft: -0.5, "aft-dc": -0.3 } },
      { text: "It is 3", correct: false, scores: { vft: -0.4, "aft-dc": -0.9 } },
      { text: "It is 4", correct: false, scores: { vft: -0.6, "aft-dc": -1.2 } },
      { text: "Hm", scores: { vft: -2 } },
    ],
  }],
};

/** What is used of the DOM, which is not among the types here. */
interface Element {
  readonly textContent: string;
  readonly children: Iterable<Element>;
  readonly attributes: Iterable<{ readonly name: string; readonly value: string }>;
  getAttribute(name: string): string | null;
  querySelector(selector: string): Element | null;
  querySelectorAll(selector: string): Iterable<Element>;
}

const parse = (text: string) => (parseHTML(text) as unknown as { document: Element }).document;
const all = (text: string, selector: string) => [...parse(text).querySelectorAll(selector)];
const cells = (text: string) =>
  all(text, "tbody tr").map((row) => [...row.children].map((cell) => cell.textContent));

/** Every number of every drawing is one. */
function assertDrawable(text: string) {
  for (const element of all(text, "svg *")) {
    for (const { name, value } of element.attributes) {
      if (name !== "aria-label") {
        assert.doesNotMatch(value, /NaN|Infinity|undefined|null/, `${name}="${value}"`);
      }
    }
  }
}

test("the page is one document with heads, captions and words for every picture", () => {
  const text = renderReport(report);
  assert.ok(text.startsWith('<!doctype html>\n<html lang="en">'));
  assert.deepEqual(all(text, "h1").map((h) => h.textContent), ["A run"]);
  assert.deepEqual(all(text, "h2").map((h) => h.textContent), [
    "2 warnings",
    "Results",
    "Training",
    "Examples",
  ]);
  assert.deepEqual(all(text, "dl.about dd").map((d) => d.textContent), ["0", "deno task align"]);
  assert.deepEqual(all(text, ".warnings li").map((li) => li.textContent), ["First", "Second"]);
  assert.equal(all(text, "caption").length, 1);
  assert.equal(all(text, "thead th[scope=col]").length, 8);
  assert.equal(all(text, "tbody th[scope=row]").length, 2);
  // Accuracy and assessment accuracy; three curves of vft (it has no scores) and six of aft-dc; rate and memory of
  // both among the folded ones; a strip.
  const plots = all(text, "svg.plot");
  assert.equal(plots.length, 2 + 3 + 6 + 2 * 2 + 1);
  for (const plot of plots) {
    assert.equal(plot.getAttribute("role"), "img");
    assert.ok(plot.getAttribute("aria-label")!.length > 10);
  }
  assert.equal(
    plots[0].getAttribute("aria-label"),
    "Accuracy by model: vft 46.5%, aft-dc 52.5%",
  );
  assertDrawable(text);
});

test("every figure of a run's health has its curve", () => {
  const values = {
    objective_loss: 0.6931,
    vft_loss: 0.4,
    positives: -0.2,
    negatives: -0.6,
    reference: -0.1,
    margin: 0.4,
    assessment_accuracy: 0.75,
    active_pairs: 0.5,
    negatives_at_boundary: 0.25,
    response_length: 41,
    no_end_token: 0.125,
    allocated_bytes: 3 * 2 ** 20,
  };
  const run = { ...aft, metrics: [1, 2, 3].map((step) => line(step, values)) };
  const text = renderReport({ ...report, models: [run] });
  const labels = all(text, "figure svg.plot").map((plot) => plot.getAttribute("aria-label")).join("\n");
  for (
    const [name, value] of Object.entries({ ...values, allocated_bytes: 3, learning_rate: 1e-3, loss: 2 })
  ) {
    const label = name.replaceAll("_", " ");
    assert.match(labels, new RegExp(`(: |, )${label} from ${value.toPrecision(3)} to `), name);
  }
  assert.deepEqual(all(text, "details dl.terms dt").map((dt) => dt.textContent.replace(/ [↑↓].*/, "")), [
    "Terms of the loss",
    "Active pairs",
    "At the boundary",
    "Response length",
    "No end token",
    "Learning rate",
    "Memory, MiB",
  ]);
  assertDrawable(text);
});

test("a phone sees the page at its width: what is hidden inside a table scrolls with it", () => {
  // An absolutely placed word in a far column made the page as wide as the table: 849 px on a screen of 390.
  const rules = renderReport(report).match(/\.(hidden|scroll) \{[^}]*\}/g)!;
  assert.match(rules.find((rule) => rule.startsWith(".hidden"))!, /position: absolute/);
  assert.match(rules.find((rule) => rule.startsWith(".scroll"))!, /position: relative/);
});

test("the page needs nothing from outside and no script", () => {
  const text = renderReport(report);
  assert.equal(all(text, "script, link, img, iframe, object, embed, base, form, use, image").length, 0);
  for (const element of all(text, "*")) {
    for (const { name, value } of element.attributes) {
      assert.doesNotMatch(name, /^on|^(src|href|xlink:href|action)$/);
      if (!name.startsWith("xmlns")) assert.doesNotMatch(value, /https?:|url\(/);
    }
  }
  assert.doesNotMatch(text, /@import|url\(/);
  assert.match(text, /Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/);
});

test("whatever comes from data or a model is text", () => {
  const bad = `</title></style></svg>"'><script>alert("1")</script><img src=x onerror='alert(2)'>&amp;\0`;
  const model = (one: ReportModel) => ({ ...one, name: bad + one.name });
  const text = renderReport({
    title: bad,
    about: [[bad, bad]],
    models: [model(vft), model(aft)],
    warnings: [bad],
    examples: [{
      question: bad,
      answer: bad,
      reference: bad,
      candidates: [
        { text: bad, correct: true, scores: { [bad]: -1, [bad + "vft"]: -2 } },
        { text: bad, correct: false, scores: { [bad]: -2, ["__proto__"]: -3 } },
      ],
    }],
  });
  assert.doesNotMatch(text, /<script|<img|\0/i);
  assert.equal(all(text, "script, img").length, 0);
  assert.equal(all(text, "style").length, 1);
  for (const element of all(text, "*")) {
    for (const { name } of element.attributes) assert.doesNotMatch(name, /^on|["'<]/);
  }
  const shown = bad.replace("\0", "\uFFFD");
  assert.equal(all(text, "h1")[0].textContent, shown);
  assert.equal(all(text, ".example h3")[0].textContent, shown);
  assert.deepEqual(all(text, ".candidates .text").map((p) => p.textContent), [shown, shown]);
  assert.deepEqual(all(text, "tbody th").map((th) => th.textContent), [shown + "vft", shown + "aft-dc"]);
});

test("text is escaped once, markup is not, and nothing is nothing", () => {
  assert.equal(escapeHtml(`a<b> & "c" 'd'`), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
  assert.equal(escapeHtml("a\tb\nc\x07\x1B[31m\uD800"), "a\tb\nc\uFFFD\uFFFD[31m\uFFFD");
  assert.equal(
    markup`<i title="${'"'}">${["<", 1, undefined, false, markup`<b/>`]}</i>`.text,
    '<i title="&quot;">&lt;1<b/></i>',
  );
  // A string cannot pass as markup, whatever it looks like.
  assert.equal(markup`${String(new Markup("<b>"))}`.text, "&lt;b&gt;");
});

test("the main table marks the best of a column and writes a dash where nothing was measured", () => {
  assert.deepEqual(cells(renderReport(report)), [
    ["vft", "46.5", "–", "70.0", "1.250", "–", "–", "–"],
    ["aft-dc", "52.5 (best)", "60.0", "95.0 (best)", "1.250", "−0.250", "−0.750", "0.500"],
  ]);
});

test("the best is by value and direction, equal texts share it, a lone value has none", () => {
  const columns = [{ key: "a" }, { key: "high", digits: 1, best: "highest" }, {
    key: "low",
    digits: 1,
    best: "lowest",
  }] as const;
  const of = (rows: Parameters<typeof htmlTable>[1]["rows"]) =>
    cells(htmlTable(columns, { rows, caption: "c" }).text);
  assert.deepEqual(
    of([{ a: "x", high: 1.01, low: -1 }, { a: "y", high: 0.99, low: NaN }, { a: "z", high: 0.5, low: 3 }]),
    [
      ["x", "1.0 (best)", "−1.0 (best)"],
      ["y", "1.0 (best)", "–"],
      ["z", "0.5", "3.0"],
    ],
  );
  assert.deepEqual(of([{ a: "x", high: 1, low: 2 }, { a: "y", high: 1 }]), [["x", "1.0", "2.0"], [
    "y",
    "1.0",
    "–",
  ]]);
  assert.deepEqual(
    of([{ a: "x", high: { mean: 1, deviation: 0.5 } }, { a: "y", high: { mean: 2, deviation: NaN } }]),
    [["x", "1.0 ± 0.5", "–"], ["y", "2.0 (best)", "–"]],
  );
});

test("the outcome is said in words, and chance is called chance", () => {
  // Accuracy: 6 points; 196 √((0.465·0.535 + 0.525·0.475)/100) = 13.8. Assessment accuracy: 25 points;
  // 196 √((0.7·0.3 + 0.95·0.05)/40) = 15.7.
  assert.deepEqual(all(renderReport(report), ".lead").map((p) => p.textContent), [
    "aft-dc answers 52.5% of 100 test problems right, 6.0 points more than vft: that can be chance.",
    "Accuracy is highest for aft-dc: 52.5%, 6.0 points above vft. With 100 questions a difference up to about 14 points can be chance.",
    "Assessment accuracy is highest for aft-dc: 95.0%, 25.0 points above vft. With 40 questions that is more than chance alone would give.",
  ]);
  assert.deepEqual(all(renderReport({ ...report, models: [aft, vft] }), ".lead").map((p) => p.textContent), [
    "aft-dc answers 52.5% of 100 test problems right, and no model more.",
    "Accuracy: no model is above aft-dc, which has 52.5%.",
    "Assessment accuracy: no model is above aft-dc, which has 95.0%.",
  ]);
});

test("the sentence on top says what is more than chance, and what was measured in place of answers", () => {
  const lead = (...models: ReportModel[]) =>
    all(renderReport({ ...report, models }), ".lead")[0]?.textContent;
  const of = (name: string, summary: Partial<ReportModel["summary"]>): ReportModel => ({
    name,
    summary: { questions: 100, mixed_questions: 40, ...summary },
    metrics: [],
  });
  // 20 points; 196 √((0.4·0.6 + 0.6·0.4)/100) = 13.6.
  assert.equal(
    lead(of("vft", { accuracy: 0.4 }), of("control", { accuracy: 0.3 }), of("aft", { accuracy: 0.6 })),
    "aft answers 60.0% of 100 test problems right, 20.0 points more than vft: more than chance alone would give.",
  );
  assert.equal(
    lead(of("vft", { assessment_accuracy: 0.7 }), of("aft", { assessment_accuracy: 0.7 })),
    "vft tells right from wrong in 70.0% of the pairs of 40 test problems, and no model more.",
  );
  assert.equal(lead(of("vft", {})), undefined);
  const page = renderReport(report);
  assert.ok(page.indexOf('class="lead"') < page.indexOf('class="warnings"'), "above the warnings");
});

test("rows are explained, a wide table says that it scrolls, and held-out figures are drawn beside the training's", () => {
  const evaluations = [0, 20, 40].map((step) => ({
    step,
    steps: 40,
    epoch: step / 10,
    eval_records: 4,
    eval_loss: 3 - step / 20,
    eval_margin: step / 80,
  }));
  const models = [vft, { ...aft, evaluations }];
  const html = renderReport({ ...report, models, rows: [{ name: "vft", meaning: "Where all start." }] });
  assert.match(html, /What the rows are[^]*<dt>vft<\/dt><dd>Where all start\.<\/dd>/);
  assert.equal(all(html, ".cue").length, 1);
  assert.doesNotMatch(renderReport(report), /held out<|What the rows are/);
  assert.match(html, /held out<\/li>/);
  assert.match(html, /aria-label="aft-dc: loss from 0\.200 to 0\.0500, held out loss from 3\.00 to 1\.00"/);
  assert.match(html, /margin from 0\.0500 to 0\.800, held out margin from 0\.00 to 0\.500"/);
  assertDrawable(html);
});

test("a number that is 0 as it is shown has no sign, on pages and in tables", () => {
  const small: ReportModel = {
    ...vft,
    summary: { ...vft.summary, margin: -0.0004, positives: -1e-9, negatives: -0.0006 },
  };
  const [row] = cells(renderReport({ ...report, models: [small] }));
  assert.deepEqual(row.filter((cell) => /0\.00/.test(cell)), ["0.000", "−0.001", "0.000"]);
});

test("one model, no metrics, no examples and no model at all still make a page", () => {
  const one = renderReport({ ...report, models: [{ ...aft, metrics: [] }], examples: [], warnings: [] });
  assert.deepEqual(all(one, ".lead")[0].textContent, "aft-dc answers 52.5% of 100 test problems right.");
  assert.deepEqual(all(one, ".lead")[1].textContent, "Accuracy of aft-dc: 52.5% of 100 questions.");
  assert.equal(all(one, "svg.plot").length, 2);
  assert.equal(all(one, ".best, .warnings, .example").length, 0);
  assert.match(one, /No training steps were logged/);
  assertDrawable(one);

  const none = renderReport({ title: "t", about: [], models: [], examples: [], warnings: [] });
  assert.equal(all(none, "svg, table").length, 0);
  assert.match(none, /No model was measured/);

  const unmeasured = renderReport({
    ...report,
    models: [{ name: "m", summary: { questions: 0, mixed_questions: 0 }, metrics: [] }],
    examples: [{ question: "q", candidates: [] }, { question: "q", candidates: [{ text: "c", scores: {} }] }],
  });
  assert.equal(all(unmeasured, "svg.plot, .lead").length, 0);
  assert.deepEqual(cells(unmeasured), [["m", "–", "–", "–", "–", "–", "–", "–"]]);
});

test("values that are missing or not finite never reach a drawing", () => {
  const broken = [NaN, Infinity, -Infinity, undefined].map((value, i) =>
    line(10 * (i + 1), {
      ...{ loss: value, gradient_norm: value, tokens_per_second: value } as Partial<Metrics>,
      positives: value,
      margin: i,
    })
  );
  const scores = { vft: -Infinity, "aft-dc": NaN, other: -1 };
  const text = renderReport({
    ...report,
    models: [vft, {
      ...aft,
      summary: { ...aft.summary, accuracy: NaN, perplexity: Infinity },
      metrics: broken,
    }],
    examples: [{
      question: "q",
      candidates: [{ text: "a", correct: true, scores }, { text: "b", correct: false, scores: {} }],
    }],
  });
  assertDrawable(text);
  assert.deepEqual(cells(text)[1].slice(0, 5), ["aft-dc", "–", "60.0", "95.0 (best)", "∞"]);
  assert.doesNotMatch(all(text, "main").map((main) => main.textContent).join(), /NaN|undefined|Infinity/);
  assert.deepEqual(all(text, ".scores li").map((li) => li.textContent).slice(0, 3), [
    "vft –",
    "aft-dc –",
    "other −1.000",
  ]);
});

test("a line breaks where a value is missing, and a lone point is a dot", () => {
  const points = [[1, 1], [2, undefined], [3, 2], [4, 3], [5, NaN], [6, 3], [7, 1]] as const;
  const text = lineChart([{ name: "a", points }], { label: "label" }).text;
  const path = all(text, "g[aria-label=line] path")[0].getAttribute("d")!;
  assert.equal(path.match(/M/g)!.length, 3); // 1; 3–4; 6–7
  assert.equal(path.match(/L/g)!.length, 2);
  assert.equal(all(text, "circle").length, 1);
  assert.equal(all(text, "ul").length, 0);
  assertDrawable(text);
});

/** The texts of an axis's ticks, in order. */
const ticks = (text: string, axis: "x" | "y") =>
  all(text, `g[aria-label="${axis}-axis tick label"] text`).map((tick) => tick.textContent);

test("ticks are whole for steps, fractions for other numbers, and every value where x doubles", () => {
  const along = (xs: readonly number[], doubling = false) =>
    ticks(lineChart([{ name: "a", points: xs.map((x) => [x, x]) }], { label: "a line", doubling }).text, "x");
  assert.deepEqual(along([1, 2]).filter((text) => text !== ""), ["1", "2"]);
  assert.deepEqual(along([0.1, 0.2, 0.4]), ["0.1", "0.2", "0.3", "0.4"]);
  assert.deepEqual(along([1, 2, 4, 8], true), ["1", "2", "4", "8"]);
});

test("an axis of shares stays within 0 and 1, and is never short enough to make little look like much", () => {
  const of = (...shares: number[]) =>
    ticks(
      lineChart([{ name: "a", points: shares.map((y, x) => [x, y]) }], { label: "a line", percent: true })
        .text,
      "y",
    );
  assert.deepEqual(of(0, 0), ["0%", "5%", "10%"]);
  assert.deepEqual(of(1, 1), ["90%", "95%", "100%"]);
  assert.deepEqual(of(0.5, 0.51), ["40%", "50%", "60%"]);
});

test("a line may have one point, one height, or nothing", () => {
  for (const points of [[[3, 0.5]], [[1, 0], [2, 0]], [[5, 1e-9], [5, 1e9]]] as const) {
    const text = lineChart([{ name: "a", points }], { label: "label" }).text;
    assertDrawable(text);
    assert.equal(all(text, "svg").length, 1);
  }
  assert.match(lineChart([], { label: "l" }).text, /Not measured/);
  assert.match(lineChart([{ name: "a", points: [[1, NaN]] }], { label: "l" }).text, /Not measured/);
});

test("many points are drawn faint under their mean; many series have names", () => {
  const points = Array.from({ length: 1000 }, (_, i) => [i, i % 2] as const);
  const text =
    lineChart([{ name: "a", points }, { name: "<b>", points: [[0, 0], [1000, 1]] }], { label: "l" }).text;
  const [faint, mean] = all(text, "g[aria-label=line]");
  assert.equal(faint.getAttribute("stroke-opacity"), "0.3");
  assert.equal(mean.getAttribute("stroke-opacity"), null);
  // 1,000 points in parts of ⌈1000/240⌉ = 5 are 200.
  assert.equal(faint.querySelector("path")!.getAttribute("d")!.match(/[ML]/g)!.length, 200);
  assert.deepEqual(all(text, ".legend li").map((li) => li.textContent.trim()), ["a", "<b>"]);
  const strokes = all(legend([{ name: "a", points }, { name: "b", points }]).text, "line")
    .map((l) => [l.getAttribute("style"), l.getAttribute("stroke-dasharray")]);
  assert.deepEqual(strokes, [["stroke:var(--series-1)", ""], ["stroke:var(--series-2)", "5 3"]]);
});

test("points are thinned and smoothed by plain means", () => {
  assert.deepEqual(thin([[1, 1], [2, 3], [3, undefined], [4, 5], [5, NaN]], 3), [[1.5, 2], [3.5, 5], [
    5,
    undefined,
  ]]);
  assert.deepEqual(thin([[1, 1], [2, 3]], 2), [[1, 1], [2, 3]]);
  assert.deepEqual(smooth([[1, 3], [2, 6], [3, 0], [4, undefined]], 3), [[1, 4.5], [2, 3], [3, 3], [
    4,
    undefined,
  ]]);
  assert.deepEqual(isolated([[1, 1], [2, NaN], [3, 2], [4, 3]]), [[1, 1]]);
});

test("a dot chart places its dots by value, in the rows' order", () => {
  const rows = [
    { name: "low", value: 0.2, interval: [0.1, 0.3] as const },
    { name: "none" },
    { name: "a name of more than sixteen letters", value: 0.8 },
  ];
  const text = dotChart(rows, { label: "l", x: "x", percent: true, rule: 0.2 }).text;
  const [low, high] = all(text, "circle").map((c) =>
    ["cx", "cy"].map((name) => Number(c.getAttribute(name)))
  );
  assert.ok(low[0] < high[0] && low[1] < high[1]);
  const labels = all(text, "text").map((t) => t.textContent);
  for (const label of ["20.0%", "–", "80.0%", "low", "none", "a name of more …"]) {
    assert.ok(labels.includes(label), label);
  }
  // The interval is symmetric around the dot, and the dashed line goes through it.
  const whisker = all(text, "g[stroke-linecap=round] line")[0];
  const ends = ["x1", "x2"].map((name) => Number(whisker.getAttribute(name)));
  assert.ok(Math.abs((ends[0] + ends[1]) / 2 - low[0]) < 1e-6 && ends[0] < ends[1]);
  assert.equal(
    Number(all(text, "g[stroke-dasharray] line, line[stroke-dasharray]")[0].getAttribute("x1")),
    low[0],
  );
  assert.match(dotChart([{ name: "a" }], { label: "l", x: "x" }).text, /Not measured/);
});

test("right and wrong candidates differ by shape and colour, and pairs in order are counted", () => {
  const strip = all(renderReport(report), ".example svg.plot")[0];
  const circles = [...strip.querySelectorAll("g[fill='var(--right)'] circle, circle[fill='var(--right)']")];
  assert.equal(circles.length, 2); // one right candidate, two models
  const crosses = [...strip.querySelectorAll("g[stroke='var(--wrong)'] path, path[stroke='var(--wrong)']")]
    .filter((path) => path.getAttribute("d")!.match(/M/g)!.length === 2);
  assert.equal(crosses.length, 4);
  // vft: −0.5 > −0.6 but < −0.4, 1 of 2; aft-dc: 2 of 2.
  assert.equal(
    strip.getAttribute("aria-label"),
    "Scores of 4 candidates by model: vft has 50% of pairs in order, aft-dc has 100% of pairs in order",
  );
  assert.deepEqual(
    all(renderReport(report), ".candidates .kind").map((p) => p.textContent.replace(/\s+/g, " ")),
    ["A right", "B wrong", "C wrong", "D not judged"],
  );
});

test("letters of equal scores stand apart and in the drawing", () => {
  const candidates = Array.from(
    { length: 12 },
    (_, i) => ({ letter: String.fromCharCode(65 + i), scores: [-1, i] }),
  );
  const text = stripChart([{ name: "m" }, { name: "n" }], { label: "l", candidates }).text;
  const x = all(text, "text").filter((t) => /^[A-L]$/.test(t.textContent))
    .map((t) => Number(/translate\(([-\d.]+)/.exec(t.getAttribute("transform")!)![1])).sort((a, b) => a - b);
  assert.equal(x.length, 12);
  x.slice(1).forEach((at, i) => assert.ok(at - x[i] > 10.9, `${at} − ${x[i]}`));
  assert.ok(x[0] > 0 && x[11] < 420);
});

test("Wilson's interval of 50 of 100, and of 0 of 10", () => {
  // Centre 0.5; half (1.96/1.038416)·√(0.0025 + 0.00009604) = 0.0962.
  wilson(0.5, 100).forEach((end, i) => assert.ok(Math.abs(end - [0.4038, 0.5962][i]) < 1e-4));
  // z²/(n + z²) = 3.8416/13.8416
  const [low, high] = wilson(0, 10);
  assert.ok(low === 0 && Math.abs(high - 0.27754) < 1e-5);
});

test("numbers and names are short enough for an axis", () => {
  assert.deepEqual([0, 0.25, -1.5, 1234, 12000, 2.5e6, 1e-7].map(shortNumber), [
    "0",
    "0.25",
    "−1.5",
    "1234",
    "12k",
    "2.5M",
    "1e-7",
  ]);
  assert.equal(shorten("a\n  b", 3), "a b");
  assert.equal(shorten("😀😀😀😀", 3), "😀😀…");
  assert.deepEqual(extent([3, undefined, NaN, -1, Infinity]), [-1, 3]);
  assert.equal(extent([NaN]), undefined);
  assert.deepEqual(padded([1, 3], 0.5), [0, 4]);
  assert.deepEqual(padded([0, 0], 0.5), [-1, 1]);
});

test("a page without warnings has no box for them", () => {
  assert.equal(all(page({ title: "<t>", body: "<p>" }), ".warnings, main p").length, 0);
});
