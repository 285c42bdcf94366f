import { type TrainingFigure, type TrainingFigureKey, trainingFigures } from "../train/figures.ts";
import type { Metrics } from "../train/metrics.ts";
import { type Markup, markup } from "./_markup.ts";
import { extent, padded } from "./_plot_svg.ts";
import { type Term, terms } from "./page.ts";
import { legend, lineChart, type Series } from "./plots.ts";
import type { ReportModel } from "./contents.ts";

/** A line of a model's training: a step's, or an evaluation's under names of its own. */
type Line = Pick<Metrics, "step" | "steps"> & Partial<Metrics> & Partial<Record<HeldOut, number | undefined>>;
type HeldOut = "held_out_loss" | "held_out_margin" | "held_out_assessment_accuracy";
type Key = Exclude<keyof Line, "step" | "steps" | "epoch">;

/** A model's lines in the order of their steps. */
function linesOf({ metrics, evaluations = [] }: ReportModel): readonly Line[] {
  const heldOut = evaluations.map((line): Line => ({
    step: line.step,
    steps: line.steps,
    held_out_loss: line.eval_loss,
    held_out_margin: line.eval_margin,
    held_out_assessment_accuracy: line.eval_assessment_accuracy,
  }));
  return [...metrics, ...heldOut].sort((a, b) => a.step - b.step);
}

/** A small plot of one figure, or of several that share their axis. */
interface Panel {
  /** The first names what is shown. */
  readonly keys: readonly [TrainingFigureKey, ...Key[]];
  /** One vertical axis for all models, so that their curves compare. */
  readonly shared?: boolean;
  readonly rule?: number;
  /** Its name and meaning, where it shows several figures. */
  readonly several?: { readonly title: string; readonly meaning: string };
}

/** Lines that a panel shares with others, under the names of the legend. */
const drawn: readonly (Omit<Series, "points"> & { readonly key: Key })[] = [
  { name: "right candidates", key: "positives", colour: "var(--right)", dash: "" },
  { name: "wrong candidates", key: "negatives", colour: "var(--wrong)", dash: "4 2.5" },
  { name: "references", key: "reference", colour: "var(--muted)", dash: "1.5 2.5" },
  { name: "held out", key: "held_out_loss", colour: "var(--series-2)", dash: "" },
];
/** Further lines of the same colour as one in the legend. */
const alike: Partial<Record<Key, Key>> = {
  held_out_margin: "held_out_loss",
  held_out_assessment_accuracy: "held_out_loss",
};
const termsOfLoss: typeof drawn = [
  { name: "objective", key: "objective_loss", colour: "var(--series-2)", dash: "" },
  { name: "references (VFT)", key: "vft_loss", colour: "var(--series-5)", dash: "1.5 2.5" },
];

const panels: readonly Panel[] = [
  { keys: ["loss", "held_out_loss"] },
  {
    keys: ["positives", "negatives", "reference"],
    shared: true,
    several: {
      title: "Scores",
      meaning:
        "Mean score of the batch's right and wrong candidates and of its reference solutions (which count as right), in " +
        "nats per token. Right ones should come out above wrong ones; if both sink together, the model is being damaged.",
    },
  },
  { keys: ["margin", "held_out_margin"], shared: true, rule: 0 },
  { keys: ["assessment_accuracy", "held_out_assessment_accuracy"], shared: true, rule: 0.5 },
  { keys: ["gradient_norm"] },
  { keys: ["tokens_per_second"], shared: true },
];

/** Curves that are looked at when something seems wrong. */
const morePanels: readonly Panel[] = [
  {
    keys: ["objective_loss", "vft_loss"],
    several: {
      title: "Terms of the loss",
      meaning: "What the objective adds to the loss, and what the likelihood of the references adds.",
    },
  },
  { keys: ["active_pairs"], shared: true },
  { keys: ["negatives_at_boundary"], shared: true },
  { keys: ["response_length"], shared: true },
  { keys: ["no_end_token"], shared: true },
  { keys: ["learning_rate"] },
  // Bytes that hardly change would have an axis of equal ticks without 0.
  { keys: ["allocated_bytes"], shared: true, rule: 0 },
];

/** What a panel's figure is, or what its figures are together. */
function figureOf({ keys, several }: Panel): TrainingFigure {
  const first = trainingFigures[keys[0]];
  return several ? { ...several, ...(first.percent && { percent: true }) } : first;
}

/** A panel's line in the list that explains them. */
function termOf(panel: Panel): Term {
  const { title: term, better, meaning } = figureOf(panel);
  return { term, meaning, ...(better && { better }) };
}

