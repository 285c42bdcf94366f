/**
 * Low-rank adaptation (LoRA, arXiv 2106.09685): what an adapter is like, as options and records say it.
 */

import { UsageError } from "../runtime/errors.ts";
import { suggestion } from "../runtime/suggestion.ts";
import type { FixedUpdates } from "./fixed_updates.ts";
import { checkPattern } from "./peft_patterns.ts";

/** The projections of a layer that can have an adapter: four of attention, three of the feed-forward half. */
export const loraTargets: readonly LoraTarget[] = ["q", "k", "v", "o", "gate", "up", "down"];

/** One of {@linkcode loraTargets}. */
export type LoraTarget = "q" | "k" | "v" | "o" | "gate" | "up" | "down";

/** What an adapter is like. Modules are named by their paths in transformers. */
export interface Lora {
  /** Rank of each update. */
  readonly r: number;
  /** Updates are scaled by alpha/r. */
  readonly alpha: number;
  /** Which projections it changes (default: all that the model has). */
  readonly targets?: readonly LoraTarget[] | undefined;
  /** Share of the adapter's inputs that training zeroes (default 0). */
  readonly dropout?: number;
  /** Scales by alpha/√r in place of alpha/r (rsLoRA, arXiv 2312.03732; default false). */
  readonly rankStabilized?: boolean;
  /** In which layers, counted from 0 (default: all). */
  readonly layers?: readonly number[];
  /** Which modules, by their whole paths, where targets and layers do not say it: they are then left out. */
  readonly modules?: readonly string[];
  /** Other ranks, by the end of a module's path, a regular expression; the first that fits counts (PEFT's rank_pattern). */
  readonly rankPattern?: Readonly<Record<string, number>>;
  /** Other alphas, likewise. */
  readonly alphaPattern?: Readonly<Record<string, number>>;
  /** Gives the token embedding a low-rank update too (default false). */
  readonly embedding?: boolean;
  /**
   * Modules that are trained as a whole, by the end of their paths: embeddings, head and norms, such as `embed_tokens`,
   * `lm_head` (PEFT's modules_to_save). The base keeps its own.
   */
  readonly modulesToSave?: readonly string[];
  /** What an adapter that was read does besides: it is served and cannot be trained, so a new one cannot have it. */
  readonly fixed?: FixedUpdates;
}

/**
 * Reads `r=16,alpha=32,targets=q,k,v,o,gate,up,down,dropout=0`, every key optional: r 16, alpha 2·r, all targets, no
 * dropout. Further keys: `layers=0,1`, `save=embed_tokens,lm_head` (modules trained as a whole), `rslora=true`.
 *
 * ```ts
 * import { parseLora } from "./mod.ts";
 *
 * const { r, alpha, targets } = parseLora("r=8,targets=q,v");
 * console.log(r, alpha, targets); // 8 16 [ "q", "v" ]
 * ```
 *
 * @throws {UsageError} for an unknown key or target, with a suggestion, and for a number that has no meaning
 */
export function parseLora(text: string): Lora {
  const values: Record<string, string[]> = {};
  let last: string | undefined;
  for (const word of text.split(",").map((part) => part.trim())) {
    const equals = word.indexOf("=");
    if (equals < 0 && last !== undefined && lists.includes(last)) {
      values[last]!.push(word);
      continue;
    }
    last = equals < 0 ? word : word.slice(0, equals);
    if (!keys.includes(last)) throw unknown("key", last, keys);
    if (last in values) throw new UsageError(`Cannot read option \`lora\`: key "${last}" is given twice`);
    if (equals < 0) {
      throw new UsageError(`Cannot read option \`lora\`: key "${last}" needs a value, as in r=16`);
    }
    values[last] = [word.slice(equals + 1)];
  }
  const number = (
    key: string,
    fallback: number,
    { holds, expected }: { readonly holds: (n: number) => boolean; readonly expected: string },
  ) => {
    if (!(key in values)) return fallback;
    const n = values[key][0] === "" ? NaN : Number(values[key][0]);
    if (!holds(n)) {
      throw new UsageError(
        `Cannot read option \`lora\`: ${key} must be ${expected}: got "${values[key][0]}"`,
      );
    }
    return n;
  };
  const r = number("r", 16, {
    holds: (n) => Number.isSafeInteger(n) && n >= 1,
    expected: "a whole number of at least 1",
  });
  const alpha = number("alpha", 2 * r, {
    holds: (n) => n > 0 && Number.isFinite(n),
    expected: "a number above 0",
  });
  const dropout = number("dropout", 0, {
    holds: (n) => n >= 0 && n < 1,
    expected: "a number from 0 to below 1",
  });
  for (const name of values.targets ?? []) {
    if (!(loraTargets as readonly string[]).includes(name)) throw unknown("target", name, loraTargets);
  }
  const { targets, layers, save, rslora: [stabilized] = [] } = values;
  if (stabilized !== undefined && stabilized !== "true" && stabilized !== "false") {
    throw new UsageError(`Cannot read option \`lora\`: rslora must be true or false: got "${stabilized}"`);
  }
  return checkLora({
    ...{ r, alpha, dropout },
    ...(targets && { targets: targets as LoraTarget[] }),
    ...(stabilized === "true" && { rankStabilized: true }),
    ...(layers && { layers: layers.map((layer) => /^\d+$/.test(layer) ? Number(layer) : NaN) }),
    ...(save && { modulesToSave: save }),
  });
}

