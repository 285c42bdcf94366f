/** Where an adapter changes its base: what its tensors say and what its config says, which must agree. */

import { InputError } from "../runtime/errors.ts";
import { adaptableModules, embeddingModule, headModule, targetsIn } from "./adapted.ts";
import type { AdapterFiles } from "./adapter_config.ts";
import { adapterTensor, type AdapterTensors } from "./adapter_tensors.ts";
import type { DecoderConfig } from "./config.ts";
import { fixedUpdatesOf } from "./fixed_places.ts";
import { type Lora, loraTargets } from "./lora.ts";
import { isTargeted } from "./peft_patterns.ts";
import { moduleOf, projectionNamed, savableParameters, savedParameters } from "./saved_modules.ts";

/** What is to be looked at. */
interface Found {
  readonly tensors: AdapterTensors;
  /** The error for an adapter that fits another base. */
  readonly other: (why: string) => InputError;
}

/**
 * Completes an adapter's description with its places: targets and layers, or modules where these do not say it.
 *
 * @throws {InputError} when the tensors are elsewhere than the config says, or where this decoder has nothing
 */
export function placesOf(files: AdapterFiles, config: DecoderConfig, found: Found): Lora {
  const { modulesToSave: _, ...lora } = files.lora;
  const embedding = hasEmbedding(files, config, found), modules = adaptedModules(files, config, found);
  const saved = savedNames(files, config, found);
  const savedAs = savedParameters(config, { modulesToSave: saved }).map(({ name }) => name);
  const fixed = fixedUpdatesOf(files, config, {
    ...found,
    ...{ embeddingUpdated: embedding, modules, saved: savedAs },
  });
  if (modules.length === 0 && !embedding && saved.length === 0 && !fixed?.head && !fixed?.tokens) {
    throw new InputError(`Cannot load adapter ${files.directory}: it has no tensors`);
  }
  if (embedding && savedAs.includes("embedding")) {
    throw new InputError(
      `Cannot load adapter ${files.directory}: it has the embedding twice: as a whole (modules_to_save), and as a ` +
        "low-rank update",
    );
  }
  const shared = embedding || fixed?.head || savedAs.includes("embedding") || savedAs.includes("head");
  if (files.tied && config.tiedHead && shared) {
    throw new InputError(
      `Cannot load adapter ${files.directory}: ensure_weight_tying true is not supported on a base whose head is its ` +
        "embedding",
    );
  }
  return {
    ...lora,
    ...modulesAsTargets(modules, config),
    ...(embedding && { embedding }),
    ...(saved.length > 0 && { modulesToSave: saved }),
    ...(fixed && { fixed }),
  };
}

/** The projections' modules that have an update. */
function adaptedModules({ directory, rules }: AdapterFiles, config: DecoderConfig, found: Found): string[] {
  const { factors } = found.tensors, all = adaptableModules(config).map(({ module }) => module);
  const stored = (module: string) => factors.get(module)!.A ?? factors.get(module)!.B!;
  for (const module of factors.keys()) {
    if (all.includes(module) || module === headModule) continue;
    if (targetsIn(module).length > 0) throw found.other(`it has no place for tensor "${stored(module)}"`);
    throw new InputError(
      `Cannot load adapter ${directory}: tensor "${
        stored(module)
      }" is no LoRA factor of a layer's projection`,
    );
  }
  for (const module of all) {
    const wanted = isTargeted(module, rules), has = factors.has(module);
    if (wanted === true && !has) {
      throw found.other(
        `tensor "${adapterTensor.factor(module, "A")}" is missing, which target_modules asks for`,
      );
    }
    if (wanted === false && has) {
      throw new InputError(
        `Cannot load adapter ${directory}: tensor "${
          stored(module)
        }" lies where adapter_config.json wants no update ` +
          "(target_modules, exclude_modules, layers_to_transform)",
      );
    }
  }
  return all.filter((module) => factors.has(module));
}

/** Modules as targets, and layers where these are not all; as they are, where that would name others too. */
function modulesAsTargets(
  modules: readonly string[],
  config: DecoderConfig,
): Pick<Lora, "targets" | "layers" | "modules"> {
  const all = adaptableModules(config), chosen = all.filter(({ module }) => modules.includes(module));
  const has = new Set(chosen.flatMap(({ targets }) => targets)),
    layers = [...new Set(chosen.map(({ layer }) => layer))];
  const product = all.filter(({ layer, targets }) =>
    layers.includes(layer) && targets.some((target) => has.has(target))
  );
  if (modules.length === 0 || product.length !== chosen.length) return { modules };
  const targets = loraTargets.filter((target) => has.has(target));
  return { targets, ...(layers.length < config.layers && { layers }) };
}

/** Whether the embedding has an update. */
function hasEmbedding({ rules }: AdapterFiles, config: DecoderConfig, found: Found): boolean {
  const { embeddings } = found.tensors, own = embeddingModule(config);
  for (const [module, { A, B }] of embeddings) {
    if (module !== own) throw found.other(`it has no place for tensor "${A ?? B}"`);
  }
  if (!embeddings.has(own) && isTargeted(own, rules) === true) {
    throw found.other(
      `tensor "${adapterTensor.embeddingFactor(own, "A")}" is missing, which target_modules asks for`,
    );
  }
  return embeddings.has(own);
}

/** The config's modules_to_save, or the modules' own paths where a name fits more than the file holds. */
function savedNames({ directory, lora }: AdapterFiles, config: DecoderConfig, found: Found): string[] {
  const { whole } = found.tensors, savable = savableParameters(config), asked = lora.modulesToSave ?? [];
  for (const name of asked) {
    const projection = projectionNamed(config, name);
    if (projection === undefined) continue;
    throw new InputError(
      `Cannot load adapter ${directory}: modules_to_save "${name}" is not supported: it has "${projection}"; embeddings, ` +
        "head and norms are read",
    );
  }
  const names = asked.filter((name) => savedParameters(config, { modulesToSave: [name] }).length > 0);
  const matched = savedParameters(config, { modulesToSave: names }).filter(({ tensor }) => whole.has(tensor));
  for (const name of names) {
    if (matched.some(({ tensor }) => moduleOf(tensor).endsWith(name))) continue;
    throw found.other(`a tensor of "${name}" is missing, which modules_to_save names`);
  }
  const places = new Set(savable.map(({ tensor }) => tensor));
  for (const [tensor, stored] of whole) {
    if (matched.some((one) => one.tensor === tensor) || /(embed_tokens|wte|lm_head)\.weight$/.test(tensor)) {
      continue;
    }
    throw new InputError(
      `Cannot load adapter ${directory}: tensor "${stored}" is no LoRA factor of a layer's projection${
        places.has(tensor) ? ", and modules_to_save does not name it" : ""
      }`,
    );
  }
  const own = [...new Set(matched.map(({ tensor }) => moduleOf(tensor)))];
  return savedParameters(config, { modulesToSave: names }).length === matched.length ? names : own;
}
