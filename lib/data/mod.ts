/**
 * Records, data sets, prompts and answers alone: no TF.js, no model.
 *
 * ```ts
 * import { loadDataset } from "./lib/data/mod.ts";
 *
 * for await (const { id, question } of loadDataset("arithmetic", { limit: 2 })) console.log(id, question);
 * ```
 *
 * @module
 */
export type { HubOptions } from "../hub/hub.ts";
export type { Listener, ProgressEvent, Watched } from "../runtime/listener.ts";
export { type AnswerKind, type Asked, findAnswer, isRight } from "./answers.ts";
export { type Bytes, type JsonlOptions, readGroups, readProblems } from "./jsonl.ts";
export type { Shard, ShardMark } from "./shards.ts";
export { loadDataset, type LoadOptions } from "./load_dataset.ts";
export type { RawRow } from "./dataset.ts";
export type { OwnDataSet, OwnRows } from "./own_dataset.ts";
export type { TrainTurns } from "./train_turns.ts";
export type { AnswerIndex, ReadOptions } from "./normalize_record.ts";
export { type PromptOptions, renderPrompt } from "./prompts.ts";
export { type Candidate, type Group, parseGroup, parseProblem, type Problem } from "./records.ts";
export type { ToolCall, Turn } from "./turn.ts";
export type { Where } from "./where.ts";
