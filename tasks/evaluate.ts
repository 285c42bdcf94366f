/**
 * Measures a model: problems or groups in, results out.
 *
 *   deno task evaluate --model runs/aft --data arithmetic:test --votes 8
 */
import type { Evaluated } from "../lib/evaluate/evaluate.ts";
import { evaluate } from "../lib/evaluate/evaluate.ts";
import { loadModel } from "../lib/model/load_model.ts";
import { InputError } from "../lib/runtime/errors.ts";
import type { Problem } from "../lib/data/records.ts";
import type { Listener } from "../lib/runtime/listener.ts";
import { overRanks } from "../lib/runtime/over_ranks.ts";
import { dealing } from "../lib/evaluate/dealing.ts";
import { runTask } from "./cli/run_task.ts";
import { choice, integer, number, preset, required, toggle } from "./cli/option.ts";
import { checkData, dataOptions, inputOptions, problemsOf, promptOptions, promptsOf } from "./cli/records.ts";
import { summed } from "./cli/measured.ts";
import { memoryCheck } from "../lib/model/needs.ts";
import { planMemory } from "./cli/memory_plan.ts";
import { behind, checkKept, fromBlock, resumeOption } from "./cli/resume.ts";
import { pick, shared } from "./cli/shared_options.ts";
import { stopTexts } from "./cli/stop_texts.ts";
import { sharded, shardOption } from "./cli/shard.ts";

await runTask({
  name: "evaluate",
  summary: "Measure task accuracy, assessment accuracy and perplexity",
  description:
    "Of problems: accuracy of greedy answers (also by lm-evaluation-harness' strict and flexible rules), maj@k with --votes, perplexity of references. Of groups whose " +
    "candidates are marked right or wrong: assessment accuracy, mean scores, margin. Writes one line with a summary, " +
    "after a line for each question with --details.",
  examples: [
    {
      does: "Greedy accuracy and maj@8 on the embedded test problems",
      command: "deno task evaluate --model runs/aft --data arithmetic:test --votes 8",
    },
    {
      does: "Assessment accuracy on labelled candidates only",
      command: "deno task evaluate --model runs/aft --scores-only --input scored.jsonl",
    },
    {
      does: "MMLU by the log-probs of the letters and by generated answers",
      command: "deno task evaluate --model runs/aft --data mmlu:test --data-directory mmlu --options both",
    },
  ],
  options: {
    model: required(shared.model),
    ...pick("adapter", "baseDtype", "unknownTensors"),
    ...pick("input", "output", "data", "maxTokens", "stop", "seed", "limit", "backend", "overwrite"),
    ...dataOptions,
    ...inputOptions,
    ...promptOptions,
    ...resumeOption,
    ...shardOption,
    votes: preset(integer("--votes", { min: 0, help: "Samples for the majority vote; 0 for none" }), 0),
    voteTemperature: preset(
      number("--vote-temperature", { above: 0, help: "Temperature of those samples" }),
      0.7,
    ),
    options: preset(
      choice("--options", {
        choices: ["letter", "logprob", "both"],
        help: "Answer options by a generated letter, by the letters' log-probs, or both",
      }),
      "letter",
    ),
    scoresOnly: toggle("--scores-only", { help: "Generate nothing: only score references and candidates" }),
    details: toggle("--details", { help: "Write a line for each question too" }),
    slots: integer("--slots", { help: "Sequences decoded at once" }),
    microBatch: preset(integer("--micro-batch", { help: "Tokens scored at once" }), 4096),
  },
  resumes: "records",
  together: "dealt",
  plan: (options) => planMemory("generate", options),
  async run(options, io) {
    const { votes, voteTemperature, maxTokens, seed, slots } = options;
    const stop = stopTexts(options.stop, io.listener);
    if (io.world.rank === 0) await checkData(options, io, "test");
    const prompt = await promptsOf(options);
    const model = await loadModel(options.model, {
      adapter: options.adapter,
      baseDtype: options.baseDtype,
      check: memoryCheck("generate", options),
      backend: options.backend,
      unknown: options.unknownTensors,
      listener: io.listener,
      signal: io.signal,
    });
    const { keeps, kept } = io.output, { from, again } = fromBlock(kept);
    const records = sharded(problemsOf(options, io, "test"), options, io);
    const results: Evaluated[] = [];
    for await (const result of io.output.keptRecords()) results.push(result as Evaluated);
    const measure = (problems: AsyncIterable<Problem>, listener: Listener) =>
      evaluate(model, problems, {
        greedy: !options.scoresOnly,
        votes: options.scoresOnly ? 0 : votes,
        voteTemperature,
        options: options.options,
        maxTokens,
        stop,
        seed,
        slots,
        prompt,
        microBatchTokens: options.microBatch,
        listener,
        signal: io.signal,
      });
    const measuring = overRanks(io, { part: "evaluate", ...dealing.evaluate }, measure);
    const measured = behind(measuring(behind(checkKept(records.records, io), from)), again);
    for await (const result of measured) {
      results.push(result);
      if (options.details || keeps || options.shard) await io.output.writeRecord(result);
    }
    if (io.world.rank > 0) return;
    if (options.shard) return await records.end();
    if (results.length === 0) {
      throw new InputError(`Cannot evaluate: ${options.data ?? io.input.name} has no records`);
    }
    const line = summed(results, options.model, io.listener);
    // The lines of questions that a file holds until then were for a run that is cut off.
    if (keeps && !options.details) io.output.replaceBy(line);
    else await io.output.writeRecord(line);
  },
});
