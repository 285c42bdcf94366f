/** The modules that an adapter brings whole, as PEFT's modules_to_save names them: embeddings, head and norms. */

import { UsageError } from "../runtime/errors.ts";
import type { DecoderConfig } from "./config.ts";
import type { Lora } from "./lora.ts";
import { parameterPlan } from "./parameter_plan.ts";

/** A parameter of which an adapter has its own numbers. */
export interface SavedParameter {
  /** Its name in the plan; `head` for the head of a model that ties it, which then has one of its own. */
  readonly name: string;
  /** Its tensor in transformers, such as `model.embed_tokens.weight`. */
  readonly tensor: string;
  readonly shape: readonly number[];
}

/** The module of a tensor. */
export function moduleOf(tensor: string): string {
  return tensor.replace(/\.(weight|bias)$/, "");
}

/** All that a model has of the kind. */
export function savableParameters(config: DecoderConfig): SavedParameter[] {
  const plan = parameterPlan(config);
  const found = plan.filter(({ name, shape }) =>
    shape.length === 2 ? !name.startsWith("layers.") : isNorm(name)
  )
    .map(({ name, shape, parts }) => ({ name, shape, tensor: parts[0]!.tensor }));
  const { vocabularySize, hiddenSize } = config;
  if (config.tiedHead) {
    found.push({ name: "head", tensor: "lm_head.weight", shape: [vocabularySize, hiddenSize] });
  }
  return found;
}

function isNorm(name: string): boolean {
  return /(^|\.)(norm[12]?|[qk]_norm)(_bias)?$/.test(name);
}

/** The projection that a name of {@linkcode Lora.modulesToSave} fits, or that lies in a module which it fits. */
export function projectionNamed(config: DecoderConfig, name: string): string | undefined {
  const own = new Set(savableParameters(config).map(({ tensor }) => tensor));
  return parameterPlan(config).flatMap(({ parts }) => parts.map(({ tensor }) => tensor))
    .filter((tensor) => !own.has(tensor)).map(moduleOf)
    .find((module) => ancestors(module).some((path) => path.endsWith(name)));
}

/** A module's path and those of the modules that it is in. */
function ancestors(module: string): string[] {
  const words = module.split(".");
  return words.map((_, i) => words.slice(0, i + 1).join("."));
}

/**
 * The parameters that {@linkcode Lora.modulesToSave} names, by PEFT's rule: every module whose path ends in one of the
 * names (`norm` is also `input_layernorm`). A name that fits nothing is nothing's.
 */
export function savedParameters(
  config: DecoderConfig,
  { modulesToSave = [] }: Pick<Lora, "modulesToSave">,
): SavedParameter[] {
  return savableParameters(config).filter(({ tensor }) =>
    modulesToSave.some((name) => moduleOf(tensor).endsWith(name))
  );
}

/**
 * Checks what a new adapter is to save.
 *
 * @throws {UsageError} for a name that fits nothing, or a projection of a layer
 */
export function checkModulesToSave(
  config: DecoderConfig,
  { modulesToSave = [], embedding = false }: Pick<Lora, "modulesToSave" | "embedding">,
): void {
  if (embedding && savedParameters(config, { modulesToSave }).some(({ name }) => name === "embedding")) {
    throw new UsageError("Cannot train the embedding twice: as a whole, and by a low-rank update");
  }
  for (const name of modulesToSave) {
    const projection = projectionNamed(config, name);
    if (projection !== undefined) {
      throw new UsageError(
        `Cannot train "${name}" as a whole beside an adapter: "${projection}" would be trained with it; embeddings, head ` +
          "and norms can be",
      );
    }
    if (savedParameters(config, { modulesToSave: [name] }).length > 0) continue;
    const known = [
      ...new Set(savableParameters(config).map(({ tensor }) => moduleOf(tensor).split(".").at(-1)!)),
    ];
    throw new UsageError(
      `Cannot train "${name}" as a whole: a ${config.modelType} model has ${known.join(", ")}`,
    );
  }
}
