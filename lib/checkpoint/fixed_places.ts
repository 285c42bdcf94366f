/** What an adapter does besides low-rank updates: DoRA's lengths, an update of the head, rows of single tokens. */

import { InputError } from "../runtime/errors.ts";
import { adaptedEmbedding, adaptedProjections, embeddingModule, headModule } from "./adapted.ts";
import type { AdapterFiles } from "./adapter_config.ts";
import { adapterTensor, type AdapterTensors } from "./adapter_tensors.ts";
import type { DecoderConfig } from "./config.ts";
import type { FixedUpdates } from "./fixed_updates.ts";
import type { Lora } from "./lora.ts";
import { isTargeted } from "./peft_patterns.ts";

/** What is known of the adapter, and the error for one that fits another base. */
export interface OtherUpdates {
  readonly tensors: AdapterTensors;
  readonly other: (why: string) => InputError;
  /** Whether the embedding has a low-rank update. */
  readonly embeddingUpdated: boolean;
  /** The layers' modules that have one. */
  readonly modules: readonly string[];
  /** Names of parameters that the adapter brings whole. */
  readonly saved: readonly string[];
}

/**
 * The adapter's further updates; undefined where it has none.
 *
 * @throws {InputError} when tensors and config do not agree, or a matrix would be changed in two ways
 */
export function fixedUpdatesOf(
  files: AdapterFiles,
  config: DecoderConfig,
  about: OtherUpdates,
): FixedUpdates | undefined {
  const head = hasHead(files, about), tokens = tokensOf(files, config, about);
  const { directory } = files,
    twice = (what: string, ways: string) =>
      new InputError(`Cannot load adapter ${directory}: it has the ${what} twice: ${ways}`);
  const update = "as a low-rank update", rows = "as rows of single tokens (trainable_token_indices)";
  const whole = "as a whole (modules_to_save)";
  if (head && about.saved.includes("head")) throw twice("head", `${whole}, and ${update}`);
  for (const name of ["embedding", "head"] as const) {
    // Rows of an embedding are the head's too where both are one.
    if (!tokens?.[name] && !(name === "head" && config.tiedHead && tokens?.embedding)) continue;
    if (about.saved.includes(name)) throw twice(name, `${whole}, and ${rows}`);
    if (name === "embedding" ? about.embeddingUpdated : head) throw twice(name, `${update}, and ${rows}`);
  }
  checkMagnitudes(files, about, [
    ...about.modules,
    ...(about.embeddingUpdated ? [embeddingModule(config)] : []),
    ...(head ? [headModule] : []),
  ]);
  if (!head && !tokens && !files.dora) return undefined;
  return { ...(files.dora && { magnitudes: true }), ...(head && { head }), ...(tokens && { tokens }) };
}

/** Whether the head has a low-rank update. */
function hasHead({ directory, rules }: AdapterFiles, { tensors, other }: OtherUpdates): boolean {
  const stored = tensors.factors.get(headModule), wanted = isTargeted(headModule, rules);
  if (wanted === true && !stored) {
    throw other(
      `tensor "${adapterTensor.factor(headModule, "A")}" is missing, which target_modules asks for`,
    );
  }
  if (wanted === false && stored) {
    throw new InputError(
      `Cannot load adapter ${directory}: tensor "${
        stored.A ?? stored.B
      }" lies where adapter_config.json wants no ` +
        "update (target_modules, exclude_modules, layers_to_transform)",
    );
  }
  return stored !== undefined;
}

/** DoRA's lengths lie where there are updates, and only if the config has them. */
function checkMagnitudes(
  { directory, dora }: AdapterFiles,
  { tensors }: OtherUpdates,
  updated: readonly string[],
): void {
  for (const [module, stored] of tensors.magnitudes) {
    if (dora && updated.includes(module)) continue;
    throw new InputError(
      `Cannot load adapter ${directory}: tensor "${stored}" lies where ${
        dora ? "no matrix has an update" : "adapter_config.json wants none (use_dora)"
      }`,
    );
  }
  const missing = dora ? updated.find((module) => !tensors.magnitudes.has(module)) : undefined;
  if (missing === undefined) return;
  throw new InputError(
    `Cannot load adapter ${directory}: tensor "${
      adapterTensor.magnitude(missing)
    }" is missing, which use_dora asks for`,
  );
}

/** Tokens whose rows are the adapter's, by parameter. */
function tokensOf(
  { directory, tokens }: AdapterFiles,
  config: DecoderConfig,
  { tensors }: OtherUpdates,
): FixedUpdates["tokens"] {
  const embedding = embeddingModule(config);
  const found: { embedding?: readonly number[]; head?: readonly number[] } = {};
  for (const [name, ids] of tokens) {
    const refused = (why: string) =>
      new InputError(
        `Cannot load adapter ${directory}: trainable_token_indices ${name && `of "${name}" `}${why}`,
      );
    const parameter = embedding.endsWith(name) ? "embedding" : headModule.endsWith(name) ? "head" : undefined;
    if (parameter === undefined) throw refused("is not supported: embedding and head are read");
    if (parameter === "head" && config.tiedHead) {
      throw refused(
        "is not supported on a base whose head is its embedding: the embedding's rows are the head's",
      );
    }
    const beyond = ids.find((id) => id >= config.vocabularySize);
    if (beyond !== undefined) {
      throw refused(`names token ${beyond}: the base has ${config.vocabularySize} rows`);
    }
    if (found[parameter]) throw refused(`is the ${parameter}'s a second time`);
    found[parameter] = ids;
  }
  for (const [module, stored] of tensors.tokens) {
    if (module === embedding ? found.embedding : module === headModule && found.head) continue;
    throw new InputError(
      `Cannot load adapter ${directory}: tensor "${stored}" lies where adapter_config.json wants none ` +
        "(trainable_token_indices)",
    );
  }
  return found.embedding || found.head ? found : undefined;
}

/**
 * The tensors of the further updates by what their numbers are called: `NAME.magnitude`, an updated parameter's lengths
 * (of its parts, one after the other), and `NAME.tokens`, rows.
 *
 * @param expect gives back a tensor's name when it has that shape, and throws otherwise
 */
export function fixedTensors(
  config: DecoderConfig,
  lora: Lora,
  { tensors, expect }: Pick<OtherUpdates, "tensors"> & {
    readonly expect: (name: string, stored: string | undefined, shape: readonly number[]) => string;
  },
): Map<string, readonly string[]> {
  const { magnitudes, tokens = {} } = lora.fixed ?? {}, found = new Map<string, readonly string[]>();
  const lengths = ({ module, rows }: { readonly module: string; readonly rows: number }) =>
    expect(adapterTensor.magnitude(module), tensors.magnitudes.get(module), [rows]);
  if (magnitudes) {
    for (const { name, parts } of adaptedProjections(config, lora)) {
      found.set(`${name}.magnitude`, parts.map(lengths));
    }
    const embedding = adaptedEmbedding(config, lora);
    if (embedding) found.set("embedding.magnitude", [lengths({ ...embedding, rows: config.hiddenSize })]);
  }
  for (const [name, ids] of Object.entries(tokens)) {
    const module = name === "head" ? headModule : embeddingModule(config),
      shape = [ids.length, config.hiddenSize];
    found.set(`${name}.tokens`, [expect(adapterTensor.tokens(module), tensors.tokens.get(module), shape)]);
  }
  return found;
}