/**
 * An adapter that a program describes, when it is one.
 *
 * @throws {UsageError} for an unknown key or target, with a suggestion, and for a value that has no meaning
 */
export function checkLora(lora: Lora): Lora {
  if (typeof lora !== "object" || lora === null) {
    throw new UsageError(`Cannot read option \`lora\`: it must be an object: got ${JSON.stringify(lora)}`);
  }
  for (const key of Object.keys(lora)) if (!fields.includes(key)) throw unknown("key", key, fields);
  const { r, alpha, targets, dropout = 0, layers, modules, modulesToSave } = lora;
  const refuse = (key: string, expected: string, found: unknown) => {
    const got = JSON.stringify(found) ?? "nothing";
    return new UsageError(`Cannot read option \`lora\`: ${key} must be ${expected}: got ${got}`);
  };
  if (!Number.isSafeInteger(r) || r < 1) throw refuse("r", "a whole number of at least 1", r);
  if (!(Number.isFinite(alpha) && alpha > 0)) throw refuse("alpha", "a number above 0", alpha);
  if (!(Number.isFinite(dropout) && dropout >= 0 && dropout < 1)) {
    throw refuse("dropout", "a number from 0 to below 1", dropout);
  }
  if (targets !== undefined && !Array.isArray(targets)) throw refuse("targets", "a list", targets);
  for (const name of targets ?? []) {
    if (!loraTargets.includes(name)) throw unknown("target", String(name), loraTargets);
  }
  const index = (layer: unknown) => Number.isSafeInteger(layer) && (layer as number) >= 0;
  if (layers !== undefined && !isList(layers, index)) {
    throw refuse("layers", "numbers of layers from 0 on", layers);
  }
  for (const [key, paths] of Object.entries({ modules, modulesToSave })) {
    const isPath = (path: unknown) => typeof path === "string" && path !== "";
    if (paths !== undefined && !isList(paths, isPath)) throw refuse(key, "paths of modules", paths);
  }
  for (const key of ["rankStabilized", "embedding"] as const) {
    const value = lora[key];
    if (value !== undefined && typeof value !== "boolean") throw refuse(key, "true or false", value);
  }
  const whole = (rank: unknown) => Number.isSafeInteger(rank) && (rank as number) >= 1;
  const above = (scale: unknown) => Number.isFinite(scale) && (scale as number) > 0;
  checkPattern(
    lora.rankPattern,
    whole,
    (found) => refuse("rankPattern", "ranks by regular expression", found),
  );
  checkPattern(
    lora.alphaPattern,
    above,
    (found) => refuse("alphaPattern", "alphas by regular expression", found),
  );
  return lora;
}

function isList(value: unknown, holds: (element: unknown) => boolean): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(holds);
}

/** An adapter as {@linkcode parseLora} reads it, and what only a program can ask for as JSON. */
export function formatLora(lora: Lora): string {
  const { r, alpha, targets, dropout, rankStabilized, layers, modulesToSave, ...more } = lora;
  const parts = [`r=${r}`, `alpha=${alpha}`];
  if (targets) parts.push(`targets=${targets.join(",")}`);
  if (dropout) parts.push(`dropout=${dropout}`);
  if (rankStabilized) parts.push("rslora=true");
  if (layers) parts.push(`layers=${layers.join(",")}`);
  if (modulesToSave) parts.push(`save=${modulesToSave.join(",")}`);
  for (const [key, value] of Object.entries(more)) parts.push(`${key}=${JSON.stringify(value)}`);
  return parts.join(",");
}

/** Keys of the option's text, and those whose values are lists. */
const keys = ["r", "alpha", "targets", "dropout", "layers", "save", "rslora"];
const lists = ["targets", "layers", "save"];
/** Fields of the option as an object. */
const fields: readonly string[] = [
  ...[
    "r",
    "alpha",
    "targets",
    "dropout",
    "rankStabilized",
    "layers",
    "modules",
    "rankPattern",
    "alphaPattern",
  ],
  ...["embedding", "modulesToSave"],
];

function unknown(what: string, name: string, known: readonly string[]): UsageError {
  return new UsageError(
    `Cannot read option \`lora\`: unknown ${what} "${name}", expected ${known.join(", ")}${
      suggestion(name, known)
    }`,
  );
}
