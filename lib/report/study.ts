/** The outcomes of a study's experiments, and the page and the tables that show them. */

import { type Markup, markup } from "./_markup.ts";
import { type HtmlColumn, htmlTable, oneLineHeads } from "./html_table.ts";
import { page } from "./page.ts";
import { dotChart, type DotRow, lineChart, type Series } from "./plots.ts";
import { scatterPlot, type ScatterSeries } from "./scatter_plot.ts";
import { markdownTable, type Row } from "./table.ts";

/** A table of an experiment. */
export interface OutcomeTable {
  /** Names its files: `main` gives main.md and main.csv. */
  readonly name: string;
  /** Its caption. */
  readonly title: string;
  /** In the order in which they stand. */
  readonly columns: readonly HtmlColumn[];
  /** On a page it has to be opened: for long ones that few will read. Default false. */
  readonly folded?: boolean;
  /** Values by the columns' keys. */
  readonly rows: readonly Row[];
}

/** A plot of an experiment. Shares are shown as percentages with `percent`; `doubling` is `lineChart`'s. */
export type OutcomePlot =
  & { readonly title: string; readonly percent?: boolean; readonly x: string; readonly note?: string }
  & (
    | { readonly kind: "scatter"; readonly y: string; readonly series: readonly ScatterSeries[] }
    | {
      readonly kind: "lines";
      readonly y: string;
      readonly series: readonly Series[];
      readonly doubling?: boolean;
    }
    | { readonly kind: "dots"; readonly rows: readonly DotRow[]; readonly rule?: number | undefined }
  );

/** A mean difference and what is known of it. */
export interface Estimate {
  /** The mean over seeds and problems, in the unit of its claim. */
  readonly difference: number;
  /** Lower end of its 95% interval; NaN with one seed. */
  readonly low: number;
  /** Upper end of its 95% interval; NaN with one seed. */
  readonly high: number;
  /** Probability of a difference this far from 0 where there is none. */
  readonly p: number;
  /** The same over all claims of the study together (Holm). */
  readonly adjusted?: number;
  /** How many seeds it is a mean over. */
  readonly seeds: number;
  /** How many problems each seed had, at most. */
  readonly problems: number;
  /** 95% interval of a bootstrap over seeds and problems. */
  readonly bootstrap?: readonly [low: number, high: number];
}

/** A claim of the paper and what was found here. */
export interface Claim {
  /** What the paper says, in words. */
  readonly claim: string;
  /** What the methods started from: the VFT model (default), or the base. */
  readonly start?: "vft" | "base";
  /** The paper's number. */
  readonly theirs: string;
  /** Ours, with its interval. */
  readonly ours: string;
  /** What stands behind ours; absent where nothing was measured. */
  readonly estimate?: Estimate;
  /** A difference smaller than this matters to nobody. */
  readonly matters?: number;
  /** In what the difference is counted: points of shares, which are hundredths, or nats per token. */
  readonly unit?: "points" | "nats per token" | "r";
  /**
   * Whether it held. Neither where chance could give the difference too: then it is "smaller" than the end of its interval,
   * or "unclear" where that leaves room for a difference that matters.
   */
  readonly held: "yes" | "no" | "smaller" | "unclear";
}

/** All that an experiment found. */
export interface Outcome {
  /** The word that `--only` takes. */
  readonly name: string;
  /** Its heading. */
  readonly title: string;
  /** What was done, in plain words. */
  readonly about: string;
  /** Sizes: training problems, test problems, seeds. */
  readonly size: string;
  /** The paper's claims that it speaks to. */
  readonly claims: readonly Claim[];
  /** Its tables, the main one first. */
  readonly tables: readonly OutcomeTable[];
  /** Its plots. */
  readonly plots: readonly OutcomePlot[];
}

/** What stands around the outcomes. */
export interface StudyPage {
  /** Main heading. */
  readonly title: string;
  /** Label and value: machine, model, time. */
  readonly about: readonly (readonly [label: string, value: string])[];
  /** What a reader must know before the numbers. Default none. */
  readonly warnings?: readonly string[];
}

/** The study as a complete HTML document that needs no script, no network and no other file. */
export function renderStudy(outcomes: readonly Outcome[], options: StudyPage): string {
  const claims = outcomes.flatMap((outcome) => outcome.claims);
  return page({
    title: options.title,
    warnings: options.warnings,
    body: [
      markup`<dl class="about">${
        options.about.map(([label, value]) => markup`<div><dt>${label}</dt><dd>${value}</dd></div>\n`)
      }</dl>`,
      markup`<nav aria-label="Experiments"><ul class="legend">${
        outcomes.map(({ name, title }) => markup`<li><a href="#${name}">${title}</a></li>\n`)
      }</ul></nav>`,
      claims.length > 0 && markup`<section aria-labelledby="claims"><h2 id="claims">The paper's claims</h2>
<p class="note">Ours: a mean difference and its 95% interval over seeds and problems. Held, or not: by p under 5% over all
claims together (Holm). Smaller than d: the interval ends at d, and d is at most 2 points; unclear where it reaches further.
From the base: methods start at the base model, references and candidates together; else they go on from VFT. The paper's models have 7 to 13 billion parameters and its data sets are others: only the
direction can be compared.</p>
<p>${tally(claims)}</p>
<dl class="terms">${claims.map(claimItem)}</dl></section>`,
      outcomes.map(section),
    ],
  });
}

