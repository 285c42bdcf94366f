/**
 * Marks candidates right or wrong, ranks them, and adds the model's log-prob and score: groups in, groups out.
 *
 *   deno task score --model runs/vft --input groups.jsonl > scored.jsonl
 *   deno task score --rank steps --input groups.jsonl > ranked.jsonl
 */
import { normalizeResponses } from "../lib/data/prompts.ts";
import type { Group } from "../lib/data/records.ts";
import { rank } from "../lib/feedback/rank.ts";
import { label } from "../lib/feedback/label.ts";
import { labelByMajority } from "../lib/feedback/majority.ts";
import { score } from "../lib/evaluate/score.ts";
import { UsageError } from "../lib/runtime/errors.ts";
import { loadModel } from "../lib/model/load_model.ts";
import { overRanks } from "../lib/runtime/over_ranks.ts";
import { dealing } from "../lib/evaluate/dealing.ts";
import { runTask } from "./cli/run_task.ts";
import { choice, integer, preset, toggle } from "./cli/option.ts";
import { openRewardSource, rankOptions } from "./cli/ranking.ts";
import { checkData, dataOptions, groupsOf, inputOptions, promptOptions, promptsOf } from "./cli/records.ts";
import { memoryCheck } from "../lib/model/needs.ts";
import { planMemory } from "./cli/memory_plan.ts";
import { behind, checkKept, fromBlock, resumeOption } from "./cli/resume.ts";
import { sharded, shardOption } from "./cli/shard.ts";
import { pick } from "./cli/shared_options.ts";
import { writeUntilBroken } from "./cli/until_broken.ts";

await runTask({
  name: "score",
  summary: "Mark candidates right or wrong, rank them, and add their log-probs",
  description:
    "Reads groups and writes them with each candidate's answer, correct, logprob and score, and with rank and " +
    "reward where --rank says what to rank by. Candidates answer a conversation's last question. Without --model it only labels and ranks. The log-probs of the model before training are what objectives with a reference model need: DPO and its kin, KTO, NCA, GSPO.",
  examples: [
    {
      does: "Label and score generated candidates",
      command: "deno task score --model runs/vft --input groups.jsonl",
    },
    {
      does: "Candidates of several sources: bring their endings into one form",
      command: "deno task score --model runs/vft --endings normalize --input candidates.jsonl",
    },
    {
      does: "No answers are known: the candidates vote",
      command: "deno task generate --model runs/vft --input questions.jsonl -k 8 --keep-duplicates | " +
        "deno task score --model runs/vft --label majority",
    },
    {
      does: "Score a data set's own candidates",
      command: "deno task score --model runs/vft --data ranked",
    },
    {
      does: "Rank candidates by people's ratings in the records",
      command: "deno task score --rank ratings --input rated.jsonl",
    },
    {
      does: "Rank them by a model behind an OpenAI-compatible endpoint",
      command:
        "deno task score --rank judge --judge-url http://localhost:8000/v1 --judge-model NAME --input g.jsonl",
    },
  ],
  options: {
    ...pick(
      "model",
      "adapter",
      "baseDtype",
      "unknownTensors",
      "input",
      "output",
      "data",
      "limit",
      "backend",
      "overwrite",
    ),
    ...dataOptions,
    ...inputOptions,
    ...promptOptions,
    label: preset(
      choice("--label", {
        choices: ["answer", "majority"],
        help:
          "What is right: the record's answer, or the one that most candidates of the question give, whose " +
          "shares of the votes become rewards",
      }),
      "answer",
    ),
    ...resumeOption,
    ...shardOption,
    strict: toggle("--strict", { help: "Only answers that are marked as such (#### 72) count" }),
    relabel: toggle("--relabel", { help: "Label by answers also what records bring labels for" }),
    endings: preset(
      choice("--endings", {
        choices: ["keep", "normalize"],
        help: "State every answer in one form, so that no loss can learn the format",
      }),
      "keep",
    ),
    microBatch: preset(integer("--micro-batch", { help: "Tokens computed at once" }), 4096),
    tooLong: preset(
      choice("--too-long", {
        choices: ["skip", "refuse"],
        help: "What to do with candidates longer than the context",
      }),
      "skip",
    ),
    ...rankOptions,
  },
  feeds: true,
  resumes: "records",
  together: "dealt",
  plan: (options) => planMemory("score", options),
  async run(options, io) {
    const { strict, relabel, endings, tooLong } = options, majority = options.label === "majority";
    if (majority && relabel) throw new UsageError("Option --relabel has no meaning with --label majority");
    if (majority && options.rank !== undefined) {
      throw new UsageError("Only one of --rank and --label majority can be given: both write rewards");
    }
    const isFirst = io.world.rank === 0;
    if (isFirst) await checkData(options, io);
    const prompt = await promptsOf(options);
    await using ranking = isFirst ? await openRewardSource(options, io) : undefined;
    const model = options.model === undefined ? undefined : await loadModel(options.model, {
      adapter: options.adapter,
      baseDtype: options.baseDtype,
      check: memoryCheck("score", options),
      backend: options.backend,
      unknown: options.unknownTensors,
      listener: io.listener,
      signal: io.signal,
    });
    const groups = groupsOf(options, io), voting = { strict, listener: io.listener, signal: io.signal };
    const shard = sharded(majority ? labelByMajority(groups, voting) : groups, options, io);
    const { from, again } = fromBlock(io.output.kept);
    const source = async function* (): AsyncGenerator<Group> {
      for await (const group of behind(checkKept(shard.records, io), from)) {
        yield endings === "keep" ? group : normalizeResponses(label(group, { strict, relabel }));
      }
    };
    const scored = overRanks(
      io,
      { part: "score", ...dealing.score },
      (groups: AsyncIterable<Group>, listener) =>
        score(model, groups, {
          strict,
          relabel,
          tooLong,
          microBatchTokens: options.microBatch,
          prompt,
          // One bar for both: where there is a ranking, it is the slower part.
          listener: ranking ? { ...listener, progress: undefined } : listener,
          signal: io.signal,
        }),
    );
    const ranked = (groups: AsyncIterable<Group>) =>
      ranking === undefined ? behind(scored(groups), again) : rank(behind(scored(groups), again), {
        source: ranking.source,
        unranked: options.unranked,
        listener: { ...io.listener, progress: (event) => io.listener.progress({ ...event, part: "score" }) },
        signal: io.signal,
      });
    await writeUntilBroken(source(), ranked, io);
    await shard.end();
  },
});
