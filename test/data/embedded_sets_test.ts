import assert from "node:assert/strict";
import { test } from "node:test";
import { arithmeticProblems } from "../../lib/data/embedded/arithmetic.ts";
import { longArithmeticProblems } from "../../lib/data/embedded/arithmetic_long.ts";
import { optionsProblems } from "../../lib/data/embedded/options.ts";
import { grades, rankedGroups } from "../../lib/data/embedded/ranked.ts";

const options = [...optionsProblems()];
const ranked = [...rankedGroups({ count: 1_500 })];

test("options: same seed same bytes, other seeds other problems", () => {
  const text = (seed: number) => JSON.stringify([...optionsProblems({ seed, count: 40 })]);
  assert.equal(text(1), text(1));
  assert.notEqual(text(1), text(2));
});

test("options: five different choices, the answer is a letter, the reference ends in it", () => {
  assert.equal(options.length, 4_000);
  options.forEach((problem, i) => {
    assert.equal(problem.id, `options-train-${i}`);
    assert.equal(new Set(problem.choices).size, 5, problem.question);
    assert.match(problem.answer, /^[A-E]$/);
    assert.match(problem.reference, new RegExp(`^[^\\n]+\\.\\nThe answer is ${problem.answer}\\.$`));
  });
});

test("options: the right choice follows from the question, worked out here anew", () => {
  const byKind = new Map<string, number>();
  for (const { question, choices, answer, reference } of options) {
    const right = choices["ABCDE".indexOf(answer)];
    const numbers = (question.match(/\d+/g) ?? []).map(Number);
    let kind: string;
    if (question.startsWith("Which number comes next")) {
      kind = "next";
      assert.equal(Number(right), 2 * numbers[3] - numbers[2]);
      assert.equal(numbers[1] - numbers[0], numbers[3] - numbers[2]);
    } else if (/^Which number is the (largest|smallest)/.test(question)) {
      kind = "extreme";
      const best = question.includes("largest") ? Math.max : Math.min;
      assert.equal(Number(right), best(...choices.map(Number)));
    } else if (/Who is the/.test(question)) {
      kind = "ordering";
      const pairs = [...question.matchAll(/(\w+) is \w+ than (\w+)/g)].map(([, more, less]) => [more, less]);
      assert.equal(pairs.length, 4);
      const last = /youngest|shortest|slowest/.test(question) ? 0 : 1; // the one nobody is above, or below
      assert.ok(choices.every((name) => pairs.some(([, less], i) => name === less || name === pairs[i][0])));
      assert.deepEqual(choices.filter((name) => !pairs.some((pair) => pair[last] === name)), [right]);
    } else if (question.includes("On which day")) {
      kind = "day";
      const week = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
      const start = week.indexOf(question.match(/leaves on (\w+)/)![1]);
      assert.equal(right, week[(start + numbers[0]) % 7]);
    } else if (question.startsWith("Which of these")) {
      kind = "fact";
      assert.ok(reference.includes(` ${right} is a`));
    } else {
      kind = "story";
      assert.equal(reference.match(/(\d+) [a-z]+\.\n/)![1], right);
    }
    byKind.set(kind, (byKind.get(kind) ?? 0) + 1);
  }
  assert.equal(byKind.size, 6);
  for (const [kind, count] of byKind) assert.ok(count > 300, `${kind}: ${count}`);
});

test("options: letters are uniform", () => {
  const counts = [..."ABCDE"].map((letter) => options.filter(({ answer }) => answer === letter).length);
  const squares = counts.map((count) => (count - 800) ** 2 / 800).reduce((a, b) => a + b);
  assert.ok(squares < 18.5, String(counts)); // chi-squared with 4 degrees of freedom exceeds it once in 1,000
});

test("options: no question with the same choices is in both splits, and none comes twice", () => {
  const key = ({ question, choices }: typeof options[number]) => `${question} ${choices.toSorted().join()}`;
  const known = new Set([...options, ...optionsProblems({ seed: 2 })].map(key));
  assert.equal(new Set(options.map(key)).size, options.length);
  const others = [...optionsProblems({ split: "test" }), ...optionsProblems({ split: "test", seed: 7 })];
  assert.equal(others.length, 1_000);
  for (const problem of others) assert.ok(!known.has(key(problem)), problem.question);
});

test("options: out of range is refused", () => {
  assert.throws(() => [...optionsProblems({ split: "dev" as "test" })], /Split of options must be/);
  assert.throws(() => [...optionsProblems({ count: 1.5 })], /Count must be a whole number/);
});