function tally(claims: readonly Claim[]): string {
  const count = (held: Claim["held"]) => claims.filter((claim) => claim.held === held).length;
  const unclear = count("unclear"), smaller = count("smaller");
  return `${count("yes")} of ${claims.length} held, ${count("no")} did not, ${smaller} ${
    smaller === 1 ? "is" : "are"
  } smaller than what matters, ${unclear} ${unclear === 1 ? "is" : "are"} unclear.`;
}

const verdicts = {
  yes: { sign: "✓ ", kind: "right" },
  no: { sign: "✗ ", kind: "wrong" },
  smaller: { sign: "≈ ", kind: "unknown" },
  unclear: { sign: "? ", kind: "unknown" },
} as const;

/** "held", "did not hold", "smaller than 1.4 points", "unclear: smaller than 3.2 points". */
export function verdict({ held, estimate, unit = "points" }: Claim): string {
  if (held === "yes") return "held";
  if (held === "no") return "did not hold";
  if (estimate === undefined || Number.isNaN(estimate.low)) return "unclear";
  const below = Math.max(Math.abs(estimate.low), Math.abs(estimate.high));
  // Rounded up: what is excluded must not become more by rounding.
  const d = unit === "points" ? Math.ceil(below * 1000) / 10 : Math.ceil(below * 100) / 100;
  const text = `smaller than ${unit === "r" ? `r = ${d.toFixed(2)}` : `${d} ${unit}`}`;
  return held === "smaller" ? text : `unclear: ${text}`;
}

function claimItem(claim: Claim): Markup {
  const { sign, kind } = verdicts[claim.held];
  const from = claim.start === "base" ? " (from the base)" : "";
  return markup`<div><dt>${claim.claim}${from} <span class="verdict ${kind}">${sign}${
    verdict(claim)
  }</span></dt>
<dd>Here ${claim.ours}. The paper: ${claim.theirs}.</dd></div>\n`;
}

const claimColumns: readonly HtmlColumn[] = [
  { key: "claim", title: "The paper says" },
  { key: "from", title: "From" },
  { key: "theirs", title: "Theirs" },
  { key: "ours", title: "Ours" },
  { key: "held", title: "Held" },
];

function section({ name, title, about, size, tables, plots }: Outcome): Markup {
  return markup`<section aria-labelledby="${name}"><h2 id="${name}">${title}</h2>
<p>${about}</p>
<p class="note">${size}</p>
${tables.map(tableOf)}
<div class="pair">${plots.map(figure)}</div>
</section>\n`;
}

function tableOf({ title, columns, rows, folded }: OutcomeTable): Markup {
  const table = htmlTable(columns, { rows, caption: !folded && title });
  return folded ? markup`<details><summary>${title}</summary>${table}</details>\n` : markup`${table}\n`;
}

function figure(plot: OutcomePlot): Markup {
  const { title, percent, x, note } = plot;
  const size = { width: 420, height: 240 }, label = `${title}: ${summaryOf(plot)}`;
  const svg = plot.kind === "scatter"
    ? scatterPlot(plot.series, { x, y: plot.y, percent, label })
    : plot.kind === "lines"
    ? lineChart(plot.series, { ...size, x, y: plot.y, percent, label, doubling: plot.doubling, legend: true })
    : dotChart(plot.rows, { x, percent, label, rule: plot.rule });
  const caption = note !== undefined && markup`<figcaption>${note}</figcaption>`;
  return markup`<figure><h3>${title}</h3>${svg}${caption}</figure>\n`;
}

/** The picture in words, for those who do not see it. */
function summaryOf(plot: OutcomePlot): string {
  const number = (value: number | undefined) =>
    value === undefined ? "–" : String(Number(value.toPrecision(3)));
  if (plot.kind === "dots") return plot.rows.map(({ name, value }) => `${name} ${number(value)}`).join(", ");
  if (plot.kind === "scatter") {
    return plot.series.map(({ name, points }) => `${points.length} points of ${name}`).join(", ");
  }
  return plot.series.map(({ name, points }) =>
    `${name} from ${number(points[0]?.[1])} to ${number(points.at(-1)?.[1])}`
  ).join(", ");
}

/** The claims as a Markdown table: what the paper says, from where methods started, theirs, ours, verdict. */
export function claimsTable(claims: readonly Claim[]): string {
  return markdownTable(
    claimColumns,
    claims.map((claim) => ({
      claim: claim.claim,
      from: claim.start === "base" ? "base" : "VFT",
      theirs: claim.theirs,
      ours: claim.ours,
      held: verdict(claim),
    })),
  );
}

/** All tables in one Markdown page. */
export function studyMarkdown(outcomes: readonly Outcome[], options: StudyPage): string {
  const claims = outcomes.flatMap((outcome) => outcome.claims);
  return [
    `# ${options.title}`,
    ...(options.warnings ?? []).map((line) => `**${line}**`),
    options.about.map(([label, value]) => `- ${label}: ${value}`).join("\n"),
    ...(claims.length > 0 ? ["## The paper's claims", claimsTable(claims)] : []),
    ...outcomes.flatMap(({ title, about, size, tables }) => [
      `## ${title}`,
      about,
      size,
      ...tables.flatMap((
        { title, columns, rows },
      ) => [`**${title}**`, markdownTable(oneLineHeads(columns), rows).trimEnd()]),
    ]),
  ].map((part) => part.trimEnd()).join("\n\n") + "\n";
}
