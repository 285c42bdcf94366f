/** The base model of a study by what it is, not by where it lies: a folder that was moved goes on with its study. */

import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { resolveModel } from "../checkpoint/resolve_model.ts";
import { InputError, UsageError } from "../runtime/errors.ts";
import { listDirectory, readBytes } from "../runtime/files.ts";
import type { Watched } from "../runtime/listener.ts";
import type { StudySettings } from "./settings.ts";
import { embeddedName, type StudyRun } from "./study_options.ts";

/** What study.json keeps of an experiment: its sizes, and what its base model was. */
export interface KeptSettings extends StudySettings {
  /** {@linkcode baseDigest} of the model; absent in files of earlier versions. */
  readonly modelDigest?: string;
}

/** A digest of a model's weights and configuration, so that another base in the same folder makes other cells. */
export async function baseDigest(model: string, { listener, signal }: Watched): Promise<string> {
  const hash = createHash("sha256"), directory = await resolveModel(model, { listener, signal });
  for (const file of await listDirectory(directory)) {
    if (!/\.(safetensors|json)$/.test(file)) continue;
    for await (const bytes of readBytes(join(directory, file))) hash.update(bytes);
    signal?.throwIfAborted();
  }
  return hash.digest("hex").slice(0, 8);
}

/** What study.json is to keep of an experiment. */
export function keptOf(sizes: StudySettings, { modelName }: StudyRun, modelDigest: string): KeptSettings {
  return { ...sizes, model: modelName, modelDigest };
}

/** The sizes of an experiment that was made before, to be made again from the model of this run. */
export function sizesOf(
  { modelDigest: _, ...kept }: KeptSettings,
  { settings: [sizes] }: StudyRun,
): StudySettings {
  return { ...kept, model: sizes!.model };
}

/**
 * Refuses to go on with experiments of another base model: tables of both would stand side by side as if of one.
 *
 * @param digest of this run's model
 * @throws {UsageError} that names the first of them
 */
export async function checkSameBase(
  experiments: Readonly<Record<string, KeptSettings>>,
  { run, digest, listener }: { readonly run: StudyRun; readonly digest: string } & Pick<Watched, "listener">,
): Promise<void> {
  const { out, modelName, signal, settings: [sizes] } = run;
  for (const [part, { model, modelDigest }] of Object.entries(experiments)) {
    const known = modelDigest ??
      (model === sizes!.model ? digest : await earlierDigest(model, { listener, signal }));
    if (known === digest) continue;
    if (known === undefined && modelName === embeddedName && wasEmbedded(model)) continue;
    const other = known === undefined ? `${model}, which is not there` : `${model} with digest ${known}`;
    throw new UsageError(
      `Cannot go on with ${out}: its experiment ${part} is of ${other}, and this run of ${modelName} with digest ` +
        `${digest}; use another option \`out\`, or option \`overwrite\``,
    );
  }
}

/** The digest of a model that a file of an earlier version names by its path; undefined where it is gone. */
async function earlierDigest(model: string, watched: Watched): Promise<string | undefined> {
  try {
    return await baseDigest(model, watched);
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}

/** Whether a path that is gone was the embedded base of a copy of the project. */
function wasEmbedded(model: string): boolean {
  return basename(model) === "base" && basename(dirname(model)) === "fixtures";
}
