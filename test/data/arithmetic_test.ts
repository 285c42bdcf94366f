import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ArithmeticChain,
  arithmeticCorpus,
  arithmeticProblems,
  arithmeticSolutions,
} from "../../lib/data/embedded/arithmetic.ts";
import { longArithmeticProblems } from "../../lib/data/embedded/arithmetic_long.ts";
import { step, tellStory } from "../../lib/data/embedded/_grammar.ts";
import { Random } from "../../lib/data/random.ts";

const train = [...arithmeticSolutions()];
const tested = [...arithmeticSolutions({ split: "test" })];

/** Equations as the text has them, read without the grammar. */
function equationsIn(text: string): { left: number; sign: string; right: number; value: number }[] {
  return [...text.matchAll(/(\d+) ([-+*/]) (\d+) = (\d+)/g)].map(([, left, sign, right, value]) => ({
    left: Number(left),
    sign,
    right: Number(right),
    value: Number(value),
  }));
}

function holds({ left, sign, right, value }: ReturnType<typeof equationsIn>[number]): boolean {
  const results: Record<string, number> = {
    "+": left + right,
    "-": left - right,
    "*": left * right,
    "/": left / right,
  };
  return results[sign] === value;
}

test("a problem is a record with a reference in GSM8K's form", () => {
  assert.equal(train.length, 4_000);
  assert.equal(tested.length, 500);
  train.forEach(({ problem }, i) => {
    assert.deepEqual(Object.keys(problem), ["id", "question", "reference", "answer", "dataset"]);
    assert.equal(problem.id, `arithmetic-train-${i}`);
    assert.match(problem.question, /^[A-Z].*\?$/);
    assert.match(problem.reference, /^[^\n]*\.\n#### \d+$/);
    assert.ok(problem.reference.endsWith(`\n#### ${problem.answer}`));
  });
});

test("the same seed gives the same bytes, another seed others, and the draw is a prefix of a longer one", () => {
  const text = (seed: number, count: number) => JSON.stringify([...arithmeticProblems({ seed, count })]);
  assert.equal(text(3, 50), text(3, 50));
  assert.notEqual(text(3, 50), text(4, 50));
  assert.ok(text(3, 60).startsWith(text(3, 50).slice(0, -1)));
});

test("a problem keeps its words from version to version", () => {
  const [first] = arithmeticProblems({ count: 1 });
  assert.equal(
    first.question,
    "Tom has 3 balls. He buys 5 more and sells 3. How many balls does he have now?",
  );
  assert.equal(first.reference, "5 - 3 = 2 balls. 3 + 2 = 5 balls.\n#### 5");
});

const things =
  /\b(apples|balls|beads|books|cakes|cards|cookies|cups|eggs|lemons|pears|pens|pies|plums|rolls|shells|stamps|toys|bags|boxes|jars|he|she)\b/g;

test("no test problem is a training problem, with other names neither, whatever the seed", () => {
  const anonymous = (question: string) =>
    question.match(/\d+/g)!.join(" ") + question.replace(/\S*[A-Z\d]\S*/g, "");
  const key = (question: string) => anonymous(question).replace(things, "");
  const known = new Set<string>();
  for (const seed of [1, 2, 3]) {
    for (const { question } of arithmeticProblems({ seed })) known.add(key(question));
  }
  for (const seed of [1, 2, 9]) {
    for (const { question } of arithmeticProblems({ split: "test", seed })) {
      assert.ok(!known.has(key(question)), question);
    }
  }
});

test("more test problems than usual: the first are the usual ones, the rest have numbers of their own, none are trained on", () => {
  const plot = (question: string) =>
    question.match(/\d+/g)!.join(" ") + question.replace(/\S*[A-Z\d]\S*/g, "")
      .replace(things, "");
  for (const draw of [arithmeticProblems, longArithmeticProblems]) {
    const many = [...draw({ split: "test", count: 1_500 })], usual = [...draw({ split: "test" })];
    assert.equal(many.length, 1_500);
    assert.deepEqual(many.slice(0, 500), usual);
    const before = new Set([...draw()].map(({ question }) => plot(question)));
    const known = new Set(usual.map(({ question }) => plot(question)));
    for (const { question } of many.slice(500)) {
      assert.ok(!known.has(plot(question)), question);
      assert.ok(!before.has(plot(question)), question);
      known.add(plot(question));
    }
  }
});

test("no question comes twice", () => {
  assert.equal(new Set(train.map(({ problem }) => problem.question)).size, train.length);
});

test("every equation of every chain is true, uses what is known, and the last one is the answer", () => {
  for (const { problem, chains } of [...train, ...tested]) {
    assert.ok(chains.some(({ text }) => text === problem.reference));
    for (const { text } of chains) {
      const equations = equationsIn(text);
      const known = new Set([1, 2, ...problem.question.match(/\d+/g)!.map(Number)]);
      for (const equation of equations) {
        assert.ok(holds(equation), text);
        assert.ok(known.has(equation.left) && known.has(equation.right), `${problem.question} ${text}`);
        known.add(equation.value);
      }
      assert.equal(String(equations.at(-1)!.value), problem.answer);
      assert.ok(text.endsWith(`\n#### ${problem.answer}`));
      assert.ok(equations.length >= 2 && equations.length <= 4);
    }
  }
});

test("a problem has two chains or more whose equations differ, not only in order", () => {
  const unordered = ({ text }: ArithmeticChain) =>
    equationsIn(text).map(({ left, sign, right }) =>
      "+*".includes(sign)
        ? `${Math.min(left, right)}${sign}${Math.max(left, right)}`
        : `${left}${sign}${right}`
    ).sort().join(" ");
  for (const { problem, chains } of [...train, ...tested]) {
    assert.ok(chains.length >= 2, problem.question);
    assert.equal(new Set(chains.map(unordered)).size, chains.length, problem.question);
  }
});

test("every number of a problem is within the bounds asked for, and within the defaults", () => {
  const options = { largestFactor: 5, largestAmount: 9, largestValue: 30, count: 300 };
  for (const [largest, problems] of [[100, train], [30, [...arithmeticSolutions(options)]]] as const) {
    for (const { problem, chains } of problems) {
      const text = [problem.question, ...chains.map((chain) => chain.text.replace(/\b[12] [*]|[-+] 1 /g, ""))]
        .join(" ");
      for (const number of text.match(/\d+/g)!.map(Number)) assert.ok(number >= 2 && number <= largest, text);
    }
  }
});

test("steps choose the kinds by their plainest chain", () => {
  for (const [fewest, most] of [[2, 2], [3, 3], [4, 4], [2, 3]] as const) {
    for (const { chains } of arithmeticSolutions({ steps: [fewest, most], count: 200 })) {
      const shortest = Math.min(...chains.map(({ steps }) => steps.length));
      assert.ok(shortest >= fewest && shortest <= most);
    }
  }
});

test("answers are spread out: none above 6%, and more than 50 of them", () => {
  const counts = new Map<string, number>();
  for (const { problem } of train) counts.set(problem.answer, (counts.get(problem.answer) ?? 0) + 1);
  assert.ok(Math.max(...counts.values()) / train.length < 0.06);
  assert.ok(counts.size > 50);
});

test("references are drawn from all chains alike", () => {
  const first = train.filter(({ problem, chains }) => chains[0].text === problem.reference).length;
  const expected = train.reduce((sum, { chains }) => sum + 1 / chains.length, 0);
  assert.ok(Math.abs(first - expected) < 4 * Math.sqrt(train.length / 4)); // 4 standard deviations at most
});

test("a kind that is wrong is found: ways that end differently throw, an impossible story is drawn again", () => {
  const sizes = { largestFactor: 9, largestAmount: 20, largestValue: 100 };
  const tell = (chains: ReturnType<typeof step>[][]) => () =>
    tellStory(new Random(1), [{
      name: "one",
      steps: 1,
      tell: () => ({ question: "How many are 3?", chains }),
    }], sizes);
  assert.throws(tell([[step(3, "+", 4, "cups")], [step(3, "*", 4, "cups")]]), /end differently: 7,12$/);
  const never = /Cannot tell a story of kind "one"/;
  assert.throws(tell([[step(3, "+", 4, "cups")], [step(4, "+", 3, "cups")]]), never); // the same equation
  assert.throws(
    tell([[step(3, "-", 4, "cups")], [step(9, "-", 4, "cups")], [step(2, "+", 3, "cups")]]),
    never,
  );
  assert.throws(
    tell([[step(7, "/", 2, "cups")], [step(9, "-", 4, "cups")], [step(2, "+", 3, "cups")]]),
    never,
  );
  assert.throws(
    tell([[step(99, "+", 2, "cups")], [step(9, "-", 4, "cups")], [step(2, "+", 3, "cups")]]),
    never,
  );
  assert.equal(tell([[step(9, "-", 4, "cups")], [step(2, "+", 3, "cups")]])().answer, 5);
});

test("the corpus is deterministic, true, and has no test story", () => {
  const corpus = [...arithmeticCorpus({ count: 4_000 })];
  assert.equal(corpus.length, 4_000);
  assert.deepEqual(corpus.slice(0, 100), [...arithmeticCorpus({ count: 100 })]);
  const questions = new Set(tested.map(({ problem }) => problem.question));
  let facts = 0;
  for (const text of corpus) {
    const question = text.match(/^ ([^?]*\?)/)?.[1];
    assert.ok(question === undefined || !questions.has(question));
    for (const equation of equationsIn(text)) assert.ok(holds(equation), text);
    for (const [, a, b, sum] of text.matchAll(/(\d+) and (\d+) make (\d+)/g)) assert.equal(+a + +b, +sum);
    for (const [, a, b, product] of text.matchAll(/(\d+) times (\d+) is (\d+)/g)) {
      assert.equal(+a * +b, +product);
    }
    assert.match(text, /^ \S/);
    assert.ok(!text.includes("####"));
    if (/^( \d+ \S+ \d+ \S+ \d+\.){6}$/.test(text)) facts++;
  }
  assert.ok(facts > 650 && facts < 950, `${facts} of 4000 are facts`); // one in five
  const unsolved = [...arithmeticCorpus({ count: 500, solved: 0 })].filter((text) => text.includes("?"));
  assert.ok(unsolved.length > 200 && unsolved.every((text) => !text.includes("=")));
});

test("options out of range are refused", () => {
  const draw = (options: Parameters<typeof arithmeticProblems>[0]) => () => [...arithmeticProblems(options)];
  assert.throws(draw({ split: "dev" as "test" }), /Split of arithmetic must be "train" or "test": got "dev"/);
  assert.throws(draw({ count: -1 }), /Count must be a whole number of problems: got -1/);
  assert.throws(draw({ steps: [5, 6] }), /Steps of arithmetic must be a range within 2 to 4: got \[5, 6\]/);
  assert.throws(draw({ largestFactor: 1 }), /largestFactor must be an integer from 3 to 1000000: got 1/);
  assert.throws(draw({ largestValue: 10.5 }), /largestValue must be an integer from 20/);
  assert.deepEqual(draw({ count: 0 })(), []);
});
