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

/** ε of DPO's noisy preferences. */
export const labelSmoothing: NumberOption = {
  default: 0,
  min: 0,
  below: 0.5,
  help: "Share of the preferences that is taken to be the wrong way round",
};

/** Weight of the better candidate's likelihood. */
export const sftWeight: NumberOption = { default: 1, min: 0, help: "Weight of the likelihood term" };
