import type { BaseDtype } from "../checkpoint/stored_bytes.ts";
import { fixedFields } from "../checkpoint/fixed_updates.ts";
import type { Lora } from "../checkpoint/lora.ts";
import { UsageError } from "../runtime/errors.ts";

/**
 * Refuses to train an adapter that can only be served.
 *
 * @throws {UsageError}
 */
export function refuseFixed(lora: Lora | undefined): void {
  if (!lora?.fixed) return;
  throw new UsageError(
    `Cannot train an adapter with ${
      fixedFields(lora.fixed)
    }: it is served as it is; merge it with its base and train that`,
  );
}

/**
 * Refuses to train weights that are kept in fewer bits, unless an adapter on them is trained.
 *
 * @param kept how they are kept: a {@linkcode BaseDtype}, or what a decoder has of narrow matrices
 * @throws {UsageError}
 */
export function refuseFrozen(
  kept: BaseDtype | ReadonlyMap<string, { readonly dtype: string }> | undefined,
  carriesAdapter: boolean,
): void {
  const narrow = typeof kept === "string" ? kept : kept?.values().next().value?.dtype;
  if (narrow === undefined || narrow === "f32" || carriesAdapter) return;
  throw new UsageError(
    `Cannot train weights kept in ${narrow}: they are frozen; train an adapter by option \`lora\``,
  );
}
