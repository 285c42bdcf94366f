/**
 * Names of tensors without what other tools put before them. A wrapped model is saved under its wrapper's names; without
 * them a tensor's name says what it is, and two of one name are refused.
 */

import { InputError } from "../runtime/errors.ts";

/** What may stand before any part of a name, and who puts it there. */
const wrappers: readonly (readonly [prefix: string, maker: string])[] = [
  ["_orig_mod.", "torch.compile"],
  ["_fsdp_wrapped_module.", "FSDP"],
  ["_checkpoint_wrapped_module.", "activation checkpointing"],
];

/** Where models that also see keep the decoder, and where a decoder alone has it. */
const homes: readonly (readonly [prefix: string, plain: string])[] = [
  ["model.language_model.", "model."],
  ["language_model.model.", "model."],
  ["language_model.lm_head.", "lm_head."],
];

/** A tensor's name as transformers gives it to a causal model of text. */
export function plainName(stored: string): string {
  let name = stored;
  for (const [prefix] of wrappers) name = name.split(".").filter((part) => `${part}.` !== prefix).join(".");
  if (name.startsWith("module.")) name = name.slice("module.".length); // DataParallel, DeepSpeed
  for (const [prefix, plain] of homes) if (name.startsWith(prefix)) name = plain + name.slice(prefix.length);
  return name;
}

/**
 * Stored names by plain ones.
 *
 * @param what what cannot be done otherwise, for the error
 * @throws {InputError} when two tensors have one plain name
 */
export function byPlainName(
  stored: Iterable<string>,
  what: string,
  plain: (name: string) => string = plainName,
): Map<string, string> {
  const names = new Map<string, string>();
  for (const name of stored) {
    const key = plain(name), other = names.get(key);
    if (other !== undefined) {
      throw new InputError(
        `${what}: tensors "${other}" and "${name}" are both "${key}"${makerOf(other, name)}`,
      );
    }
    names.set(key, name);
  }
  return names;
}

function makerOf(...names: string[]): string {
  const found = wrappers.find(([prefix]) => names.some((name) => name.includes(prefix)));
  return found ? ` (${found[1]} puts "${found[0]}" into names)` : "";
}
