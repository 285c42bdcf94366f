/**
 * The part of config.json that says how positions are rotated.
 */

import { InputError } from "../runtime/errors.ts";

/** How rotary frequencies are stretched beyond the length that the model was trained at. */
export type RopeScaling =
  /** Every frequency divided by `factor`. */
  | { readonly type: "linear"; readonly factor: number }
  /** Low frequencies divided by `factor`, high ones kept, those between interpolated (Llama 3.1). */
  | {
    readonly type: "llama3";
    readonly factor: number;
    readonly lowFrequencyFactor: number;
    readonly highFrequencyFactor: number;
    readonly originalMaxPositions: number;
  };

/** Rotary position embedding: its base, and how it is stretched. */
export interface Rope {
  /** Base of the frequencies θ^(−2i/headDim). */
  readonly theta: number;
  /** Left out where the frequencies are the plain ones. */
  readonly scaling?: RopeScaling;
}

/** Reads `rope_theta` with `rope_scaling`, or `rope_parameters`. Throws InputError for what is not supported. */
export function parseRope(raw: Readonly<Record<string, unknown>>, where: string): Rope {
  const stated: Record<string, unknown> = {};
  for (const field of ["rope_scaling", "rope_parameters"]) {
    const value = raw[field];
    if (value === undefined || value === null) continue;
    if (typeof value !== "object" || Array.isArray(value)) {
      throw new InputError(
        `Cannot read ${where}: field "${field}" must be an object: got ${JSON.stringify(value)}`,
      );
    }
    Object.assign(stated, value);
  }
  const number = (field: string, value: unknown): number => {
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    throw new InputError(
      `Cannot read ${where}: field "${field}" must be a positive number: got ${
        JSON.stringify(value) ?? "nothing"
      }`,
    );
  };
  const partial = stated.partial_rotary_factor ?? raw.partial_rotary_factor ?? 1;
  if (partial !== 1) {
    throw new InputError(
      `Cannot read ${where}: partial_rotary_factor ${JSON.stringify(partial)} is not supported, expected 1`,
    );
  }
  const theta = number("rope_theta", stated.rope_theta ?? raw.rope_theta ?? 10000);
  const type = stated.rope_type ?? stated.type ?? "default";
  switch (type) {
    case "default":
      return { theta };
    case "linear":
      return { theta, scaling: { type: "linear", factor: number("rope_scaling.factor", stated.factor) } };
    case "llama3": {
      const field = (name: string) => number(`rope_scaling.${name}`, stated[name]);
      const scaling = {
        type: "llama3",
        factor: field("factor"),
        lowFrequencyFactor: field("low_freq_factor"),
        highFrequencyFactor: field("high_freq_factor"),
        originalMaxPositions: field("original_max_position_embeddings"),
      } as const;
      if (scaling.highFrequencyFactor <= scaling.lowFrequencyFactor) {
        throw new InputError(
          `Cannot read ${where}: rope_scaling.high_freq_factor must be above low_freq_factor: got ` +
            `${scaling.highFrequencyFactor} and ${scaling.lowFrequencyFactor}`,
        );
      }
      return { theta, scaling };
    }
    default:
      throw new InputError(
        `Cannot read ${where}: rope_type ${
          JSON.stringify(type)
        } is not supported, expected default, linear ` +
          `or llama3`,
      );
  }
}
