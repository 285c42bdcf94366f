/** `align` and `study` by several ranks: one process. Ranks live in this process; `test/tasks/mpi_test.ts` has real ones. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  align,
  type AlignOptions,
  InputError,
  loadDataset,
  study,
  type StudyOptions,
  UsageError,
} from "../../mod.ts";
import type { Listener } from "../../lib/runtime/listener.ts";
import type { World } from "../../lib/runtime/world.ts";
import { freshPath } from "../_models.ts";
import { assertNear, assertSameRuns } from "../_same_runs.ts";
import { worldOf } from "../_worlds.ts";

const small: AlignOptions = {
  backend: "wasm",
  limit: 10,
  testLimit: 6,
  epochs: 1,
  alignEpochs: 1,
  samples: 2,
  votes: 2,
  maxTokens: 12,
  batchSize: 4,
  learningRate: 1e-4,
};

/** What each of so many ranks makes of the same. One that fails ends all, as a task does. */
async function byRanks<T>(
  ranks: number,
  work: (world: World) => Promise<T>,
): Promise<PromiseSettledResult<T>[]> {
  return await Promise.allSettled(
    worldOf(ranks).map(async (world) => {
      try {
        return await work(world);
      } catch (error) {
        world.abort(1);
        throw error;
      }
    }),
  );
}

/** The results of ranks that all came to their end. */
function made<T>(ended: PromiseSettledResult<T>[]): T[] {
  return ended.map((one) => one.status === "fulfilled" ? one.value : assert.fail(`${one.reason?.stack}`));
}

for (
  const [what, worlds, options] of [
    ["the paper's method", [2, 3], { ...small, constraints: "dc" }],
    ["an adapter, measured on the way, two rounds, votes", [2], {
      ...small,
      lora: "r=2",
      constraints: "dc",
      rounds: 2,
      label: "majority",
      evaluation: { data: "arithmetic:test", limit: 3, generate: 2, keepBest: "loss" },
    }],
  ] as const satisfies readonly (readonly [string, readonly number[], AlignOptions])[]
) {
  test(`align of ${worlds.join(" and ")} ranks is one process: ${what}`, async () => {
    const one = await align({ ...options, out: freshPath() });
    for (const ranks of worlds) {
      const out = freshPath(), heard: number[] = [];
      const ended = made(
        await byRanks(ranks, (world) => {
          const listener: Listener = {
            note: () => heard.push(world.rank),
            metrics: () => heard.push(world.rank),
          };
          return align({ ...options, out, world }, listener);
        }),
      );
      assertSameRuns(out, one.out);
      assertNear(
        ended[0]!.rows.map((row) => row.sampledTokens),
        one.rows.map((row) => row.sampledTokens),
        "tokens",
      );
      for (const { rows, table, report } of ended.slice(1)) {
        assert.deepEqual({ rows, table, report }, {
          rows: ended[0]!.rows,
          table: ended[0]!.table,
          report: ended[0]!.report,
        });
      }
      assert.deepEqual([...new Set(heard)], [0], "rank 0's listener alone is told");
      assert.ok(!existsSync(join(out, "run.lock")));
    }
  });
}

test("a run that was ended in the middle goes on with another number of ranks", async () => {
  const options = { ...small, constraints: "dc" } as const, out = freshPath();
  const whole = await align({ ...options, out: freshPath() });
  for (
    const [ranks, stop] of [[2, /^vft: step 1$/], [3, /^candidates: [4-9]$/], [
      2,
      /^aft-dc: step 1$/,
    ]] as const
  ) {
    const reason = new Error("enough");
    const ended = await byRanks(ranks, async (world) => {
      const controller = new AbortController();
      const enough = (line: string) => stop.test(line) && controller.abort(reason);
      await align({ ...options, out, world, resume: existsSync(out), signal: controller.signal }, {
        metrics: (model, { step }) => enough(`${model}: step ${step}`),
        progress: ({ part, done }) => enough(`${part}: ${done}`),
      });
    });
    assert.ok(ended.every(({ status }) => status === "rejected"), "nobody goes on alone");
  }
  assert.ok(!existsSync(join(out, "results.json")));
  const alone = await align({ ...options, out, resume: true });
  assertSameRuns(out, whole.out);
  // A run that is there is read by all.
  const again = made(await byRanks(2, (world) => align({ ...options, out, resume: true, world })));
  for (const { rows } of again) assertNear(rows, alone.rows, "rows");
});

