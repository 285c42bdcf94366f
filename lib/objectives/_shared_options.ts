/** Options that several objectives have. */

import type { NumberOption } from "./objective.ts";

/** Width of the boundary of objectives whose β is something else. */
export const boundary: NumberOption = {
  default: 0.2,
  min: 0,
  infinite: true,
  unit: "nats per token",
  help: "With bc: how far below its better candidates a worse one is pushed",
};

/** β of `aft` and `aft-rank`: the same width. */
export const alignmentBeta: NumberOption = boundary;

/** β of methods with a reference model. */
export const referenceBeta: NumberOption = {
  default: 0.1,
  above: 0,
  unit: "per nat of summed log-prob",
  help: "Strength of the tie to the reference model",
};
