/** Whether the form in which candidates state their answers tells the better from the worse, before any loss learns it. */

import type { Watched } from "../runtime/listener.ts";
import { findAnswer } from "../data/answers.ts";
import type { Group } from "../data/records.ts";
import { feedbackKinds, meritOf } from "../objectives/feedback.ts";
import type { Feedback } from "../objectives/objective.ts";

/** When the check speaks. */
export interface FormatCheckOptions {
  /** Share of pairs that the form alone orders rightly (default 0.6; 0.5 is none). */
  readonly threshold?: number;
  /** The same of the source alone, which may differ in quality as well (default 0.9). */
  readonly sourceThreshold?: number;
  /** Fewest pairs to speak of (default 20). */
  readonly pairs?: number;
  /** What pairs are made of: the first kind that all candidates of a group have (default labels, ranks, rewards). */
  readonly feedback?: readonly Feedback[] | undefined;
}

/** What a check found. */
export interface FormatFinding {
  /** Pairs of a better and a worse candidate of the same question. */
  readonly pairs: number;
  /** Share of them that the best rule on forms alone would order rightly, a tie counting half: 0.5 … 1. */
  readonly accuracy: number;
  /** The two forms that add most to it: the better one, the worse one, and how often it is so and the other way round. */
  readonly strongest?: {
    readonly better: string;
    readonly worse: string;
    readonly for: number;
    readonly against: number;
  };
}

/** More distinct forms or sources than this are "other": memory stays bounded whatever comes. */
const MOST_FORMS = 64;
/** Two forms that meet less often say nothing: any few pairs can be ordered by a rule made for them. */
const FEWEST_MEETINGS = 10;

/**
 * The form of a response's ending: its last line with numbers as 0, letters that name an option as X, and long lines
 * cut to their last words. `#### 18` and `#### 1,234.5` are `#### 0`, `A: 18` is `A: 0`, `The answer is (B).` is
 * `The answer is (X).`; of running text only the end stays, as in `… 0 0.`
 */
export function endingForm(text: string): string {
  const line = text.trimEnd().split("\n").at(-1)!.trim().slice(-400);
  const masked = line.replace(/[-−–]?[$€£]?\d+(?:[.,/]\d+)*/g, (number) => /[$€£]/.test(number) ? "$0" : "0")
    .replace(/(?<![\p{L}\d:])[A-Z](?![\p{L}\d:])/gu, "X");
  const words = masked.split(/\s+/);
  if (words.length <= 5 && masked.length <= 40) return words.join(" ");
  // Running text: which words it holds is content, and only the number and the stop at its end are form.
  const last = words.at(-1)!;
  return `… ${last.replace(/\p{L}+/gu, "a").slice(-20)}`;
}

/** How often, in pairs, each form was the better and another the worse one. */
class PairTable {
  readonly #names = new Map<string, number>();
  readonly #wins = new Map<number, number>();

  add(better: string, worse: string): void {
    const key = this.#index(better) * (MOST_FORMS + 1) + this.#index(worse);
    this.#wins.set(key, (this.#wins.get(key) ?? 0) + 1);
  }

  /**
   * accuracy = [Σ_f n_ff / 2 + Σ_{f<g} max(n_fg, n_gf)] / Σ n, where n_fg counts the pairs whose better one has form f
   * and whose worse one has form g; two forms that meet fewer than 10 times add half of their pairs.
   */
  finding(): FormatFinding {
    const names = [...this.#names.keys()];
    const wins = (f: number, g: number) => this.#wins.get(f * (MOST_FORMS + 1) + g) ?? 0;
    let pairs = 0, right = 0, most = 0;
    let strongest: FormatFinding["strongest"];
    for (let f = 0; f < names.length; f++) {
      pairs += wins(f, f);
      right += wins(f, f) / 2;
      for (let g = f + 1; g < names.length; g++) {
        const [there, back] = [wins(f, g), wins(g, f)];
        const meetings = there + back;
        pairs += meetings;
        right += meetings < FEWEST_MEETINGS ? meetings / 2 : Math.max(there, back);
        if (meetings < FEWEST_MEETINGS || Math.abs(there - back) <= most) continue;
        most = Math.abs(there - back);
        const one = names[f]!, other = names[g]!;
        const [better, worse] = there > back ? [one, other] as const : [other, one] as const;
        strongest = { better, worse, for: Math.max(there, back), against: Math.min(there, back) };
      }
    }
    return { pairs, accuracy: pairs === 0 ? 0.5 : right / pairs, ...(strongest && { strongest }) };
  }

  #index(name: string): number {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    if (this.#names.size >= MOST_FORMS) name = "other";
    const index = this.#names.get(name) ?? this.#names.size;
    this.#names.set(name, index);
    return index;
  }
}

