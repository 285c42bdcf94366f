/** A talk with a model: answers as they come, several with their scores, and what was said before. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { score } from "../../lib/evaluate/score.ts";
import { generate } from "../../lib/model/generate.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import { encodePrompt } from "../../lib/model/encode.ts";
import { Conversation } from "../../lib/pipeline/conversation.ts";
import { writeSmallModel } from "../_models.ts";

const template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}" +
  "{% if add_generation_prompt %}<assistant>{% endif %}";

/** A small model whose tokenizer has a chat template. */
async function chatModel(): Promise<string> {
  const directory = await writeSmallModel(), path = join(directory, "tokenizer_config.json");
  const settings = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...settings, chat_template: template }));
  return directory;
}

test("the pieces of an answer are the greedy response, and come one by one", async () => {
  using model = await loadModel(await writeSmallModel(), { backend: "wasm" });
  const pieces: string[] = [];
  const talk = new Conversation(model, { maxTokens: 12, heard: (piece) => void pieces.push(piece) });
  const [answer] = await talk.ask("2 + 3?");
  const [group] = await Array.fromAsync(
    generate(model, [{ id: "other", question: "2 + 3?" }], { temperature: 0, maxTokens: 12 }),
  );
  assert.equal(answer.text, group.candidates[0].text);
  assert.equal(pieces.join(""), answer.text);
  assert.ok(pieces.length > 3 && pieces.every((piece) => piece !== ""), `${pieces}`);
  assert.deepEqual([talk.remembers, talk.earlier], [false, []]);
});

test("several answers have the scores that `score` gives them, the likeliest first", async () => {
  using model = await loadModel(await writeSmallModel(), { backend: "wasm" });
  const heard: string[] = [];
  const talk = new Conversation(model, {
    samples: 4,
    maxTokens: 5,
    heard: (piece) => void heard.push(piece),
  });
  const answers = await talk.ask("2 + 3?");
  assert.deepEqual([answers.length, heard], [4, []], "pieces of several answers would be mixed");
  const scores = answers.map((answer) => answer.score!);
  assert.deepEqual(scores, scores.toSorted((a, b) => b - a));
  const again = {
    id: "x",
    question: "2 + 3?",
    candidates: answers.map(({ text, finish }) => ({ text, finish })),
  };
  const [scored] = await Array.fromAsync(score(model, [again]));
  scored.candidates.forEach((candidate, i) => assert.ok(Math.abs(candidate.score! - scores[i]) < 1e-5));
});

test("a chat follows what was said, forgets when told to, and drops the oldest turns where the context ends", async () => {
  using model = await loadModel(await chatModel(), { backend: "wasm" });
  const talk = new Conversation(model, { maxTokens: 4 });
  assert.ok(talk.remembers);
  const [first] = await talk.ask("One?");
  assert.deepEqual(talk.earlier, [{ role: "user", content: "One?" }, {
    role: "assistant",
    content: first.text,
  }]);
  const [second] = await talk.ask("Two?");
  const whole = { id: "q", question: "Two?", earlier: talk.earlier.slice(0, 2) };
  const [group] = await Array.fromAsync(generate(model, [whole], { temperature: 0, maxTokens: 4 }));
  assert.equal(second.text, group.candidates[0].text);
  assert.ok(encodePrompt(model, whole).length > encodePrompt(model, { id: "q", question: "Two?" }).length);
  let most = 0;
  for (let i = 0; i < 12; i++) {
    await talk.ask(`Question number ${i}?`);
    most = Math.max(most, talk.earlier.length);
  }
  assert.ok(most < 24, `${most} turns`);
  assert.equal(talk.earlier.at(-2)!.content, "Question number 11?");
  talk.forget();
  assert.deepEqual((await talk.ask("One?"))[0].text, first.text);
  await assert.rejects(
    talk.ask("long ".repeat(400)),
    /^InputError: Cannot generate for "question": its prompt has/,
  );
  const plain = new Conversation(model, { maxTokens: 4, prompt: { chat: "never" } });
  await plain.ask("One?");
  assert.deepEqual([plain.remembers, plain.earlier], [false, []]);
});
