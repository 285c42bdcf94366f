import { assessmentAccuracy } from "../objectives/statistics.ts";
import { fixed } from "./fixed.ts";
import { Markup, markup } from "./_markup.ts";
import type { ReportExample, ReportModel } from "./contents.ts";
import { stripChart } from "./strip_chart.ts";

type Candidate = ReportExample["candidates"][number];

/** Questions with their candidates' scores under every model. */
export function exampleSection(
  examples: readonly ReportExample[],
  models: readonly ReportModel[],
): Markup | false {
  return examples.length > 0 && markup`<section aria-labelledby="examples">
<h2 id="examples">Examples</h2>
<p class="note">Each strip is a model, each mark a candidate answer at the score that the model gives it (mean log-prob per
token). A well calibrated model has all right candidates to the right of all wrong ones. The thin lines follow a
candidate from model to model. At the end of a strip, in order: the share of (right, wrong) pairs of which the model finds the right
one likelier; 100% is best.</p>
<ul class="legend">
<li>${mark(true)} right: reaches the answer</li>
<li>${mark(false)} wrong</li>
${
    examples.some(({ candidates }) => candidates.some(({ correct }) => correct === undefined)) &&
    markup`<li>${mark(undefined)} not judged</li>`
  }</ul>
${examples.map((example, i) => exampleItem(example, { models, open: i === 0 }))}
</section>`;
}

function exampleItem(
  { question, answer, reference, candidates }: ReportExample,
  { models, open }: { readonly models: readonly ReportModel[]; readonly open: boolean },
): Markup {
  const names = namesOf(candidates, models);
  const strips = names.map((name) => {
    const share = pairsInOrder(candidates, name);
    return { name, note: share === undefined ? undefined : `${Math.round(share * 100)}%` };
  });
  const label = strips.map(({ name, note }) =>
    note === undefined ? name : `${name} has ${note} of pairs in order`
  );
  const items = candidates.map(({ text, correct, scores }, i) => {
    const each = names.map((name) => markup`<li>${name} ${scoreText(scoreOf(scores, name))}</li>`);
    return markup`<li>
<p class="kind ${kind(correct)}">${letter(i)} ${mark(correct)} ${
      correct === undefined ? "not judged" : kind(correct)
    }</p>
<p class="text" dir="auto">${text}</p>
<ul class="scores">${each}</ul></li>\n`;
  });
  return markup`<article class="example">
<div><h3 dir="auto">${question}</h3>
${labelled("Answer", answer)}${labelled("Reference", reference)}</div>
<figure>${
    stripChart(strips, {
      label: `Scores of ${candidates.length} candidates by model: ${label.join(", ")}`,
      candidates: candidates.map(({ correct, scores }, i) => ({
        letter: letter(i),
        correct,
        scores: names.map((name) => scoreOf(scores, name)),
      })),
    })
  }</figure>
${
    candidates.length > 0 && markup`<details${open && new Markup(" open")}>
<summary>The ${candidates.length} candidates and their scores</summary>
<ol class="candidates">${items}</ol></details>`
  }</article>\n`;
}

function labelled(label: string, text: string | undefined): Markup | false {
  return text !== undefined && markup`<p class="label">${label}</p><p class="text" dir="auto">${text}</p>\n`;
}

/** The models in the report's order, then others that have a score. */
function namesOf(candidates: readonly Candidate[], models: readonly ReportModel[]): string[] {
  const scored = new Set(candidates.flatMap(({ scores }) => Object.keys(scores)));
  const known = new Set(models.map(({ name }) => name));
  return [
    ...[...known].filter((name) => scored.has(name)),
    ...[...scored].filter((name) => !known.has(name)),
  ];
}

function scoreOf(scores: Candidate["scores"], name: string): number | undefined {
  return Object.hasOwn(scores, name) && Number.isFinite(scores[name]) ? scores[name] : undefined;
}

function pairsInOrder(candidates: readonly Candidate[], name: string): number | undefined {
  const judged = candidates.filter(({ correct, scores }) =>
    correct !== undefined && scoreOf(scores, name) !== undefined
  );
  return assessmentAccuracy({
    scores: judged.map(({ scores }) => scores[name]!),
    lengths: judged.map(() => 1), // scores are means already
    correct: judged.map(({ correct }) => correct!),
  });
}

/** A, B, …, Z, AA, AB, … */
function letter(i: number): string {
  return (i >= 26 ? letter(Math.floor(i / 26) - 1) : "") + String.fromCharCode(65 + i % 26);
}

function kind(correct: boolean | undefined): "right" | "wrong" | "unknown" {
  return correct === undefined ? "unknown" : correct ? "right" : "wrong";
}

const shapes = {
  right: markup`<circle cx="6" cy="6" r="4.5" fill="currentColor"/>`,
  wrong: markup`<path d="M2 2 10 10M2 10 10 2" fill="none" stroke="currentColor" stroke-width="2.2"/>`,
  unknown:
    markup`<path d="M6 1.5 10.5 6 6 10.5 1.5 6Z" fill="none" stroke="currentColor" stroke-width="1.5"/>`,
};

/** The mark that a candidate of this kind has in the plots. */
function mark(correct: boolean | undefined): Markup {
  const name = kind(correct);
  return markup`<svg class="${name}" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">${
    shapes[name]
  }</svg>`;
}

function scoreText(score: number | undefined): string {
  return score === undefined ? "–" : fixed(score, 3).replace("-", "−");
}
