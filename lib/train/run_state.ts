/** Where a run stands, as a checkpoint's state.json keeps it. */

import { InputError } from "../runtime/errors.ts";
import * as z from "zod/mini";
import type { Best } from "./best_watch.ts";

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
  /** The best evaluation so far, where a figure is watched. */
  readonly best?: Best | undefined;
}

const count = z.int().check(z.positive());
const stateSchema = z.object({
  step: count,
  steps: count,
  records: z.object({ count, digest: z.int() }),
  settings: z.record(z.string(), z.unknown()),
  best: z.optional(z.object({ step: z.int().check(z.nonnegative()), value: z.number(), waited: z.int() })),
  /** Updates that the moments have seen: one a step. */
  updates: count,
});

/** Reads a checkpoint's state.json, which must be that of its folder. Throws InputError, in one line. */
export function readState(
  value: unknown,
  { folder, step }: { readonly folder: string; readonly step: number },
): RunState {
  const { data: state, error } = stateSchema.safeParse(value);
  const refuse = (what: string) => {
    throw new InputError(
      `Cannot resume from ${folder}: ${what}; remove the folder to go on from the checkpoint before`,
    );
  };
  if (!state) {
    const [{ path, message }] = error.issues as [z.core.$ZodIssue];
    return refuse(`state.json is damaged at "${path.join(".")}": ${message}`);
  }
  if (state.step !== step || state.updates !== step || state.step > state.steps) {
    return refuse(
      `state.json says step ${state.step} of ${state.steps} and ${state.updates} updates: expected step ${step}`,
    );
  }
  return state;
}
