import type { NamedSummary } from "./summary_table.ts";
import { type Column, type Row, textTable } from "./table.ts";
import type { Summary } from "../evaluate/summary.ts";

/** A model of one round, its kind over all of them, and what it has seen. */
export interface RoundModel extends NamedSummary {
  readonly summary: Summary;
  /** "aft-dc"; the model of round 0, which all start from, has its own. */
  readonly kind: string;
  /** The round that made it; 0 for what all start from. */
  readonly round: number;
  /** Tokens of the candidates that it and those before it learned from. */
  readonly sampledTokens: number;
}

/** Accuracy after each round, a row a kind. */
export function roundsOf(models: readonly RoundModel[]): { columns: Column[]; rows: Row[] } {
  const start = models.find(({ round }) => round === 0);
  const kinds = [...new Set(models.filter(({ round }) => round > 0).map(({ kind }) => kind))];
  const last = Math.max(0, ...models.map(({ round }) => round));
  const columns: Column[] = [
    { key: "kind", title: "accuracy by round" },
    ...Array.from({ length: last + 1 }, (_, round) => ({
      key: `round${round}`,
      title: round === 0 ? "start" : String(round),
      percent: true,
      digits: 1,
    })),
    { key: "sampled", title: "sampled tokens", digits: 0 },
  ];
  const rows = kinds.map((kind): Row => {
    const own = models.filter((model) => model.kind === kind);
    return {
      kind,
      round0: start?.summary.accuracy,
      ...Object.fromEntries(own.map(({ round, summary }) => [`round${round}`, summary.accuracy])),
      sampled: own.at(-1)?.sampledTokens,
    };
  });
  return { columns, rows };
}

/** The same for a terminal. */
export function roundsTable(models: readonly RoundModel[]): string {
  const { columns, rows } = roundsOf(models);
  return textTable(columns, rows);
}