/**
 * A check that groups stream through: {@linkcode FormatCheck.add} each, and ask at the end. Its memory does not grow
 * with their number.
 *
 * The reference counts among the best, unless a candidate is equal to it, as in training; it has no source, being of
 * another one by nature. A candidate that broke off, and a wrong one that states no answer, are left out: that is why
 * they are wrong, and no accident of format.
 */
export class FormatCheck {
  readonly #endings = new PairTable();
  readonly #sources = new PairTable();

  constructor(readonly options: FormatCheckOptions = {}) {}

  /** Takes the pairs of a group into account. */
  add(group: Group): void {
    const entries = withMerits(group, this.options.feedback ?? feedbackKinds);
    for (const better of entries) {
      for (const worse of entries) {
        if (!(better.merit > worse.merit)) continue;
        this.#endings.add(better.form, worse.form);
        if (better.source !== undefined && worse.source !== undefined) {
          this.#sources.add(better.source, worse.source);
        }
      }
    }
  }

  /** What the endings' form alone would get right. */
  endings(): FormatFinding {
    return this.#endings.finding();
  }

  /** What the source alone would get right, in the pairs of which both sources are known. */
  sources(): FormatFinding {
    return this.#sources.finding();
  }

  /** A line for each that separates better from worse candidates. */
  warnings(): string[] {
    const { threshold = 0.6, sourceThreshold = 0.9, pairs = 20 } = this.options;
    const lines: string[] = [];
    const endings = this.endings(), sources = this.sources();
    if (endings.strongest && endings.pairs >= pairs && endings.accuracy >= threshold) {
      lines.push(
        `The form of the answer alone orders ${
          percent(endings.accuracy)
        } of ${endings.pairs} pairs (50% would be ` +
          `chance): ${
            describe(endings)
          }; a loss learns that instead of reasoning: scoring with option \`endings: normalize\` ` +
          "brings all into one form",
      );
    }
    if (sources.strongest && sources.pairs >= pairs && sources.accuracy >= sourceThreshold) {
      lines.push(
        `The source alone orders ${
          percent(sources.accuracy)
        } of ${sources.pairs} pairs (50% would be chance): ` +
          `${describe(sources)}; a loss may learn its style instead of reasoning`,
      );
    }
    return lines;
  }
}

/** Hands groups on as they are, and warns after the last one. */
export async function* checkFormats<G extends Group>(
  groups: AsyncIterable<G> | Iterable<G>,
  options: FormatCheckOptions & Pick<Watched, "listener">,
): AsyncGenerator<G> {
  const check = new FormatCheck(options);
  for await (const group of groups) {
    check.add(group);
    yield group;
  }
  for (const line of check.warnings()) options.listener?.warn?.(line);
}

interface Entry {
  readonly form: string;
  readonly source: string | undefined;
  /** Higher is better. */
  readonly merit: number;
}

function withMerits(group: Group, feedback: readonly Feedback[]): Entry[] {
  const { candidates, reference } = group;
  const kind = feedback.find((kind) =>
    candidates.every((candidate) => meritOf(kind, candidate) !== undefined)
  );
  if (kind === undefined) return [];
  const entries: Entry[] = [];
  let best = kind === "labels" ? 1 : -Infinity;
  for (const candidate of candidates) {
    const merit = meritOf(kind, candidate)!;
    best = Math.max(best, merit);
    const unanswered = () =>
      kind === "labels" && !candidate.correct && findAnswer(group, candidate.text) === null;
    if (candidate.finish === "length" || unanswered()) continue;
    entries.push({ form: endingForm(candidate.text), source: candidate.source, merit });
  }
  if (reference !== undefined && !candidates.some(({ text }) => text === reference)) {
    entries.push({ form: endingForm(reference), source: undefined, merit: best });
  }
  return entries;
}

function describe({ strongest }: FormatFinding): string {
  const { better, worse, for: there, against } = strongest!;
  return `${JSON.stringify(better)} is better than ${JSON.stringify(worse)} in ${there} of ${
    there + against
  }`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}
