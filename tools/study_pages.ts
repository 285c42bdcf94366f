/**
 * Writes the pages about a study from the files of its run: docs/study/study.md and study.html, the table of claims in
 * docs/paper_index.md, and the plots of docs/what_we_learnt.md.
 *
 *   deno run -A tools/study_pages.ts runs/study && deno fmt docs
 */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { dotChart, type DotRow } from "../lib/report/plots.ts";
import { type Claim, claimsTable, type Outcome } from "../lib/report/study.ts";
import type { Spread } from "../lib/report/table.ts";

const [run] = process.argv.slice(2);
if (run === undefined) {
  console.error("study_pages: expected the folder of a study");
  process.exit(2);
}
const docs = new URL("../docs/", import.meta.url);
const file = (name: string) => new URL(name, docs);
const { experiments } = JSON.parse(readFileSync(join(run, "results.json"), "utf8")) as {
  readonly experiments: readonly Outcome[];
};
const claims = experiments.flatMap((outcome) => outcome.claims);

for (const name of ["study.md", "study.html"]) copyFileSync(join(run, name), file(`study/${name}`));

const index = readFileSync(file("paper_index.md"), "utf8");
const [before, after] = [index.split("<!-- claims -->")[0], index.split("<!-- end of claims -->")[1]];
if (before === undefined || after === undefined) {
  throw new Error("docs/paper_index.md: expected the marks <!-- claims --> and <!-- end of claims -->");
}
writeFileSync(
  file("paper_index.md"),
  `${before}<!-- claims -->\n\n${claimsTable(claims)}\n<!-- end of claims -->${after}`,
);

const charts = {
  constraint: () =>
    chart(accuracies(), { x: "accuracy, % of test problems (bar: ± one deviation)", percent: true }),
  scores: () => chart(scores(), { x: "mean log-prob, nats per token (further right: likelier)" }),
  differences: () =>
    chart(differences(), { x: "difference in points (bar: 95% interval)", rule: 0, digits: 1 }),
};
for (const [name, draw] of Object.entries(charts)) writeFileSync(file(`study/${name}.svg`), draw());

/** A row of a table of models, by experiment and name. */
function spreadOf(experiment: string, method: string, key: string): Spread | undefined {
  const rows = experiments.filter(({ name }) => name === experiment)
    .flatMap(({ tables }) => tables.flatMap((table) => table.rows));
  return rows.find((row) => row["method"] === method && row[key] !== undefined)?.[key] as Spread | undefined;
}

function row(name: string, found: Spread | undefined): DotRow {
  if (found === undefined) return { name, value: undefined };
  const { mean, deviation } = found;
  return { name, value: mean, interval: [mean - deviation, mean + deviation] };
}

function accuracies(): DotRow[] {
  const pairs = ["AFT", "RRHF", "PRO", "DPO"].flatMap((name) =>
    (["none", "dc"] as const).map((constraint) =>
      row(
        `${name}${constraint === "none" ? " alone" : " + DC"}`,
        spreadOf("constraints-base", `${name} ${constraint}`, "accuracy"),
      )
    )
  );
  return [...["VFT", "RFT"].map((name) => row(name, spreadOf("main-base", name, "accuracy"))), ...pairs];
}

function scores(): DotRow[] {
  const models = [
    ["VFT", "main-base", "VFT"],
    ...["none", "dc", "bc"].map((one) => [
      `AFT ${one}`,
      "constraints-base",
      `AFT ${one}`,
    ]),
  ];
  return (["positives", "negatives"] as const).flatMap((key) =>
    models.map(([name, experiment, method]) =>
      row(`${name}, ${key === "positives" ? "right" : "wrong"}`, spreadOf(experiment!, method!, key))
    )
  );
}

/** Differences of accuracy, each under a short name. */
function differences(): DotRow[] {
  const names: readonly (readonly [RegExp, string])[] = [
    [/^AFT-DC is above VFT/, "DC − VFT"],
    [/^AFT-BC is above VFT/, "BC − VFT"],
    [/^AFT-DC is slightly above RFT/, "DC − RFT"],
    [/^AFT-BC is slightly above RFT/, "BC − RFT"],
    [/^AFT with DC is above AFT without/, "DC − none"],
    [/^(RRHF|PRO|DPO) with DC is above/, "$1: DC − none"],
  ];
  return claims.flatMap(({ claim, estimate, start, unit = "points" }: Claim): DotRow[] => {
    const [pattern, short] = names.find(([pattern]) => pattern.test(claim)) ?? [];
    if (!pattern || !estimate || unit !== "points") return [];
    const name = `${claim.match(pattern)![0].replace(pattern, short!)}${start === "base" ? "" : " (VFT)"}`;
    const { difference, low, high } = estimate;
    return [{ name, value: difference * 100, interval: [low * 100, high * 100] }];
  });
}

/** A plot that stands alone: colours in place of a page's variables, on paper of its own. */
function chart(
  rows: readonly DotRow[],
  options: {
    readonly x: string;
    readonly percent?: boolean;
    readonly rule?: number;
    readonly digits?: number;
  },
): string {
  const label = rows.map(({ name, value }) => `${name} ${value?.toPrecision(3) ?? "–"}`).join(", ");
  const colours = {
    paper: "#ffffff",
    ink: "#1c2127",
    muted: "#5b6570",
    hairline: "#d9dee4",
    "series-1": "#0068a8",
  };
  let svg = dotChart(rows, { ...options, label }).text.replace(
    "<svg ",
    '<svg xmlns="http://www.w3.org/2000/svg" ',
  );
  for (const [name, colour] of Object.entries(colours)) svg = svg.replaceAll(`var(--${name})`, colour);
  return `${
    svg.replace(/<svg [^>]*>/, (open) =>
      `${open}<rect width="100%" height="100%" fill="#ffffff"/>` +
      "<style>text{font-family:system-ui,sans-serif;font-size:11px;fill:#1c2127}</style>")
  }\n`;
}
