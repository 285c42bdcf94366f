/**
 * The whole method as one function: `align` trains, samples, labels, calibrates and measures. It tells a listener what it
 * is doing, ends by a signal, and goes on where it was stopped.
 *
 * @module
 */
export type { Lora, LoraTarget } from "../checkpoint/lora.ts";
export type { BaseDtype } from "../checkpoint/stored_bytes.ts";
export type { PromptOptions } from "../data/prompts.ts";
export type { Candidate, Problem } from "../data/records.ts";
export type { QuantizedDtype } from "../kernels/product/quantize.ts";
export type { Summary } from "../evaluate/summary.ts";
export type { Listener, ProgressEvent, Watched } from "../runtime/listener.ts";
export { align } from "./align.ts";
export type { AlignResult, AlignRow } from "./align_result.ts";
export type { Turn } from "../data/turn.ts";
export { type AskOptions, Conversation } from "./conversation.ts";
export { greedyAnswers, type GreedyAnswersOptions } from "./greedy_answers.ts";
export type { AnswerProbe, EvaluationOptions } from "../train/evaluation_options.ts";
export type { AnswerSample, EvaluationLine, EvaluationMetric } from "../train/evaluation_figures.ts";
export type { AlignEvaluation } from "./align_evaluation.ts";
export { type AlignOptions, embeddedBase } from "./align_options.ts";
export type { ProblemSource } from "./problem_source.ts";
