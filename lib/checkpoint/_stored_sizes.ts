/** What config.json counts, held against the weights that are there: before anything is made of the numbers. */

import { InputError } from "../runtime/errors.ts";
import type { TensorInfo } from "./safetensors.ts";
import { openTensors } from "./sharded_tensors.ts";

/** Layers that no decoder comes near. */
const MOST_LAYERS = 65_536;
/** More layers than this are looked for in the weights before anything counts up to them. */
const MANY_LAYERS = 1024;

/** The field that counts layers, and its value, where there is one. */
function layersOf(json: unknown): { readonly field: string; readonly layers: number } | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  for (const field of ["num_hidden_layers", "n_layer"]) {
    const layers = (json as Record<string, unknown>)[field];
    if (typeof layers === "number") return { field, layers };
  }
  return undefined;
}

/** How many layers the names of tensors tell of. */
function storedLayers(names: Iterable<string>): number {
  const layers = new Set<string>();
  for (const name of names) {
    const [, layer] = name.match(/^(?:model\.|transformer\.)?(?:layers|h)\.(\d+)\./) ?? [];
    if (layer !== undefined) layers.add(layer);
  }
  return layers.size;
}

/**
 * Refuses a config.json that asks for more layers than the weights have. Throws InputError.
 *
 * @param where its path
 */
export function checkLayers(json: unknown, where: string, tensors: ReadonlyMap<string, TensorInfo>): void {
  const asked = layersOf(json), held = storedLayers(tensors.keys());
  if (asked === undefined || asked.layers <= held) return;
  throw new InputError(
    `Cannot read ${where}: field "${asked.field}" is ${asked.layers}, but the weights beside it have ${held} ` +
      `${held === 1 ? "layer" : "layers"}`,
  );
}

/** The same, of a number that would take memory or time itself, whether or not the weights are there yet. */
export async function checkManyLayers(json: unknown, directory: string, where: string): Promise<void> {
  const asked = layersOf(json);
  if (asked === undefined || !(asked.layers > MANY_LAYERS)) return;
  const source = await openTensors(directory).catch(() => undefined);
  await source?.close();
  if (source) checkLayers(json, where, source.tensors);
  if (asked.layers <= MOST_LAYERS) return;
  throw new InputError(
    `Cannot read ${where}: field "${asked.field}" must be a positive integer of at most ${MOST_LAYERS}: got ` +
      asked.layers,
  );
}

/** What rows and columns of each parameter are, by the end of its name. */
const sizes: readonly (readonly [RegExp, rows: keyof typeof names, columns?: keyof typeof names])[] = [
  [/^(embedding|head)$/, "vocabulary", "hidden"],
  [/^positions$/, "positions", "hidden"],
  [/\b(gate_up|up)$/, "intermediate", "hidden"],
  [/\bdown$/, "hidden", "intermediate"],
  [/\bqkv$/, "heads", "hidden"],
  [/\boutput$/, "hidden", "heads"],
  [/\bnorm[12]?(_bias)?$/, "hidden"],
];

/** The fields that give each size, in the families' words. */
const names = {
  vocabulary: ["vocab_size"],
  hidden: ["hidden_size", "n_embd"],
  intermediate: ["intermediate_size", "n_inner"],
  positions: ["n_positions"],
  heads: ["num_attention_heads", "num_key_value_heads", "head_dim"],
} as const;

/** Which fields ask for the sizes that a stored tensor does not have, as ` (vocab_size 2000000000)`; empty where none is known. */
export function askedBy(
  raw: Readonly<Record<string, unknown>>,
  parameter: string,
  { expected, found, transposed }: {
    readonly expected: readonly number[];
    readonly found: readonly number[];
    readonly transposed: boolean;
  },
): string {
  const [, ...kinds] = sizes.find(([name]) => name.test(parameter)) ?? [/./];
  const ordered = transposed ? kinds.toReversed() : kinds;
  const asked = ordered.filter((kind, i) => kind !== undefined && expected[i] !== found[i])
    .flatMap((kind) => names[kind!]).filter((field) => typeof raw[field] === "number");
  return asked.length === 0 ? "" : ` (${asked.map((field) => `${field} ${raw[field]}`).join(", ")})`;
}
