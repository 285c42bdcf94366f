import { Random } from "../data/random.ts";
import { parseConfig } from "./config.ts";
import { writeCheckpoint } from "./write_checkpoint.ts";

/** What a new model is made of. */
export interface InitializeOptions {
  /** config.json of Hugging Face's layout. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Files by name: tokenizer.json and tokenizer_config.json. */
  readonly files: ReadonlyMap<string, string>;
  /** Default 0. */
  readonly seed?: number;
  readonly overwrite?: boolean;
}

/**
 * Writes a model directory with random weights: matrices normal with standard deviation 0.02, those that write into
 * the residual stream divided by √(2·layers) (GPT-2's rule), norms one, biases zero.
 */
export async function initializeModel(directory: string, options: InitializeOptions): Promise<void> {
  const { files, seed = 0, overwrite } = options;
  const config = parseConfig(options.config, "the new model's config");
  await writeCheckpoint(directory, {
    config,
    files,
    overwrite,
    dtype: "F32",
    parameter: ({ name, shape, decay }) => {
      const size = shape.reduce((a, b) => a * b, 1);
      if (!decay) return new Float32Array(size).fill(name.endsWith("_bias") ? 0 : 1);
      const random = new Random(seed, { stream: name });
      const deviation = /\.(output|down)$/.test(name) ? 0.02 / Math.sqrt(2 * config.layers) : 0.02;
      return Float32Array.from({ length: size }, () => deviation * random.normal());
    },
  });
}
