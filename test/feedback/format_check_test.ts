import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { rankedGroups } from "../../lib/data/embedded/ranked.ts";
import { readGroups } from "../../lib/data/jsonl.ts";
import { normalizeResponses } from "../../lib/data/prompts.ts";
import type { Group } from "../../lib/data/records.ts";
import { checkFormats, endingForm, FormatCheck } from "../../lib/feedback/format_check.ts";
import { label } from "../../lib/feedback/label.ts";
import { readBytes } from "../../lib/runtime/files.ts";

test("the form of an ending", () => {
  const forms: Record<string, string> = {
    "She has 3.\n#### 18": "#### 0",
    "#### -1,234.50\n": "#### 0",
    "#### $18": "#### $0",
    "x\nA: 18": "A: 0",
    "x\nThe answer is B.": "The answer is X.",
    "x\nThe answer is (C).": "The answer is (X).",
    "Answer:  3/4": "Answer: 0",
    "So in the end she has 18.": "… 0.",
    "So in the end she has 18 apples": "… a",
    "So in the end she has 18 red Äpfel!": "… a!",
    "": "",
  };
  for (const [text, form] of Object.entries(forms)) assert.equal(endingForm(text), form, text);
  assert.ok(endingForm("x".repeat(1e6)).length <= 40);
});

/** A group of candidates with labels: `+A: 1` is right, `-#### 2` wrong. */
function groupOf(...candidates: string[]): Group {
  return {
    id: "q",
    question: "?",
    answer: "1",
    candidates: candidates.map((text) => ({ text: text.slice(1), correct: text[0] === "+" })),
  };
}

test("what the form alone gets right, by hand", () => {
  const check = new FormatCheck();
  // 12 pairs #### over A:, 4 pairs A: over ####, 8 pairs of the same form:
  for (let i = 0; i < 12; i++) check.add(groupOf("+#### 1", "-A: 2"));
  for (let i = 0; i < 4; i++) check.add(groupOf("+A: 1", "-#### 2"));
  for (let i = 0; i < 8; i++) check.add(groupOf("+A: 1", "-A: 2"));
  // (max(12, 4) + 8/2) / 24 = 16/24
  assert.deepEqual(check.endings(), {
    pairs: 24,
    accuracy: 2 / 3,
    strongest: { better: "#### 0", worse: "A: 0", for: 12, against: 4 },
  });
  assert.deepEqual(check.warnings(), [
    'The form of the answer alone orders 67% of 24 pairs (50% would be chance): "#### 0" is better than "A: 0" in 12 ' +
    "of 16; a loss learns that instead of reasoning: scoring with option `endings: normalize` brings all into one form",
  ]);
  assert.deepEqual(new FormatCheck({ threshold: 0.7 }).warnings(), []);
});

test("every A: wrong and every #### right is the clearest case; the same endings are none", () => {
  const clear = new FormatCheck(), same = new FormatCheck();
  for (let i = 0; i < 10; i++) {
    clear.add(groupOf("+#### 1", "+#### 1.0", "-A: 2", "-A: 3"));
    same.add(groupOf("+#### 1", "+#### 1.0", "-#### 2", "-#### 3"));
  }
  assert.equal(clear.endings().pairs, 40);
  assert.equal(clear.endings().accuracy, 1);
  assert.equal(clear.warnings().length, 1);
  assert.deepEqual(same.endings(), { pairs: 40, accuracy: 0.5 });
  assert.deepEqual(same.warnings(), []);
});

/** Different short words. */
const word = (i: number) => String.fromCharCode(97 + i % 26, 97 + Math.floor(i / 26));

test("few pairs, and forms that seldom meet, say nothing", () => {
  const few = new FormatCheck();
  for (let i = 0; i < 19; i++) few.add(groupOf("+#### 1", "-A: 2"));
  assert.deepEqual(few.warnings(), []);
  few.add(groupOf("+#### 1", "-A: 2"));
  assert.equal(few.warnings().length, 1);
  const seldom = new FormatCheck();
  // 60 forms that each lose nine times: a rule made for them would order all of it.
  for (let i = 0; i < 540; i++) seldom.add(groupOf("+#### 1", `-${word(i % 60)}: 2`));
  assert.deepEqual(seldom.endings(), { pairs: 540, accuracy: 0.5 });
});

