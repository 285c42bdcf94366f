/** What a training run writes beside the weights: the model card, and the end of turn for other tools. */

import { basename, join } from "node:path";
import { endTokensOf } from "../model/encode.ts";
import type { Model } from "../model/model.ts";
import {
  commandWords,
  type ModelCard,
  modelCard,
  readCardHead,
  shellCommand,
} from "../checkpoint/model_card.ts";
import { hubModelOf } from "../checkpoint/resolve_model.ts";
import { runtime } from "../runtime/environment.ts";
import { exists, readJson, readText } from "../runtime/files.ts";
import type { Metrics } from "./metrics.ts";
import type { TrainSettings } from "./settings.ts";

/** What the trainer knows of a run when it ends. */
export interface FinishedRun {
  readonly settings: TrainSettings;
  /** Optimizer steps. */
  readonly steps: number;
  /** Records trained on. */
  readonly records: number;
  /** Names of their data sets. */
  readonly data: readonly string[];
  /** The last line of metrics. */
  readonly metrics?: Metrics | undefined;
  /** The step whose model is kept as the best, and by which figure; absent where it is the last. */
  readonly kept?: { readonly step: number; readonly metric: string; readonly value: number } | undefined;
}

/**
 * The text files of a finished run's model: README.md, and generation_config.json where the model learned to end in the
 * end of turn of a chat that its configuration does not count among the end tokens.
 */
export async function modelFiles(model: Model, run: FinishedRun): Promise<Map<string, string>> {
  const files = new Map([["README.md", modelCard(await cardOf(model, run))]]);
  const turn = endTokensOf(model, run.settings.prompt).filter((id) => !model.endTokens.includes(id));
  if (turn.length > 0) {
    const path = join(model.directory, "generation_config.json");
    const before = await exists(path) ? await readJson(path) as Record<string, unknown> : {};
    const after = { ...before, eos_token_id: [...model.endTokens, ...turn] };
    files.set("generation_config.json", JSON.stringify(after, null, 2) + "\n");
  }
  return files;
}

async function cardOf(
  model: Model,
  { settings, steps, records, data, metrics, kept }: FinishedRun,
): Promise<ModelCard> {
  const hub = hubModelOf(model.directory), readme = join(model.directory, "README.md");
  const head = await exists(readme) ? readCardHead(await readText(readme)) : {};
  const { optimizer, schedule, loss, batchSize, seed, objective } = settings;
  const { lora } = model.decoder.adapter ?? {};
  const { command, versions } = commandOf(settings.configuration);
  const { constraint, ...numbers } = loss.objectiveOptions ?? {};
  return {
    base: hub?.repo ?? basename(model.directory),
    revision: hub?.revision,
    baseModel: hub?.repo ?? head.baseModel,
    license: head.license,
    adapter: lora !== undefined,
    objective: objective.name,
    // An objective that compares nothing has no constraint to tell of.
    options: (objective.constraints ?? []).length > 0 ? { constraint, ...numbers } : numbers,
    data: data.slice(0, 20),
    records,
    settings: {
      Steps: `${steps} of ${batchSize} questions`,
      Kept: kept &&
        `the model of step ${kept.step}, the best by ${kept.metric} on held-out records: ${kept.value}`,
      "Learning rate": `${schedule.learningRate}, ${schedule.decay}, warm-up ${schedule.warmup}`,
      Optimizer: `AdamW, decay ${optimizer.weightDecay}, clipped at ${optimizer.clip}`,
      LoRA: lora,
      Seed: seed,
    },
    figures: metrics && { ...metrics },
    command,
    versions,
  };
}

/** The command in a task's configuration, and what ran it. A script's configuration has none. */
function commandOf(configuration: unknown): Pick<ModelCard, "command" | "versions"> {
  const host = runtime(), versions = { runtime: `${host.name} ${host.version}` };
  if (typeof configuration !== "object" || configuration === null) return { versions };
  const { task, options, version } = configuration as Readonly<Record<string, unknown>>;
  if (typeof task !== "string" || typeof options !== "object" || options === null) return { versions };
  const words = commandWords(options as Readonly<Record<string, unknown>>);
  return {
    command: shellCommand(["deno", "task", task, ...words]),
    versions: { ...versions, ...(typeof version === "string" && { "alignment-fine-tuning": version }) },
  };
}
