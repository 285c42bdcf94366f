/** What run.json keeps of a run beside its configuration, and what a resumed run is told by it. */

import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import { runtime } from "../runtime/environment.ts";
import { InputError } from "../runtime/errors.ts";
import { readJson, writeJson } from "../runtime/files.ts";
import * as z from "zod/mini";

/** Where a run stands: everything beside tensors that going on needs. Random choices follow from seed and epoch. */
export interface RunState {
  /** Optimizer steps done. */
  readonly step: number;
  /** All optimizer steps. */
  readonly steps: number;
  /** Digest and number of the records trained on. */
  readonly records: { readonly count: number; readonly digest: number };
  /** What decides the path of the training besides records: seed, batch size, schedule, …. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** A positive integer. */
export const count: z.ZodMiniType<number> = z.int().check(z.positive());
/** {@linkcode RunIdentity}, as files have it. */
export const identitySchema = z.object({
  steps: count,
  records: z.object({ count, digest: z.int() }),
  settings: z.record(z.string(), z.unknown()),
});

/** What a run is: it is resumed as nothing else. */
export type RunIdentity = Omit<RunState, "step">;

/** What is written when a run begins. */
export interface RunRecord {
  /** What the caller wants to be kept. */
  readonly configuration: unknown;
  /** Records, steps and what decides the path. */
  readonly identity: RunIdentity;
  /** What computes: backend, BLAS, runtime. */
  readonly computedBy: Readonly<Record<string, string>>;
}

/** What computes on a device, by the names that a person is told when they change. */
export function computedBy(device: Device): Record<string, string> {
  const host = runtime(), { reason } = device;
  return {
    backend: device.name === "wasm"
      ? `wasm, ${device.blas ? `products by ${device.blas.description}` : "own products"}`
      : reason.slice(0, reason.indexOf("): ") + 1) || device.name,
    runtime: `${host.name} ${host.version}`,
  };
}

/** Writes run.json. */
export async function writeRecord(folder: string, { configuration, ...record }: RunRecord): Promise<void> {
  const isObject = typeof configuration === "object" && configuration !== null &&
    !Array.isArray(configuration);
  await writeJson(join(folder, "run.json"), { ...(isObject ? configuration : { configuration }), ...record });
}

/** What run.json says of the run that is there. Undefined for one of an older version, which says nothing of it. */
export async function readRecord(folder: string): Promise<Record<string, unknown>> {
  const path = join(folder, "run.json"), record = await readJson(path);
  if (typeof record !== "object" || record === null || Array.isArray(record)) {
    throw new InputError(`Cannot read ${path}: expected a JSON object`);
  }
  return record as Record<string, unknown>;
}

/** Refuses run.json of another run, by `check`, which throws when an identity is not that of the run that is asked for. */
export function checkRecord(
  folder: string,
  record: Readonly<Record<string, unknown>>,
  check: (identity: RunIdentity) => void,
): void {
  if (record.identity === undefined) return; // an older version's
  const { data, error } = identitySchema.safeParse(record.identity);
  if (data) return check(data);
  const [{ path, message }] = error.issues as [z.core.$ZodIssue];
  throw new InputError(
    `Cannot resume ${folder}: run.json is damaged at "${["identity", ...path].join(".")}": ${message}`,
  );
}

/** Adds to run.json where the run went on and with what, and returns a line for each thing that computes otherwise now. */
export async function recordResumed(
  folder: string,
  before: Readonly<Record<string, unknown>>,
  { step, now }: { readonly step: number; readonly now: RunRecord },
): Promise<string[]> {
  const resumed = Array.isArray(before.resumed) ? before.resumed : [];
  const last = [...resumed, before].findLast((entry) => typeof entry?.computedBy === "object") ?? {};
  const was = (last.computedBy ?? {}) as Readonly<Record<string, unknown>>;
  await writeJson(join(folder, "run.json"), {
    ...before,
    resumed: [...resumed, { step, computedBy: now.computedBy, configuration: now.configuration }],
  });
  return Object.entries(now.computedBy).filter(([name, value]) =>
    was[name] !== undefined && was[name] !== value
  )
    .map(([name, value]) =>
      `The run was started with ${name} ${
        was[name]
      } and goes on with ${value}: its numbers may differ in the last digits from those of a run that was not stopped`
    );
}
