import { type Markup, markup } from "./_markup.ts";
import { htmlTable } from "./html_table.ts";
import { lineChart } from "./plots.ts";
import { type RoundModel, roundsOf } from "./rounds_table.ts";

/** Accuracy over the rounds, as a table and as lines; false where there was one round. */
export function roundsSection(models: readonly RoundModel[]): Markup | false {
  if (!models.some(({ round }) => round > 1)) return false;
  const { columns, rows } = roundsOf(models);
  const start = models.find(({ round }) => round === 0);
  const series = rows.map(({ kind }) => ({
    name: String(kind),
    points: [...(start ? [start] : []), ...models.filter((model) => model.kind === kind)].map((model) =>
      [model.round, model.summary.accuracy] as const
    ),
  }));
  const [head, ...others] = columns;
  return markup`<section aria-labelledby="rounds">
<h2 id="rounds">Accuracy by round</h2>
${
    htmlTable([{ ...head!, title: "Model" }, ...others], {
      rows,
      caption:
        "Share of test problems solved by greedy answers after each round. Each round samples from the newest model of " +
        "its row. Sampled tokens: of all candidates that were kept and learned from; the control has none.",
    })
  }
<figure>${
    lineChart(series, {
      label: `Accuracy by round: ${
        rows.map(({ kind }) => String(kind)).join(", ")
      }; the numbers are in the table above`,
      x: "round",
      y: "accuracy",
      percent: true,
      legend: true,
      width: 420,
      height: 240,
    })
  }</figure>
</section>`;
}
