/** What the tensors of an adapter_model.safetensors are, by their names. */

import { InputError } from "../runtime/errors.ts";
import { byPlainName, plainName } from "./tensor_names.ts";

/** PEFT wraps the model twice; transformers' own paths follow. */
const prefix = "base_model.model.";

/** Names in an adapter's file as PEFT writes them. */
export const adapterTensor = {
  /** A or B of a projection's update. */
  factor: (module: string, factor: "A" | "B") => `${prefix}${module}.lora_${factor}.weight`,
  /** A or B of an embedding's. */
  embeddingFactor: (module: string, factor: "A" | "B") => `${prefix}${module}.lora_embedding_${factor}`,
  /** The lengths that DoRA gives a module's rows. */
  magnitude: (module: string) => `${prefix}${module}.lora_magnitude_vector`,
  /** Rows of single tokens. */
  tokens: (module: string) => `${prefix}${module}.token_adapter.trainable_tokens_delta`,
  /** A tensor of a module that is saved whole. */
  whole: (tensor: string) => `${prefix}${tensor}`,
};

/** The tensors of an adapter's file: stored names by what they are. */
export interface AdapterTensors {
  /** Low-rank factors by module. */
  readonly factors: ReadonlyMap<string, { readonly A?: string; readonly B?: string }>;
  /** The same of embeddings. */
  readonly embeddings: ReadonlyMap<string, { readonly A?: string; readonly B?: string }>;
  /** DoRA's lengths by module. */
  readonly magnitudes: ReadonlyMap<string, string>;
  /** Rows of single tokens by module. */
  readonly tokens: ReadonlyMap<string, string>;
  /** Tensors of whole modules, such as `model.norm.weight`. */
  readonly whole: ReadonlyMap<string, string>;
  /** Copies of the base's own numbers, by the tensor that they repeat. */
  readonly copies: ReadonlyMap<string, string>;
}

/** What PEFT's other methods keep, by a part of the name. */
const others: readonly (readonly [part: RegExp, what: string])[] = [
  [/lora_B\.bias$/, "a bias of a factor (lora_bias)"],
  [/lora_A\.weight_|\.SCB$|\.absmax/, "a quantised factor"],
];

/**
 * Sorts an adapter's tensors by their names: PEFT's, with wrappers' prefixes, an adapter's name (`lora_A.default.weight`)
 * or without `base_model.model.`.
 *
 * @throws {InputError} for a name that is none of these, and for two adapters in one file
 */
export function sortAdapterTensors(stored: Iterable<string>, directory: string): AdapterTensors {
  const what = `Cannot load adapter ${directory}`, adapters = new Set<string>();
  const all = [...stored];
  for (const name of all) plainAdapterName(name, adapters);
  if (adapters.size > 1) {
    throw new InputError(
      `${what}: its file holds several adapters, ${[...adapters].join(", ")}; save them one by one`,
    );
  }
  const names = byPlainName(all, what, (name) => plainAdapterName(name, adapters));
  const factors = new Map<string, { A?: string; B?: string }>(),
    embeddings = new Map<string, { A?: string; B?: string }>();
  const magnitudes = new Map<string, string>(), tokens = new Map<string, string>();
  const whole = new Map<string, string>(), copies = new Map<string, string>();
  for (const [name, original] of names) {
    const factor = name.match(/^(.+)\.lora_(embedding_)?([AB])(\.weight)?$/);
    const other = others.find(([part]) => part.test(name));
    const fixed = name.match(/^(.+)\.(lora_magnitude_vector|trainable_tokens_delta)$/);
    if (factor && !other && (factor[2] === undefined) === (factor[4] !== undefined)) {
      const [, module, embedding, which] = factor, map = embedding ? embeddings : factors;
      map.set(module!, { ...map.get(module!), [which as "A" | "B"]: original });
    } else if (fixed) {
      (fixed[2] === "lora_magnitude_vector" ? magnitudes : tokens).set(fixed[1]!, original);
    } else if (other || !/\.(weight|bias)$/.test(name)) {
      throw new InputError(
        `${what}: tensor "${original}" is no LoRA factor of a layer's projection${
          other ? `, but ${other[1]}: not supported` : ""
        }`,
      );
    } else {
      const copy = name.match(/^(.+)\.(?:base_layer|original_module)(\.(?:weight|bias))$/);
      if (copy) copies.set(`${copy[1]}${copy[2]}`, original);
      else whole.set(name, original);
    }
  }
  return { factors, embeddings, magnitudes, tokens, whole, copies };
}

/** A name without prefixes and without the adapter's name, which is added to `adapters`. */
function plainAdapterName(stored: string, adapters: Set<string>): string {
  let name = plainName(stored);
  while (name.startsWith(prefix)) name = plainName(name.slice(prefix.length));
  return name
    .replace(/\.token_adapter(?=\.(?:trainable_tokens_delta|base_layer)\b)/, "")
    .replace(
      /(\.(?:lora_magnitude_vector|trainable_tokens_delta))(?:\.(?!weight$)([^.]+))?(?:\.weight)?$/,
      (_, kept: string, adapter?: string) => {
        if (adapter !== undefined) adapters.add(adapter);
        return kept;
      },
    )
    .replace(
      /\.modules_to_save\.([^.]+)(?=\.(?:weight|bias)$)/,
      (_, adapter: string) => (adapters.add(adapter), ""),
    )
    .replace(/(\.lora_[AB])\.([^.]+)(?=\.(?:weight|bias)$)/, (_, kept: string, adapter: string) => {
      adapters.add(adapter);
      return kept;
    })
    .replace(/(\.lora_embedding_[AB])\.([^.]+)$/, (_, kept: string, adapter: string) => {
      adapters.add(adapter);
      return kept;
    });
}
