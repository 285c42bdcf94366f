import type { Metrics } from "../train/metrics.ts";
import { type Markup, markup } from "./_markup.ts";
import { extent, padded } from "./_plot_svg.ts";
import { type Term, terms } from "./page.ts";
import { legend, lineChart, type Series } from "./plots.ts";
import type { ReportModel } from "./report.ts";

type Key =
  | "loss"
  | "positives"
  | "negatives"
  | "margin"
  | "assessment_accuracy"
  | "gradient_norm"
  | "tokens_per_second";

interface Panel extends Term {
  readonly keys: readonly Key[];
  /** One vertical axis for all models, so that their curves compare. */
  readonly shared?: boolean;
  readonly percent?: boolean;
  readonly rule?: number;
}

const sides = [
  { name: "right candidates", key: "positives", colour: "var(--right)", dash: "" },
  { name: "wrong candidates", key: "negatives", colour: "var(--wrong)", dash: "4 2.5" },
];

const panels: readonly Panel[] = [
  {
    term: "Loss",
    better: "lower",
    keys: ["loss"],
    meaning:
      "What training makes small. Objectives have losses of their own, so compare a curve with itself, not " +
      "with another model's.",
  },
  {
    term: "Scores",
    keys: ["positives", "negatives"],
    shared: true,
    meaning:
      "Mean score of the batch's right and wrong candidates, in nats per token. Right ones should come out " +
      "above wrong ones; if both sink together, the model is being damaged.",
  },
  {
    term: "Margin",
    better: "higher",
    keys: ["margin"],
    shared: true,
    rule: 0,
    meaning:
      "The distance between those two. Below the dashed line at 0, wrong chains are the likelier ones.",
  },
  {
    term: "Assessment accuracy",
    better: "higher",
    keys: ["assessment_accuracy"],
    shared: true,
    percent: true,
    rule: 0.5,
    meaning:
      "Share of the batch's (right, wrong) pairs in order. The dashed line is guessing. It is measured on " +
      "training questions, so it runs ahead of the table's.",
  },
  {
    term: "Gradient norm",
    keys: ["gradient_norm"],
    meaning:
      "Size of a step's gradient before clipping. It should settle; spikes or steady growth mean that the " +
      "learning rate is too high.",
  },
  {
    term: "Response tokens/s",
    better: "higher",
    keys: ["tokens_per_second"],
    shared: true,
    meaning: "Speed alone: says nothing about quality.",
  },
];

/** A row of small curves for every model that was trained. */
export function trainingSection(models: readonly ReportModel[]): Markup {
  const trained = models.filter(({ metrics }) => metrics.length > 0);
  if (trained.length === 0) {
    return markup`<section><h2>Training</h2><p class="empty">No training steps were logged.</p></section>`;
  }
  // A measure that no model has (scores, when all was VFT) gets no empty frames.
  const shown = panels.filter(({ keys }) => trained.some(({ metrics }) => has(metrics, keys)));
  const domains = shown.map((panel) => panel.shared ? domain(panel, trained) : undefined);
  return markup`<section aria-labelledby="training">
<h2 id="training">Training</h2>
<p class="note">Left to right: optimizer steps. Faint: as logged; strong: running mean. Scores, margins,
assessment accuracies and speeds have the same vertical axis in all rows, so they compare from row to row; losses and
gradient norms have axes of their own.</p>
${shown.some(({ term }) => term === "Scores") && legend(sides.map((side) => ({ ...side, points: [] })))}
${
    trained.map((model) =>
      markup`<h3>${model.name} <span class="better">${steps(model.metrics)}</span></h3>
<div class="panels" style="--columns:${shown.length}">${
        shown.map((panel, i) => figure(panel, { model, domain: domains[i] }))
      }</div>\n`
    )
  }
<h3>How to read the curves</h3>
${terms(shown)}
</section>`;
}

function has(metrics: readonly Metrics[], keys: readonly Key[]): boolean {
  return metrics.some((line) => keys.some((key) => Number.isFinite(line[key])));
}

function domain(
  { keys, percent, rule }: Panel,
  models: readonly ReportModel[],
): [number, number] | undefined {
  const range = extent([
    ...models.flatMap(({ metrics }) => metrics.flatMap((line) => keys.map((key) => line[key]))),
    rule,
  ]);
  if (!range) return undefined;
  const [low, high] = padded(range, 0.06);
  return percent ? [Math.max(0, low), Math.min(1, high)] : [low, high];
}

function steps(metrics: readonly Metrics[]): string {
  const { step, steps } = metrics[metrics.length - 1];
  return step === steps ? `${steps} steps` : `${step} of ${steps} steps`;
}

function figure(
  { term, better, keys, percent, rule }: Panel,
  { model, domain }: { readonly model: ReportModel; readonly domain?: [number, number] },
): Markup {
  const series = keys.map((key): Series => {
    const { colour = "var(--ink)", dash = "" } = sides.find((side) => side.key === key) ?? {};
    return { name: key, colour, dash, points: model.metrics.map((line) => [line.step, line[key]] as const) };
  });
  const ends = series.map(({ name, points }) => {
    const known = points.filter(([, y]) => y !== undefined && Number.isFinite(y)).map(([, y]) => y!);
    return `${name.replaceAll("_", " ")} from ${known[0]?.toPrecision(3)} to ${known.at(-1)?.toPrecision(3)}`;
  });
  const way = better &&
    markup` <span class="better" aria-hidden="true">${better === "higher" ? "↑" : "↓"}</span>`;
  const label = `${model.name}: ${ends.join(", ")}`;
  return markup`<figure><h4>${term}${way}</h4>${
    lineChart(series, { label, domain, percent, rule, legend: false, width: 190, height: 118 })
  }</figure>`;
}
