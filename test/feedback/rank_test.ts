import assert from "node:assert/strict";
import { test } from "node:test";
import { grades, rankedGroups } from "../../lib/data/embedded/ranked.ts";
import type { Group } from "../../lib/data/records.ts";
import { denseRanks, rank, type RewardSource, withRewards } from "../../lib/feedback/rank.ts";
import { ratings } from "../../lib/feedback/rank_ratings.ts";
import { stepAgreement, stepRewards, steps } from "../../lib/feedback/rank_steps.ts";
import { InputError } from "../../lib/runtime/errors.ts";

const groupOf = (id: string, texts: readonly string[], fields: object = {}): Group => ({
  id,
  question: "?",
  candidates: texts.map((text) => ({ text })),
  ...fields,
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

test("ranks are dense: 1 is best, ties share, nothing takes no place", () => {
  assert.deepEqual(denseRanks([0.5, 2, 0.5, -1]), [2, 1, 2, 3]);
  assert.deepEqual(denseRanks([0.5, undefined, 1, 0.5]), [2, undefined, 1, 2]);
  assert.deepEqual(denseRanks([0, -0]), [1, 1]);
  assert.deepEqual(denseRanks([undefined]), [undefined]);
  assert.deepEqual(denseRanks([]), []);
});

test("rank and reward are replaced, or taken away where nothing is known; other fields stay", () => {
  const group: Group = {
    id: "q",
    question: "?",
    note: 7,
    candidates: [
      { text: "a", rank: 9, reward: 9, source: "s" },
      { text: "b", rank: 1, reward: 10 },
    ],
  };
  assert.deepEqual(withRewards(group, [0.25, undefined]), {
    id: "q",
    question: "?",
    note: 7,
    candidates: [{ text: "a", source: "s", rank: 1, reward: 0.25 }, { text: "b" }],
  });
  assert.equal(group.candidates[0].rank, 9);
});

test("ratings in the record order its candidates", async () => {
  const rated = { ...groupOf("q", []), candidates: [3, 5, 3].map((reward) => ({ text: "t", reward })) };
  const [ranked] = await all(rank([rated], { source: ratings }));
  assert.deepEqual(ranked.candidates.map(({ rank, reward }) => [rank, reward]), [[2, 3], [1, 5], [2, 3]]);
});

test("candidates that nothing ranks are counted, and kept or dropped", async () => {
  const rated: Group = { ...groupOf("q", []), candidates: [{ text: "a", reward: 1 }, { text: "b" }] };
  const lines: string[] = [];
  const options = { source: ratings, listener: { warn: (line: string) => lines.push(line) } };
  const [kept] = await all(rank([rated], options));
  assert.deepEqual(kept.candidates, [{ text: "a", rank: 1, reward: 1 }, { text: "b" }]);
  const [dropped] = await all(rank([rated], { ...options, unranked: "drop" }));
  assert.deepEqual(dropped.candidates, [{ text: "a", rank: 1, reward: 1 }]);
  const missing = 'without a rating (field "reward", or "score" without "logprob")';
  assert.deepEqual(lines, [
    `1 of 2 candidates are ${missing}: they have no rank`,
    `1 of 2 candidates are ${missing}: they are left out`,
  ]);
});

test("input without anything to rank by is refused, after its groups were handed on", async () => {
  const ranked = rank([groupOf("q", ["a", "b"])], { source: ratings });
  assert.equal((await ranked.next()).value.id, "q");
  await assert.rejects(ranked.next(), (error: Error) => {
    assert.ok(error instanceof InputError);
    assert.match(error.message, /^Cannot rank by ratings: not one of 2 candidates has a rating/);
    return true;
  });
  assert.deepEqual(await all(rank([groupOf("q", [])], { source: ratings })), [groupOf("q", [])]);
});

/** Gives each group's rewards after as many milliseconds as its id says. */
function slowSource(concurrency: number): RewardSource & { most: number } {
  let now = 0;
  const source = {
    name: "test",
    missing: "a reward",
    concurrency,
    most: 0,
    async rewards(group: Group) {
      source.most = Math.max(source.most, ++now);
      await new Promise((resolve) => setTimeout(resolve, Number(group.id)));
      now--;
      if (group.question === "fail") throw new InputError(`Cannot judge ${group.id}`);
      return group.candidates.map(() => 1);
    },
  };
  return source;
}

test("several groups at once, no more than asked for, in their order", async () => {
  const groups = ["30", "1", "20", "2", "10", "0"].map((id) => groupOf(id, ["a"]));
  const source = slowSource(3);
  assert.deepEqual((await all(rank(groups, { source }))).map(({ id }) => id), [
    "30",
    "1",
    "20",
    "2",
    "10",
    "0",
  ]);
  assert.equal(source.most, 3);
});

test("what stands before a failure is handed on, of the source or of the input", async () => {
  const failing = [groupOf("5", ["a"]), groupOf("20", ["a"]), { ...groupOf("1", ["a"]), question: "fail" }];
  const ids: string[] = [];
  await assert.rejects(async () => {
    for await (const { id } of rank([...failing, groupOf("0", ["a"])], { source: slowSource(4) })) {
      ids.push(id);
    }
  }, /Cannot judge 1/);
  assert.deepEqual(ids, ["5", "20"]);

  async function* broken() {
    yield groupOf("5", ["a"]);
    yield groupOf("6", ["a"]);
    await Promise.resolve();
    throw new InputError("Cannot read record 3");
  }
  ids.length = 0;
  await assert.rejects(async () => {
    for await (const { id } of rank(broken(), { source: slowSource(4) })) ids.push(id);
  }, /Cannot read record 3/);
  assert.deepEqual(ids, ["5", "6"]);
});

test("a reader that stops early, and an abort, stop the source", async () => {
  const signals: AbortSignal[] = [];
  const source: RewardSource = {
    name: "test",
    missing: "a reward",
    concurrency: 2,
    rewards: (group, signal) => (signals.push(signal), group.candidates.map(() => 1)),
  };
  for await (const _ of rank([groupOf("1", ["a"]), groupOf("2", ["a"])], { source })) break;
  assert.ok(signals.length > 0 && signals.every(({ aborted }) => aborted));
  const signal = AbortSignal.abort(new Error("Interrupted"));
  await assert.rejects(all(rank([groupOf("1", ["a"])], { source, signal })), /Interrupted/);
});

// 48/2 = 24, 48+24 = 72
const reference = "She sold 48/2 = <<48/2=24>>24 in May.\nTogether <<48+24=72>>72.\n#### 72";

test("agreement of steps, by hand", () => {
  assert.equal(stepAgreement(reference, reference), 1);
  // Order and operands' order do not count: {72, 24} against {24, 72}.
  assert.equal(stepAgreement("<<24+48=72>> after <<48/2=24>>", reference), 1);
  // One value of one equation: 2·1 / (1 + 2).
  assert.equal(stepAgreement("<<48/2=24>>", reference), 2 / 3);
  // Both values and one more step: 2·2 / (3 + 2).
  assert.equal(stepAgreement("<<48/2=24>> <<2*24=48>> <<48+24=72>>", reference), 4 / 5);
  // A right value from a wrong equation is no step: only 24 counts, 2·1 / (2 + 2).
  assert.equal(stepAgreement("<<48/2=24>> <<48+25=72>>", reference), 1 / 2);
  // A value counts once: 2·1 / (2 + 2).
  assert.equal(stepAgreement("<<48/2=24>> <<12*2=24>>", reference), 1 / 2);
  // Equations in running text are equations too; 24.0005 is 24 within 1e-3.
  assert.equal(stepAgreement("She sold 48 / 2 = 24 in May, and 48 + 24 = 72 in all", reference), 1);
  assert.equal(stepAgreement("<<48.001/2=24.0005>> <<48+24=72>>", reference), 1);
  // A chain without equations agrees in nothing, whatever its words.
  assert.equal(stepAgreement("She sold 24 in May. Together 72.", reference), 0);
});

test("references without equations are compared by words", () => {
  const explanation = "Mammoth cave is located in Kentucky";
  assert.equal(stepAgreement("in KENTUCKY is located: Mammoth Cave!", explanation), 1);
  // cave, is, in, shared: 2·3 / (4 + 6).
  assert.equal(stepAgreement("A cave is in", explanation), 6 / 10);
  // A word counts as often as both have it: 2·1 / (3 + 6).
  assert.equal(stepAgreement("cave cave cave", explanation), 2 / 9);
  assert.equal(stepAgreement("…", explanation), 0);
  assert.equal(stepAgreement("…", "…"), 0);
  assert.equal(stepAgreement("東京 は 首都", "首都 は 東京"), 1);
});

test("a right answer beats a wrong one, whatever the steps", () => {
  const group = groupOf("q", [
    reference,
    "No steps at all\n#### 72",
    "<<48/2=24>> <<48+24=72>>\n#### 71", // all steps, wrong answer
    "#### 0",
  ], { reference, answer: "72" });
  assert.deepEqual(stepRewards(group), [1, 2 / 3, 1 / 3, 0]);
  assert.deepEqual(denseRanks(stepRewards(group)), [1, 2, 3, 4]);
  // A label decides where there is one.
  const labelled = { ...group, candidates: [{ text: "#### 72", correct: false }] };
  assert.deepEqual(stepRewards(labelled), [0]);
});

test("without a reference steps cannot rank", async () => {
  assert.deepEqual(stepRewards(groupOf("q", ["a", "b"], { answer: "1" })), [undefined, undefined]);
  await assert.rejects(
    all(rank([groupOf("q", ["a"])], { source: steps })),
    /^InputError: Cannot rank by steps: not one of 1 candidates has a reference to compare with/,
  );
});

test("text of a model is never run", () => {
  const hostile = "<<globalThis.process.exit(3)=72>> <<constructor=24>> <<1e999=24>> <<9**9**9**9=72>>";
  assert.equal(stepAgreement(hostile, reference), 0);
  assert.equal(stepAgreement("<<" + "(".repeat(1e5) + "=72>>", reference), 0);
});

test("ranks by steps follow the grades of the embedded ranked set", async () => {
  const groups = [...rankedGroups({ count: 200, seed: 3 })];
  const ranked = await all(rank(groups as Group[], { source: steps }));
  const sums = new Map<string, { reward: number; count: number }>();
  for (const { candidates } of ranked) {
    const best = candidates.filter((c) => c.rank === 1);
    assert.ok(best.length > 0 && best.every((c) => c.correct));
    for (const { grade, reward } of candidates) {
      const sum = sums.get(grade as string) ?? { reward: 0, count: 0 };
      sums.set(grade as string, { reward: sum.reward + reward!, count: sum.count + 1 });
    }
  }
  const mean = (grade: string) => sums.get(grade)!.reward / sums.get(grade)!.count;
  const [right, late, early, wrong, nonsense] = grades.map(mean);
  assert.ok(
    right > late && late > early && early > nonsense && wrong > nonsense,
    [...grades.map(mean)].join(),
  );
});
