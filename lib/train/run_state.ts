/** Where a run stands, as a checkpoint's state.json keeps it. */

import { InputError } from "../runtime/errors.ts";
import * as z from "zod/mini";
import type { Best } from "./best_watch.ts";
import { count, identitySchema, type RunIdentity } from "./run_record.ts";

/** Where a run stands: everything beside tensors that going on needs. Random choices follow from seed and epoch. */
export interface RunState extends RunIdentity {
  /** Optimizer steps done. */
  readonly step: number;
  /** The best evaluation so far, where something is evaluated. */
  readonly best?: Best | undefined;
  /** Whether an evaluation that is due after this step was broken off: it is made when the run goes on. */
  readonly unevaluated?: boolean | undefined;
}

const stateSchema = z.object({
  ...identitySchema.shape,
  step: count,
  best: z.optional(
    z.object({
      step: z.int().check(z.nonnegative()),
      value: z.number(),
      waited: z.int().check(z.nonnegative()),
    }),
  ),
  unevaluated: z.optional(z.boolean()),
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
  if (state.best && state.best.step > step) {
    return refuse(`state.json says that step ${state.best.step} was the best of ${step} steps`);
  }
  return state;
}
