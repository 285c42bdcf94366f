/**
 * The part of config.json that says how far back a token may look.
 */

import { InputError } from "../runtime/errors.ts";

/** The fields of config.json that bear on it. */
export interface WindowFields {
  /** The family. */
  readonly model_type: string;
  /** Number of layers. */
  readonly num_hidden_layers: number;
  /** Tokens of the window; null for none. */
  readonly sliding_window?: number | null | undefined;
  /** Qwen's switch. */
  readonly use_sliding_window?: boolean | null | undefined;
  /** Qwen's first layer with a window. */
  readonly max_window_layers?: number | null | undefined;
  /** Newer transformers' kind of each layer. */
  readonly layer_types?: readonly string[] | null | undefined;
}

/**
 * The window of all layers in tokens, 0 for none, with the defaults of transformers. Throws InputError when only some
 * of the layers have one, and for layers of another kind.
 */
export function slidingWindow(json: WindowFields, where: string): number {
  const modelType = json.model_type, kinds = ["full_attention", "sliding_attention"];
  const odd = json.layer_types?.find((kind) => !kinds.includes(kind));
  if (odd !== undefined) {
    throw new InputError(
      `Cannot read ${where}: layer_types ${JSON.stringify(odd)} is not supported, expected ${
        kinds.join(" or ")
      }`,
    );
  }
  if (json.layer_types && json.layer_types.length !== json.num_hidden_layers) {
    throw new InputError(
      `Cannot read ${where}: layer_types must name each of the ${json.num_hidden_layers} layers: got ` +
        `${json.layer_types.length}`,
    );
  }
  if (modelType === "llama") return 0;
  // Mistral's first models left the field out and meant 4096; null means no window.
  if (modelType === "mistral" && json.sliding_window === undefined) return 4096;
  const window = json.sliding_window ?? (json.sliding_window === undefined ? 4096 : 0);
  if (modelType === "mistral") return window;
  if (!json.use_sliding_window || window === 0) return 0;
  const types = json.layer_types ??
    Array.from(
      { length: json.num_hidden_layers },
      (_, layer) => layer >= (json.max_window_layers ?? 28) ? "sliding_attention" : "full_attention",
    );
  const sliding = types.filter((type) => type === "sliding_attention").length;
  if (sliding !== 0 && sliding !== types.length) {
    throw new InputError(
      `Cannot read ${where}: a sliding window on some layers only is not supported: got ${sliding} of ` +
        `${types.length} (use_sliding_window, max_window_layers, layer_types)`,
    );
  }
  return sliding === 0 ? 0 : window;
}
