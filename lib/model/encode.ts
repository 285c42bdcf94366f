import { type PromptOptions, renderPrompt, renderResponse } from "../data/prompts.ts";
import { templateOf } from "../data/datasets.ts";
import type { Candidate, Problem } from "../data/records.ts";
import type { Model } from "./model.ts";

/** The ids of a problem's prompt, with the tokenizer's own begin token. */
export function encodePrompt(model: Model, problem: Problem, options: PromptOptions = {}): number[] {
  const template = options.template ?? templateOf(problem);
  return model.tokenizer.encodePrompt(renderPrompt(problem, { ...options, template }));
}

/**
 * The ids of a response, the same behind any prompt, ended by the model's end token unless the response broke off
 * (`finish: "length"`), since the model did not end it there.
 */
export function encodeResponse(
  model: Model,
  candidate: Pick<Candidate, "text" | "finish">,
): number[] {
  // A model that ends at once has said nothing, not a blank.
  const ids = candidate.text === "" ? [] : model.tokenizer.encodeResponse(renderResponse(candidate.text));
  const end = model.endTokens[0];
  return candidate.finish === "length" || end === undefined ? ids : [...ids, end];
}
