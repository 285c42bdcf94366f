/** Whether what `align` reads can be read. */

import { isAdapterDirectory } from "../checkpoint/adapter_config.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { resolveModel } from "../checkpoint/resolve_model.ts";
import { refuseFrozen } from "../model/refuse_frozen.ts";
import { UsageError } from "../runtime/errors.ts";
import type { Listener } from "../runtime/listener.ts";
import type { AlignSettings } from "./align_options.ts";

/** What is wrong with the model or the data is found before there is a folder, and before hours of work. */
export async function checkSources(options: AlignSettings, listener: Listener): Promise<void> {
  const { model, train, test, evaluationProblems, baseDtype, lora, unknownTensors, signal } = options;
  const directory = await resolveModel(model, { listener, signal }),
    adapted = await isAdapterDirectory(directory);
  refuseFrozen(baseDtype, adapted || lora !== undefined);
  if (adapted && lora) {
    throw new UsageError(
      `Cannot make a new adapter on ${model}: it is an adapter itself; merge it first, or leave option \`lora\` out to train it on`,
    );
  }
  if (!adapted) await (await openCheckpoint(directory, { unknown: unknownTensors })).close();
  for (const source of [train, test, evaluationProblems]) {
    if (!source) continue;
    for await (const _ of source()) break;
  }
}
