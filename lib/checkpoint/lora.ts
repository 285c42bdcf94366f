/**
 * Low-rank adaptation (LoRA, arXiv 2106.09685): which matrices of a decoder get an update of low rank, and where its
 * factors lie.
 */

import type { Block } from "../kernels/product/block_product.ts";
import { UsageError } from "../runtime/errors.ts";
import { suggestion } from "../runtime/suggestion.ts";
import type { DecoderConfig } from "./config.ts";
import { parameterPlan } from "./parameter_plan.ts";

/** The projections of a layer that can have an adapter: four of attention, three of the feed-forward half. */
export const loraTargets: readonly LoraTarget[] = ["q", "k", "v", "o", "gate", "up", "down"];

/** One of {@linkcode loraTargets}. */
export type LoraTarget = "q" | "k" | "v" | "o" | "gate" | "up" | "down";

/** What an adapter is like. */
export interface Lora {
  /** Rank of each update. */
  readonly r: number;
  /** Updates are scaled by alpha/r. */
  readonly alpha: number;
  /** Which projections it changes (default: all that the model has). */
  readonly targets?: readonly LoraTarget[];
  /** Share of the adapter's inputs that training zeroes (default 0). */
  readonly dropout?: number;
}

/** The part of an adapter that changes one of the checkpoint's matrices. */
export interface AdaptedPart extends Block {
  /** The matrix's path in transformers, such as `model.layers.0.self_attn.q_proj`. */
  readonly module: string;
}

/**
 * A parameter of the decoder with low-rank updates of some runs of its rows:
 * W[column_p … column_p + rows_p − 1] + (alpha/r)·B_p·A_p.
 *
 * The A_p [r, in] of all parts lie one below the other in one parameter, `NAME.lora_a` [T·r, in], and the B_p
 * [rows_p, r] in another, `NAME.lora_b` [Σ rows_p, r], so that x is multiplied once for all parts.
 */
export interface AdaptedProjection {
  /** The parameter's name, such as `layers.0.qkv`. */
  readonly name: string;
  /** Columns of the parameter. */
  readonly inputs: number;
  /** In the order of their rows. */
  readonly parts: readonly AdaptedPart[];
}

/** The targets in a module, by the end of its path. GPT-2 keeps q, k and v in one. */
const targetsOf: readonly (readonly [ending: string, targets: readonly LoraTarget[]])[] = [
  ["self_attn.q_proj", ["q"]],
  ["self_attn.k_proj", ["k"]],
  ["self_attn.v_proj", ["v"]],
  ["self_attn.o_proj", ["o"]],
  ["mlp.gate_proj", ["gate"]],
  ["mlp.up_proj", ["up"]],
  ["mlp.down_proj", ["down"]],
  ["attn.c_attn", ["q", "k", "v"]],
  ["attn.c_proj", ["o"]],
  ["mlp.c_fc", ["up"]],
  ["mlp.c_proj", ["down"]],
];

/** The targets in the module with that path; none when it can have no adapter. */
export function targetsIn(module: string): readonly LoraTarget[] {
  return targetsOf.find(([ending]) => module.endsWith(`.${ending}`))?.[1] ?? [];
}