/** A row of small curves for every model that was trained. */
export function trainingSection(models: readonly ReportModel[]): Markup {
  const trained = models.filter(({ metrics }) => metrics.length > 0);
  if (trained.length === 0) {
    return markup`<section><h2>Training</h2><p class="empty">No training steps were logged.</p></section>`;
  }
  return markup`<section aria-labelledby="training">
<h2 id="training">Training</h2>
<p class="note">Left to right: optimizer steps. Faint: as logged; strong: running mean. Scores, margins,
assessment accuracies and speeds have the same vertical axis in all rows, so they compare from row to row; losses and
gradient norms have axes of their own.</p>
${curves(panels, trained, drawn)}
<h3>How to read the curves</h3>
${terms(measured(panels, trained).map(termOf))}
${
    measured(morePanels, trained).length > 0 &&
    markup`<details><summary>More curves: terms of the loss, pairs, lengths,
learning rate, memory</summary>
${curves(morePanels, trained, termsOfLoss)}
${terms(measured(morePanels, trained).map(termOf))}
</details>`
  }
</section>`;
}

/** The panels that some model has: a measure that none has (scores, when all was VFT) gets no empty frames. */
function measured(panels: readonly Panel[], models: readonly ReportModel[]): Panel[] {
  return panels.filter(({ keys }) => models.some((model) => has(linesOf(model), keys)));
}

/** A row of panels a model, under a legend of the lines that share a panel. */
function curves(
  panels: readonly Panel[],
  models: readonly ReportModel[],
  lines: typeof drawn,
): (Markup | false)[] {
  const shown = measured(panels, models);
  const named = lines.filter(({ key }) => models.some((model) => has(linesOf(model), [key])));
  const domains = shown.map((panel) => panel.shared ? domain(panel, models) : undefined);
  return [
    named.length > 0 && legend(named.map((line) => ({ ...line, points: [] }))),
    ...models.map((model) =>
      markup`<h3>${model.name} <span class="better">${steps(model.metrics)}</span></h3>
<div class="panels" style="--columns:${shown.length}">${
        shown.map((panel, i) => figure(panel, { model, lines, domain: domains[i] }))
      }</div>\n`
    ),
  ];
}

function has(metrics: readonly Line[], keys: readonly Key[]): boolean {
  return metrics.some((line) => keys.some((key) => Number.isFinite(line[key])));
}

function domain(panel: Panel, models: readonly ReportModel[]): [number, number] | undefined {
  const { keys, rule } = panel, { percent, per = 1 } = figureOf(panel);
  const range = extent([
    ...models.flatMap((model) => linesOf(model).flatMap((line) => keys.map((key) => scaled(line[key], per)))),
    rule,
  ]);
  if (!range) return undefined;
  const [low, high] = padded(range, 0.06);
  return percent ? [Math.max(0, low), Math.min(1, high)] : [low, high];
}

function scaled(value: number | undefined, per: number): number | undefined {
  return value === undefined ? undefined : value / per;
}

function steps(metrics: readonly Metrics[]): string {
  const { step = 0, steps = 0 } = metrics.at(-1) ?? {};
  return step === steps ? `${steps} steps` : `${step} of ${steps} steps`;
}

function figure(
  panel: Panel,
  { model, lines, domain }: {
    readonly model: ReportModel;
    readonly lines: typeof drawn;
    readonly domain?: [number, number] | undefined;
  },
): Markup {
  const { keys, rule } = panel, { title, better, percent, per = 1 } = figureOf(panel);
  const series = keys.map((key): Series => {
    const { colour = "var(--ink)", dash = "" } = lines.find((line) => line.key === (alike[key] ?? key)) ?? {};
    // Evaluations have steps of their own: the line goes from one to the next.
    const own = key.startsWith("held_out")
      ? linesOf(model).filter((line) => line[key] !== undefined)
      : model.metrics;
    const points = (own as readonly Line[]).map((line) => [line.step, scaled(line[key], per)] as const);
    return { name: key, colour, dash, points };
  });
  const ends = series.flatMap(({ name, points }) => {
    const known = points.filter(([, y]) => y !== undefined && Number.isFinite(y)).map(([, y]) => y!);
    return known.length === 0
      ? []
      : `${name.replaceAll("_", " ")} from ${known[0]?.toPrecision(3)} to ${known.at(-1)?.toPrecision(3)}`;
  });
  const way = better &&
    markup` <span class="better" aria-hidden="true">${better === "higher" ? "↑" : "↓"}</span>`;
  const label = `${model.name}: ${ends.join(", ")}`;
  return markup`<figure><h4>${title}${way}</h4>${
    lineChart(series, { label, domain, percent, rule, legend: false, width: 190, height: 118 })
  }</figure>`;
}