test("ranked: same seed same bytes, disjoint splits", () => {
  const text = (seed: number) => JSON.stringify([...rankedGroups({ seed, count: 40 })]);
  assert.equal(text(1), text(1));
  assert.notEqual(text(1), text(2));
  const known = new Set(ranked.map(({ question }) => question));
  for (const { question } of rankedGroups({ split: "test", count: 300 })) assert.ok(!known.has(question));
});

test("ranked: four to eight distinct candidates, one right at least, three grades at least", () => {
  const sizes = new Set<number>();
  ranked.forEach((group, i) => {
    assert.equal(group.id, `ranked-train-${i}`);
    assert.equal(group.dataset, "ranked");
    sizes.add(group.candidates.length);
    assert.equal(new Set(group.candidates.map(({ text }) => text)).size, group.candidates.length);
    assert.ok(group.candidates.some(({ correct }) => correct));
    assert.ok(new Set(group.candidates.map(({ grade }) => grade)).size >= 3);
  });
  assert.deepEqual([...sizes].sort(), [4, 5, 6, 7, 8]);
});

test("ranked: ranks and rewards follow the grades", () => {
  for (const { candidates } of ranked) {
    const ranks = candidates.map(({ rank }) => rank);
    assert.deepEqual([...new Set(ranks)].sort(), Array.from({ length: Math.max(...ranks) }, (_, i) => i + 1));
    for (const a of candidates) {
      assert.equal(a.reward, [1, 0.75, 0.5, 0.25, 0][grades.indexOf(a.grade)]);
      for (const b of candidates) {
        assert.equal(Math.sign(a.rank - b.rank), Math.sign(b.reward - a.reward));
        assert.equal(a.rank === b.rank, a.grade === b.grade);
      }
    }
  }
});

test("ranked: a candidate is what its grade says", () => {
  const counts = new Map<string, number>();
  for (const { question, answer, candidates } of ranked) {
    for (const candidate of candidates) {
      const { text, grade, correct } = candidate;
      counts.set(grade, (counts.get(grade) ?? 0) + 1);
      const equations = [...text.matchAll(/(\d+) ([-+*/]) (\d+) = (\d+)/g)].map(([, a, sign, b, value]) => {
        const [x, y] = [Number(a), Number(b)];
        return {
          x,
          y,
          value: Number(value),
          true: { "+": x + y, "-": x - y, "*": x * y, "/": x / y }[sign] === +value,
        };
      });
      const wrong = equations.flatMap((equation, i) => equation.true ? [] : [i]);
      const known = new Set([1, 2, ...question.match(/\d+/g)!.map(Number)]);
      const follows = equations.every(({ x, y, value }) => {
        const followed = known.has(x) && known.has(y);
        known.add(value);
        return followed;
      });
      assert.equal(text.match(/\n#### (\d+)$/)![1], candidate.answer);
      assert.equal(String(equations.at(-1)!.value), candidate.answer);
      assert.equal(correct, grade === "right");
      assert.equal(correct, candidate.answer === answer);
      assert.equal(follows, grade !== "nonsense", `${question} ${text}`);
      const place = { "late slip": [equations.length - 1], "early slip": [0] }[grade as string] ?? [];
      assert.deepEqual(wrong, place, text);
    }
  }
  for (const grade of grades) assert.ok(counts.get(grade)! > 600, `${grade}: ${counts.get(grade)}`);
});

test("arithmetic-long: four equations each, no question of the arithmetic set, whatever the split", () => {
  const long = [...longArithmeticProblems({ count: 300 })];
  const short = new Set([...arithmeticProblems()].map(({ question }) => question));
  long.forEach((problem, i) => {
    assert.equal(problem.id, `arithmetic-long-train-${i}`);
    assert.equal(problem.dataset, "arithmetic-long");
    assert.ok(problem.reference.match(/ = /g)!.length >= 4, problem.reference);
    assert.ok(!short.has(problem.question));
  });
  const tested = new Set([...longArithmeticProblems({ split: "test" })].map(({ question }) => question));
  assert.ok(long.every(({ question }) => !tested.has(question)));
});

test("a story is in the same split of the options set and of the arithmetic set", () => {
  const sizes = { largestFactor: 9, largestAmount: 20, largestValue: 100 };
  const problems = [...arithmeticProblems({ split: "test", ...sizes, count: 5_000 })];
  const tested = new Set(problems.map(({ question }) => question));
  for (const { question } of options) assert.ok(!tested.has(question), question);
  const shared = [...optionsProblems({ split: "test" })].filter(({ question }) => tested.has(question));
  assert.ok(shared.length > 0, "the sets have no story in common");
});
