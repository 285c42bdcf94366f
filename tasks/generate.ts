/**
 * Samples candidates for each question: problems in, groups out, in the same order.
 *
 *   deno task generate --model runs/vft --data arithmetic -k 6 > groups.jsonl
 */
import type { Problem } from "../lib/data/records.ts";
import { generate } from "../lib/model/generate.ts";
import { generateFrom } from "../lib/model/generate_from.ts";
import { resolveModel } from "../lib/checkpoint/resolve_model.ts";
import { loadModel } from "../lib/model/load_model.ts";
import { loadTokenizer } from "../lib/tokenizer/tokenizer.ts";
import { UsageError } from "../lib/runtime/errors.ts";
import { overRanks } from "../lib/runtime/over_ranks.ts";
import { dealing } from "../lib/evaluate/dealing.ts";
import { runTask } from "./cli/run_task.ts";
import { choice, integer, preset, toggle } from "./cli/option.ts";
import { checkData, dataOptions, inputOptions, problemsOf, promptOptions, promptsOf } from "./cli/records.ts";
import { memoryCheck } from "../lib/model/needs.ts";
import { planMemory } from "./cli/memory_plan.ts";
import { behind, checkKept, resumeOption } from "./cli/resume.ts";
import { sharded, shardOption } from "./cli/shard.ts";
import { pick } from "./cli/shared_options.ts";
import { servedBy, servedOptions } from "./cli/served.ts";
import { stopTexts } from "./cli/stop_texts.ts";
import { writeUntilBroken } from "./cli/until_broken.ts";

await runTask({
  name: "generate",
  summary: "Sample several distinct candidates per question",
  description: "Reads problems (JSONL, or --data) and writes them with candidates: text, finish and tokens.",
  examples: [
    {
      does: "Six candidates for each training problem",
      command: "deno task generate --model runs/vft --data arithmetic -k 6",
    },
    {
      does: "The whole chain, by pipes",
      command: "cat train.jsonl | deno task generate --model runs/vft | deno task score --model runs/vft | " +
        "deno task ca-align --model runs/vft --out runs/aft",
    },
    {
      does: "Candidates of a model that vLLM serves; score adds log-probs here",
      command:
        "deno task generate --generate-from http://localhost:8000/v1 --served-model runs/vft --served-tokenizer runs/vft " +
        "--data gsm8k --output groups.jsonl",
    },
  ],
  options: {
    ...pick("model", "adapter", "baseDtype", "unknownTensors"),
    ...servedOptions,
    ...pick(
      "input",
      "output",
      "data",
      "samples",
      "maxTokens",
      "stop",
      "temperature",
      "topK",
      "topP",
      "seed",
      "limit",
      "backend",
      "overwrite",
    ),
    ...dataOptions,
    ...inputOptions,
    ...promptOptions,
    ...resumeOption,
    ...shardOption,
    keepDuplicates: toggle("--keep-duplicates", { help: "Keep candidates with equal texts" }),
    tokenIds: toggle("--token-ids", {
      help: "Keep the ids of each candidate's tokens, so that exactly those are scored and trained on",
    }),
    slots: integer("--slots", {
      help: "Sequences decoded at once; by default as many as their cache fits, up to 96",
    }),
    tooLong: preset(
      choice("--too-long", {
        choices: ["skip", "refuse"],
        help: "What to do with prompts that fill the context",
      }),
      "skip",
    ),
  },
  feeds: true,
  resumes: "records",
  together: "dealt",
  plan: (options) => servedBy(options) ? Promise.resolve({}) : planMemory("generate", options),
  async run(options, io) {
    const stop = stopTexts(options.stop, io.listener), server = servedBy(options, io.listener);
    if (server && io.world.size > 1) {
      throw new UsageError(
        "Option --generate-from has no meaning for several processes: one keeps a server busy",
      );
    }
    if (io.world.rank === 0) await checkData(options, io);
    const prompt = await promptsOf(options);
    const { samples, maxTokens, temperature, topK, topP, seed, tooLong, keepDuplicates } = options;
    const sampling = {
      ...{ samples, maxTokens, stop, temperature, topK, topP, seed, tooLong, keepDuplicates, prompt },
      signal: io.signal,
    };
    const model = options.model === undefined ? undefined : await loadModel(options.model, {
      adapter: options.adapter,
      baseDtype: options.baseDtype,
      check: memoryCheck("generate", options),
      backend: options.backend,
      unknown: options.unknownTensors,
      listener: io.listener,
      signal: io.signal,
    });
    const { slots, tokenIds, servedTokenizer } = options;
    using tokenizer = servedTokenizer === undefined
      ? undefined
      : await loadTokenizer(await resolveModel(servedTokenizer, io));
    for (const doubt of tokenizer?.doubts ?? []) io.listener.warn?.(doubt);
    const sample = overRanks(
      io,
      { part: "generate", ...dealing.generate },
      (problems: AsyncIterable<Problem>, listener) =>
        server
          ? generateFrom(problems, { ...sampling, ...server, tokenizer, listener })
          : generate(model!, problems, { ...sampling, slots, tokenIds, listener }),
    );
    const problems = sharded(problemsOf(options, io), options, io);
    await writeUntilBroken(behind(checkKept(problems.records, io), io.output.kept), sample, io);
    await problems.end();
  },
});
