import * as Plot from "@observablehq/plot";
import { type Markup, markup } from "./_markup.ts";
import { extent, padded, plotSvg, type PlotText, shorten, shortNumber } from "./_plot_svg.ts";

/** One candidate of a strip chart. */
export interface StripCandidate {
  /** What stands above its marks: a letter. */
  readonly letter: string;
  /** Its kind: a filled blue circle, an orange cross, or a grey diamond when it is not known. */
  readonly correct?: boolean | undefined;
  /** Its score in every strip, in nats per token. */
  readonly scores: readonly (number | undefined)[];
}

/** One strip of a strip chart: a model. */
export interface Strip {
  /** Stands at its left; cut after 16 characters. */
  readonly name: string;
  /** The share of pairs in order, as written at its right end. */
  readonly note?: string | undefined;
}

/** Least distance of two letters, in units of the drawing. */
const letterGap = 11;
const width = 420;
const noteTitle = "in order";

/**
 * The scores of one question's candidates, a strip a model, each candidate's marks joined by a thin line, so that
 * one sees right and wrong ones part (or not) from one model to the next.
 */
export function stripChart(
  strips: readonly Strip[],
  options: PlotText & { readonly candidates: readonly StripCandidate[] },
): Markup {
  const marks = options.candidates.flatMap(({ letter, correct, scores }) =>
    strips.flatMap((_, row) => {
      const score = scores[row];
      return score === undefined || !Number.isFinite(score) ? [] : [{ letter, correct, row, score }];
    })
  );
  const range = extent(marks.map(({ score }) => score));
  if (!range) return markup`<p class="empty">Not scored</p>`;
  const names = strips.map(({ name }) => shorten(name, 16));
  const marginLeft = 18 + 6.3 * Math.max(...names.map((name) => name.length)), marginRight = 62;
  const domain = padded(range, 0.06);
  const letters = placeLetters(
    options.candidates.flatMap(({ letter, correct }) => {
      const first = marks.find((mark) => mark.letter === letter);
      return first ? [{ letter, correct, row: -1, score: first.score }] : [];
    }),
    { domain, gap: letterGap * (domain[1] - domain[0]) / (width - marginLeft - marginRight) },
  );
  const of = (kind: boolean | undefined) => marks.filter(({ correct }) => correct === kind);
  const place = { x: "score", y: "row" };
  const colour = ({ correct }: { correct?: boolean }) =>
    correct === undefined ? "var(--muted)" : correct ? "var(--right)" : "var(--wrong)";
  return plotSvg({
    width,
    height: 64 + strips.length * 28,
    marginLeft,
    marginRight,
    marginTop: 2,
    marginBottom: 38,
    x: {
      label: "score (nats per token): further right, more likely",
      labelAnchor: "center",
      labelArrow: "none",
      labelOffset: 33,
      domain,
      ticks: 5,
      tickFormat: shortNumber,
    },
    y: {
      type: "band",
      domain: [-1, ...strips.keys()],
      label: null,
      tickSize: 0,
      tickFormat: (row: number) => names[row] ?? "",
    },
    color: { type: "identity" },
    marks: [
      Plot.ruleY(strips.keys(), { stroke: "currentColor", strokeOpacity: 0.15 }),
      Plot.line([...letters, ...marks], {
        ...place,
        z: "letter",
        stroke: colour,
        strokeOpacity: 0.4,
        strokeWidth: 1,
      }),
      Plot.dot(of(true), { ...place, r: 4.5, fill: "var(--right)" }),
      Plot.dot(of(false), { ...place, r: 5, symbol: "times", stroke: "var(--wrong)", strokeWidth: 2.2 }),
      Plot.dot(of(undefined), {
        ...place,
        r: 4,
        symbol: "diamond",
        stroke: "var(--muted)",
        strokeWidth: 1.5,
      }),
      Plot.text(letters, {
        ...place,
        text: "letter",
        fill: colour,
        fontWeight: 600,
        stroke: "var(--paper)",
        strokeWidth: 4,
      }),
      Plot.text(strips.some(({ note }) => note !== undefined) ? [noteTitle] : [], {
        y: () => -1,
        text: (title) => title,
        frameAnchor: "right",
        textAnchor: "end",
        dx: marginRight - 4,
        fill: "var(--muted)",
      }),
      Plot.text(strips.flatMap(({ note }, row) => note === undefined ? [] : [{ note, row }]), {
        y: "row",
        text: "note",
        frameAnchor: "right",
        textAnchor: "end",
        dx: marginRight - 4,
        fontVariant: "tabular-nums",
      }),
    ],
  }, options);
}

/** Moves letters apart until none is nearer to the next than `gap`, their order kept, within the domain if they fit. */
function placeLetters<T extends { score: number }>(
  letters: readonly T[],
  { domain, gap }: { readonly domain: readonly [number, number]; readonly gap: number },
): T[] {
  const placed = letters.map((letter) => ({ ...letter })).sort((a, b) => a.score - b.score);
  let least = -Infinity;
  for (const letter of placed) {
    letter.score = Math.max(letter.score, least);
    least = letter.score + gap;
  }
  // What was pushed out at the right comes back, and pushes the others left.
  let limit = domain[1];
  for (const letter of placed.toReversed()) {
    letter.score = Math.min(letter.score, limit);
    limit = letter.score - gap;
  }
  return placed;
}
