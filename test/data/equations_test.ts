import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import {
  equationHolds,
  evaluateArithmetic,
  listEquations,
  selectRejectionSamples,
  stripCalculator,
} from "../../lib/data/equations.ts";

const train = new URL("../../../shared/data/gsm8k/train.jsonl", import.meta.url);
const skip = existsSync(train) ? false : "the shared data are not beside the project";

test("equations are listed and dropped", () => {
  const chain = "He has 48/2 = <<48/2 = 24>>24 and $<<48+24=72>>72.\n#### 72";
  assert.deepEqual(listEquations(chain), ["48/2=24", "48+24=72"]);
  assert.equal(stripCalculator(chain), "He has 48/2 = 24 and $72.\n#### 72");
  assert.deepEqual(listEquations("no << marks"), []);
  assert.deepEqual(listEquations("3 + 4 = 7 pens. (7 - 1) * $2.50 = $15. On 5 - 6 May, x = 3."), [
    "3+4=7",
    "(7-1)*$2.50=$15",
  ]);
  assert.ok(listEquations("3 + 4 = 7 pens. (7 - 1) * $2.50 = $15.").every(equationHolds));
});

test("arithmetic by hand", () => {
  const cases: [string, number][] = [
    ["2+3*4", 14],
    ["(2+3)*-4", -20],
    ["10-4-3", 3],
    ["20/100*20", 4],
    ["2^3^2", 512],
    ["1,000*2", 2000],
    ["$5.50*2", 11],
    ["20%*50", 10],
    ["3×4÷6", 2],
  ];
  for (const [expression, expected] of cases) {
    assert.ok(Math.abs(evaluateArithmetic(expression) - expected) < 1e-12, expression);
  }
});

test("anything but arithmetic is not a number, and nothing is run", () => {
  const hostile = [
    "x+1",
    "",
    "(",
    "1+",
    "1;2",
    "globalThis",
    "a()",
    "'1'",
    "[1]",
    "1,2",
    "1..2",
    "()",
    "(".repeat(200),
    "1e9e9",
  ];
  for (const expression of hostile) assert.ok(Number.isNaN(evaluateArithmetic(expression)), expression);
  assert.ok(Number.isNaN(evaluateArithmetic("1" + "+1".repeat(10_000))));
});

test("an equation holds to 1e-3", () => {
  for (const equation of ["48/2=24", "1/3=0.333", "2*3=6=12/2", "9=9"]) {
    assert.ok(equationHolds(equation), equation);
  }
  for (const equation of ["48/2=25", "1/3=0.33", "48/2", "x=x", "1/0=1/0", "2*3=6=7", "=5"]) {
    assert.ok(!equationHolds(equation), equation);
  }
});

test("rejection sampling: correct, sound, one per list of equations, the farthest on a clash", () => {
  const reference = "aaaa <<1+1=2>>";
  const candidate = (text: string, correct: boolean | undefined = true) => ({ text, correct });
  const wrong = candidate("<<3+3=6>>", false);
  const unsound = candidate("<<3+3=7>>");
  const unlabelled = { text: "<<9+9=18>>" };
  const same = candidate("other words <<1+1=2>>"); // the reference's own list
  const near = candidate("aaaa <<2+0=2>>");
  const far = candidate("bbbbbbbb <<2+0=2>>"); // Levenshtein to the reference 10 against 2
  const plain = candidate("two");
  const twin = candidate(" two ");
  assert.deepEqual(
    selectRejectionSamples([wrong, near, unsound, plain, same, unlabelled, far, twin], reference),
    [plain, far],
  );
  assert.deepEqual(selectRejectionSamples([near, far]), [near]); // nothing to be far from: the earlier one
  assert.deepEqual(selectRejectionSamples([]), []);
});

test("the equations of GSM8K's training chains hold", { skip }, () => {
  let total = 0, holding = 0, plain = 0, plainHolding = 0;
  for (const line of readFileSync(train, "utf8").trim().split("\n")) {
    const { answer } = JSON.parse(line);
    for (const equation of listEquations(answer)) {
      if (!answer.includes("<<")) {
        plain++;
        if (equationHolds(equation)) plainHolding++;
        continue;
      }
      total++;
      if (equationHolds(equation)) holding++;
    }
  }
  assert.deepEqual([total, holding], [23716, 23714]); // the other two write 560//10
  assert.deepEqual([plain, plainHolding], [18, 17]); // in 95 chains without marks; "$2.50 - $2.24 = 26 cents"
});