/**
 * Reads `r=16,alpha=32,targets=q,k,v,o,gate,up,down,dropout=0`, every key optional: r 16, alpha 2·r, all targets, no
 * dropout.
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
    if (equals < 0 && last === "targets") {
      values.targets.push(word);
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
  const number = (key: string, fallback: number, holds: (n: number) => boolean, expected: string) => {
    if (!(key in values)) return fallback;
    const n = values[key][0] === "" ? NaN : Number(values[key][0]);
    if (!holds(n)) {
      throw new UsageError(
        `Cannot read option \`lora\`: ${key} must be ${expected}: got "${values[key][0]}"`,
      );
    }
    return n;
  };
  const r = number("r", 16, (n) => Number.isSafeInteger(n) && n >= 1, "a whole number of at least 1");
  const alpha = number("alpha", 2 * r, (n) => n > 0 && Number.isFinite(n), "a number above 0");
  const dropout = number("dropout", 0, (n) => n >= 0 && n < 1, "a number from 0 to below 1");
  for (const name of values.targets ?? []) {
    if (!(loraTargets as readonly string[]).includes(name)) throw unknown("target", name, loraTargets);
  }
  return { r, alpha, dropout, ...(values.targets && { targets: values.targets as LoraTarget[] }) };
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
  for (const key of Object.keys(lora)) if (!keys.includes(key)) throw unknown("key", key, keys);
  const { r, alpha, targets, dropout = 0 } = lora;
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
  return lora;
}

/** An adapter as {@linkcode parseLora} reads it. */
export function formatLora({ r, alpha, targets, dropout }: Lora): string {
  const parts = [`r=${r}`, `alpha=${alpha}`];
  if (targets) parts.push(`targets=${targets.join(",")}`);
  if (dropout) parts.push(`dropout=${dropout}`);
  return parts.join(",");
}

const keys = ["r", "alpha", "targets", "dropout"];

function unknown(what: string, name: string, known: readonly string[]): UsageError {
  return new UsageError(
    `Cannot read option \`lora\`: unknown ${what} "${name}", expected ${known.join(", ")}${
      suggestion(name, known)
    }`,
  );
}

/**
 * The parameters that an adapter changes, in the order of the plan.
 *
 * @throws {UsageError} for a target that the model does not have
 */
export function adaptedProjections(config: DecoderConfig, lora: Lora): AdaptedProjection[] {
  const wanted = new Set<LoraTarget>(lora.targets ?? loraTargets), found = new Set<LoraTarget>();
  const projections: AdaptedProjection[] = [];
  for (const { name, shape, parts } of parameterPlan(config)) {
    if (shape.length !== 2 || !name.startsWith("layers.")) continue;
    const adapted: AdaptedPart[] = [];
    let column = 0, row = 0;
    for (const { tensor, rows } of parts) {
      const module = tensor.replace(/\.weight$/, ""), targets = targetsIn(module);
      const chosen = targets.filter((target) => wanted.has(target));
      if (chosen.length > 0 && chosen.length < targets.length) {
        throw new UsageError(
          `Cannot adapt ${chosen.join(" and ")} alone: a ${config.modelType} model keeps ${
            targets.join(", ")
          } in one matrix; name all of them or none`,
        );
      }
      if (chosen.length > 0) {
        adapted.push({ module, column, rows, row });
        chosen.forEach((target) => found.add(target));
        row += rows;
      }
      column += rows;
    }
    if (adapted.length > 0) projections.push({ name, inputs: shape[1], parts: adapted });
  }
  for (const target of lora.targets ?? []) {
    if (!found.has(target)) {
      throw new UsageError(
        `Cannot adapt "${target}": a ${config.modelType} model has no such projection; its targets are ` +
          targetsOfModel(config).join(", "),
      );
    }
  }
  return projections;
}

/** The targets that a model of this kind has. */
export function targetsOfModel(config: DecoderConfig): LoraTarget[] {
  const has = new Set(
    parameterPlan(config).flatMap(({ parts }) =>
      parts.flatMap(({ tensor }) => targetsIn(tensor.replace(/\.weight$/, "")))
    ),
  );
  return loraTargets.filter((target) => has.has(target));
}

/** Shapes of a projection's two adapter parameters, by name. */
export function adapterShapes(projection: AdaptedProjection, { r }: Pick<Lora, "r">): [string, number[]][] {
  const { name, inputs, parts } = projection;
  return [
    [`${name}.lora_a`, [parts.length * r, inputs]],
    [`${name}.lora_b`, [parts.reduce((sum, part) => sum + part.rows, 0), r]],
  ];
}

/** Numbers of adapter parameters by name. */
export type AdapterValues = ReadonlyMap<string, Float32Array>;
