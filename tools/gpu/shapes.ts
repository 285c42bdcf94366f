/** Sizes at which kernels are compared and measured: those of a model, and of a batch of questions with candidates. */

import { type FlatBatch, packFlat } from "../../lib/model/packing.ts";
import { integersBelow } from "./_inputs.ts";

/** A model's sizes and a batch's. */
export interface Shape {
  /** What it is called. */
  readonly name: string;
  /** D. */
  readonly width: number;
  /** F, the inner width of a layer. */
  readonly inner: number;
  /** V. */
  readonly vocabulary: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly layers: number;
  /** Questions of a training batch. */
  readonly questions: number;
  /** Candidates of each. */
  readonly candidates: number;
  /** Tokens of a prompt. */
  readonly prompt: number;
  /** Tokens of a response. */
  readonly response: number;
  /** Sequences decoded at once. */
  readonly sequences: number;
  /** Side of the matrices of a product that shows the most a product reaches. */
  readonly square: number;
}

const batch = { questions: 2, candidates: 6, prompt: 100, response: 120, sequences: 32 };

/** From a toy to SmolLM2-135M: what steps and decoding are measured on, and the kernels at their sizes. */
export const ladder: readonly Shape[] = [
  {
    ...{ name: "2 layers, D 64, V 512", layers: 2, width: 64, inner: 192, vocabulary: 512 },
    ...{ heads: 4, kvHeads: 4, headDim: 16, square: 256, ...batch },
  },
  {
    ...{ name: "4 layers, D 128, V 1,024", layers: 4, width: 128, inner: 384, vocabulary: 1024 },
    ...{ heads: 4, kvHeads: 4, headDim: 32, square: 512, ...batch },
  },
  {
    ...{ name: "8 layers, D 256, V 4,096", layers: 8, width: 256, inner: 768, vocabulary: 4096 },
    ...{ heads: 4, kvHeads: 4, headDim: 64, square: 1024, ...batch },
  },
  {
    ...{ name: "SmolLM2-135M's shape", layers: 30, width: 576, inner: 1536, vocabulary: 49_152 },
    ...{ heads: 9, kvHeads: 3, headDim: 64, square: 4096, ...batch },
  },
];

/** Small and odd sizes: one row, no multiple of 4 or of a tile, shared keys, a long row. */
export const checkedShapes: readonly Shape[] = [
  {
    ...{ name: "one row", layers: 1, width: 8, inner: 4, vocabulary: 5, heads: 1, kvHeads: 1, headDim: 8 },
    ...{ questions: 1, candidates: 1, prompt: 1, response: 1, sequences: 1, square: 1 },
  },
  {
    ...{ name: "odd", layers: 1, width: 66, inner: 101, vocabulary: 131, heads: 3, kvHeads: 1, headDim: 22 },
    ...{ questions: 2, candidates: 3, prompt: 7, response: 9, sequences: 5, square: 33 },
  },
  {
    ...{ name: "even", layers: 1, width: 128, inner: 96, vocabulary: 260, heads: 4, kvHeads: 2, headDim: 32 },
    ...{ questions: 3, candidates: 4, prompt: 33, response: 20, sequences: 33, square: 64 },
  },
  {
    ...{
      name: "long",
      layers: 1,
      width: 1056,
      inner: 40,
      vocabulary: 1001,
      heads: 2,
      kvHeads: 2,
      headDim: 128,
    },
    ...{ questions: 1, candidates: 2, prompt: 70, response: 75, sequences: 9, square: 132 },
  },
];

/** For a run that only shows that everything works: a size that every kernel takes, soon done. */
export const quickShape: Shape = {
  ...{ name: "1 layer, D 16, V 64", layers: 1, width: 16, inner: 32, vocabulary: 64, heads: 2, kvHeads: 1 },
  ...{ headDim: 8, questions: 1, candidates: 2, prompt: 5, response: 4, sequences: 3, square: 16 },
};

/** The flat batch of a shape. */
export function flatBatch({ questions, candidates, prompt, response, vocabulary }: Shape): FlatBatch {
  const ids = [...integersBelow(vocabulary, questions * (prompt + candidates * response))];
  const take = (count: number) => ids.splice(0, count);
  return packFlat(Array.from({ length: questions }, () => ({
    prompt: take(prompt),
    responses: Array.from({ length: candidates }, () => take(response)),
  })));
}