test("memory is bounded: forms beyond the 64th are one", () => {
  const check = new FormatCheck();
  for (let i = 0; i < 600; i++) check.add(groupOf("+#### 1", `-${word(i)}: 2`));
  // 63 forms that met once or twice, half each, and the rest together, all on one side.
  const { pairs, accuracy, strongest } = check.endings();
  assert.equal(pairs, 600);
  assert.deepEqual(strongest, { better: "#### 0", worse: "other", for: 600 - 63, against: 0 });
  assert.equal(accuracy, (600 - 63 + 63 / 2) / 600);
});

test("the reference counts as right, but once", () => {
  const check = new FormatCheck();
  check.add({ ...groupOf("+A: 1", "-A: 2"), reference: "#### 1" });
  check.add({ ...groupOf("+#### 1", "-A: 2"), reference: "#### 1" });
  assert.equal(check.endings().pairs, 2 + 1);
});

test("what is wrong for want of an answer is left out", () => {
  const check = new FormatCheck();
  check.add({ ...groupOf("+#### 1", "-no number", "-So 3"), reference: "#### 1" });
  assert.equal(check.endings().pairs, 1);
  const cut = groupOf("+#### 1", "-she has 3");
  check.add({
    ...cut,
    candidates: cut.candidates.map((c) => ({ ...c, finish: c.correct ? "stop" : "length" })),
  });
  assert.equal(check.endings().pairs, 1);
});

test("ranks and rewards make pairs too, in the objective's order", () => {
  const texts = ["#### 1", "A: 2", "A: 3"];
  const group = { id: "q", question: "?" };
  const count = (candidates: Group["candidates"], feedback?: readonly ("labels" | "ranks" | "rewards")[]) => {
    const check = new FormatCheck({ feedback });
    check.add({ ...group, candidates });
    return check.endings().pairs;
  };
  assert.equal(count(texts.map((text, i) => ({ text, rank: i + 1 }))), 3);
  assert.equal(count(texts.map((text, i) => ({ text, reward: i > 0 ? 0 : 1 }))), 2);
  const both = texts.map((text, i) => ({ text, correct: true, rank: i + 1 }));
  assert.equal(count(both), 0);
  assert.equal(count(both, ["ranks"]), 3);
  assert.equal(count(both, []), 0);
  assert.equal(count([{ text: "#### 1", rank: 1 }, { text: "A: 2" }]), 0); // not all have one
  assert.equal(count([]), 0);
});

test("a source that is always better is told", () => {
  const check = new FormatCheck();
  for (let i = 0; i < 20; i++) {
    const { candidates, ...rest } = groupOf("+#### 1", "-#### 2");
    check.add({
      ...rest,
      candidates: candidates.map((c) => ({ ...c, source: c.correct ? "people" : "model" })),
    });
  }
  assert.deepEqual(check.warnings(), [
    'The source alone orders 100% of 20 pairs (50% would be chance): "people" is better than "model" in 20 of 20; a ' +
    "loss may learn its style instead of reasoning",
  ]);
});

test("groups stream through as they are, and the warnings come after the last", async () => {
  const events: string[] = [];
  const groups = Array.from({ length: 20 }, () => groupOf("+#### 1", "-A: 2"));
  const passed: Group[] = [];
  for await (
    const group of checkFormats(groups, {
      listener: { warn: () => events.push(`after ${passed.length}`) },
    })
  ) {
    passed.push(group);
  }
  assert.deepEqual(passed, groups);
  assert.deepEqual(events, ["after 20"]);
});

test("the embedded ranked set has one form", () => {
  const check = new FormatCheck();
  for (const group of rankedGroups({ count: 50 })) check.add(group);
  assert.equal(check.endings().accuracy, 0.5);
});

const candidates = new URL("../../../shared/data/candidates/align.jsonl", import.meta.url).pathname;
test(
  "real candidates: told as they come, not when normalized",
  { skip: !existsSync(candidates) },
  async () => {
    const asIs = new FormatCheck(), normalized = new FormatCheck();
    for await (const group of readGroups(readBytes(candidates))) {
      asIs.add(group);
      normalized.add(normalizeResponses(label(group)));
    }
    assert.equal(asIs.warnings().length, 1);
    assert.match(asIs.warnings()[0], /orders 66% .*"#### 0" is better than "A: 0" in 149 of 149/);
    assert.deepEqual(normalized.warnings(), []);
  },
);
