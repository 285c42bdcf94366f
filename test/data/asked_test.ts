/** Which records ask the same: those that are held out together, and counted where a test should be apart. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { askedText } from "../../lib/data/asked.ts";
import type { Problem } from "../../lib/data/records.ts";

const turn = (role: "user" | "assistant", content: string) => ({ role, content });
const of = (fields: Partial<Problem>): string => askedText({ id: "a", question: "Why?", ...fields });

test("what a problem asks, by hand: its question, its options, and what was said around it", () => {
  assert.equal(of({ question: " 1 +  1?" }), '["1 + 1?",null]');
  assert.equal(of({ prompt: "P:\n1", choices: ["2 ", "3"] }), '["P: 1",["2","3"]]');
  const earlier = [turn("user", "1 + 1?"), turn("assistant", " 2")];
  assert.equal(of({ earlier }), '["Why?",null,[["user","1 + 1?"],["assistant","2"]]]');
  assert.equal(of({ earlier: [] }), of({}));
  assert.equal(of({ id: "b", answer: "2", reference: "so", earlier }), of({ earlier }));
  const others = [{}, { earlier: earlier.slice(0, 1) }, { earlier: [turn("user", "2 + 2?")] }, {
    between: earlier.slice(1),
  }];
  const call = { type: "function", function: { name: "f", arguments: {} } } as const;
  const called = { earlier: [turn("user", "1 + 1?"), { ...turn("assistant", " 2"), tool_calls: [call] }] };
  assert.equal(
    new Set([{ earlier }, ...others, called].map(of)).size,
    6,
    "a follow-up is no question by itself",
  );
});