test("the ranks may see what is there at other times: rank 0 alone looks", async () => {
  const out = freshPath();
  // A problem source that only rank 0 may open before training, and that tells who reads it.
  const readers: number[] = [];
  const data = (rank: number) => () => {
    readers.push(rank);
    return loadDataset("arithmetic", { limit: 10 });
  };
  const [first] = made(
    await byRanks(
      2,
      (world) =>
        align({
          ...small,
          constraints: "none",
          out,
          data: data(world.rank),
          testData: "arithmetic:test",
          world,
        }),
    ),
  );
  assert.ok(existsSync(first!.report));
  // Checked, counted, trained on by both, sampled for.
  assert.deepEqual(readers.filter((rank) => rank === 1).length, 1, "rank 1 reads what it trains on");
});

test("what rank 0 refuses, all refuse, by the same line and with nothing written", async () => {
  const taken = freshPath();
  mkdirSync(taken);
  writeFileSync(join(taken, "thesis.txt"), "x");
  const refusal = async (options: AlignOptions, kind: typeof InputError) => {
    const ended = await byRanks(3, (world) => align({ ...small, ...options, world }));
    return ended.map((one) => {
      assert.ok(one.status === "rejected" && one.reason instanceof kind, `${JSON.stringify(one)}`);
      return one.reason.message as string;
    });
  };
  for (
    const [options, kind, expected] of [
      [{ out: taken }, UsageError, /^Cannot write .*: it already exists; use option `resume`/],
      [{ out: freshPath(), model: "gone/model-x" }, InputError, /gone\/model-x/],
      [
        { out: freshPath(), data: "gone.jsonl", testData: "arithmetic:test" },
        InputError,
        /gone\.jsonl/,
      ],
      [{ out: freshPath(), limit: -1 }, UsageError, /limit/i],
    ] as const
  ) {
    const [line, ...others] = await refusal(options, kind);
    assert.match(line!, expected);
    assert.deepEqual(others, [line, line]);
    if (options.out !== taken) assert.ok(!existsSync(options.out), options.out);
  }
  assert.deepEqual(readdirSync(taken), ["thesis.txt"]);
  await assert.rejects(
    align({ ...small, out: freshPath(), world: 2 as unknown as World }),
    (error) =>
      error instanceof UsageError &&
      error.message === "Option world must be a world, as `openWorld` gives it: got 2",
  );
});

test("a study of two ranks is one process: experiments, and probes on the way", async () => {
  const quick: StudyOptions = {
    quick: true,
    backend: "wasm",
    data: ["arithmetic"],
    only: ["pilot", "main"],
    methods: ["VFT", "AFT"],
    start: ["vft"],
    learningRate: 1e-4,
  };
  const one = freshPath(), two = freshPath();
  const expected = await study({ ...quick, out: one });
  const warned: string[] = [];
  const outcomes = made(
    await byRanks(
      2,
      (world) =>
        study({ ...quick, out: two, world }, { warn: (line) => warned.push(`${world.rank}: ${line}`) }),
    ),
  );
  assertNear(outcomes[0], expected, "outcomes");
  assert.deepEqual(outcomes[1], outcomes[0]);
  const files = (out: string) =>
    readdirSync(out, { recursive: true }).map((file) => `${file}`.replace(/-[0-9a-f]{8}/g, "")).sort();
  assert.deepEqual(files(two), files(one));
  assert.ok(warned.length > 0 && warned.every((line) => line.startsWith("0: ")), warned.join("\n"));
  const again = made(await byRanks(2, (world) => study({ ...quick, out: one, world })));
  assertNear(again[0], expected, "what was there");
});
