import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { PromptOptions } from "../../lib/data/prompts.ts";
import { normalizeResponses } from "../../lib/data/prompts.ts";
import { score } from "../../lib/evaluate/score.ts";
import { chatTurn } from "../../lib/tokenizer/chat_turn.ts";
import { decodeResponse, encodePrompt, encodeResponse, endTokensOf } from "../../lib/model/encode.ts";
import { generate } from "../../lib/model/generate.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import type { Model } from "../../lib/model/model.ts";
import { train } from "../../lib/train/trainer.ts";
import { UsageError } from "../../lib/runtime/errors.ts";
import { onBothBackends } from "../_backends.ts";
import { chatml, writeChatModel } from "../_chat_models.ts";
import { freshPath } from "../_models.ts";

// As Mistral's and Llama 2's: the begin token spelled, a blank before each answer.
const bracketed =
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]" +
  "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}";

async function withChatModel(template: string | undefined, body: (model: Model) => void | Promise<void>) {
  const model = await loadModel(await writeChatModel(template), { backend: "wasm" });
  try {
    await body(model);
  } finally {
    model.dispose();
  }
}

const problem = { id: "a", question: "2+3?" };
const textOf = (model: Model, ids: readonly number[]) => model.tokenizer.decode(ids, { skipSpecial: false });

test("ChatML by hand: system, examples and question as turns, the answer without a blank, ended by the turn's end", async () => {
  await withChatModel(chatml, (model) => {
    assert.deepEqual(chatTurn(model.tokenizer), { template: chatml, lead: "", end: 301 });
    const fewShot = [{ id: "e", question: "1+1?", reference: "2" }];
    const prompt = encodePrompt(model, problem, { system: "Be brief.", fewShot });
    const begin = model.tokenizer.beginToken!;
    const written = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n" +
      "<|im_start|>assistant\n2<|im_end|>\n<|im_start|>user\n2+3?<|im_end|>\n<|im_start|>assistant\n";
    assert.equal(textOf(model, prompt.filter((id) => id !== begin)), written);
    assert.deepEqual(prompt.filter((id) => id === 300).length, 5);
    assert.equal(prompt.filter((id) => id === begin).length, 1);
    assert.equal(prompt[0], begin);
    const context = { problem };
    const response = encodeResponse(model, { text: "5" }, context);
    assert.deepEqual(response, [...model.tokenizer.encodeResponse("5"), 301]);
    assert.deepEqual(encodeResponse(model, { text: "5", finish: "length" }, context), response.slice(0, -1));
    assert.equal(decodeResponse(model, response.slice(0, -1), context), "5");
    assert.deepEqual(endTokensOf(model), [301, 2]);
    const own = encodePrompt(model, { ...problem, system: "Mine." }, { system: "Be brief." });
    assert.match(textOf(model, own), /<\|im_start\|>system\nMine\.<\|im_end\|>/);
    const chosen = encodePrompt(model, { ...problem, choices: ["x", "y"] });
    assert.match(textOf(model, chosen), /user\n2\+3\?\nOptions:\nA\) x\nB\) y<\|im_end\|>/);
    assert.throws(
      () => encodePrompt(model, problem, { fewShot: [problem] }),
      /field "reference" must be a string/,
    );
  });
});

test("a template that spells begin and end tokens and a blank before the answer: none doubled, none lost", async () => {
  await withChatModel(bracketed, (model) => {
    assert.deepEqual(chatTurn(model.tokenizer), { template: bracketed, lead: " ", end: 2 });
    const prompt = encodePrompt(model, problem),
      response = encodeResponse(model, { text: "5 is it" }, { problem });
    assert.equal(textOf(model, [...prompt, ...response]), "<s>[INST] 2+3? [/INST] 5 is it</s>");
    const whole = model.tokenizer.encodePrompt("<s>[INST] 2+3? [/INST] 5 is it</s>");
    assert.deepEqual([...prompt, ...response], whole); // as the tokenizer cuts the whole conversation
    assert.equal(decodeResponse(model, response.slice(0, -1), { problem }), "5 is it");
    assert.deepEqual(endTokensOf(model), [2]);
  });
});

test("which prompts are chats", async () => {
  await withChatModel(chatml, (model) => {
    const isChat = (options: PromptOptions, extra = {}) =>
      encodePrompt(model, { ...problem, ...extra }, options).includes(300);
    const prompt = { prompt: "Exactly this:" }, template = "Q {question}";
    assert.deepEqual([isChat({}), isChat({ template }), isChat({}, prompt)], [true, false, false]);
    assert.ok(isChat({ chat: "always", template }) && isChat({ chat: "always" }, prompt));
    assert.ok(!isChat({ chat: "never" }));
    const forced = encodePrompt(model, problem, { chat: "always", template });
    assert.match(textOf(model, forced), /user\nQ 2\+3\?<\|im_end\|>/);
    assert.deepEqual(encodeResponse(model, { text: "5" }, { problem, prompt: { chat: "never" } }), [
      ...model.tokenizer.encodeResponse(" 5"),
      2,
    ]);
    assert.deepEqual([endTokensOf(model, { chat: "never" }), endTokensOf(model, { template })], [[2], [2]]);
    assert.deepEqual(endTokensOf(model, { chat: "always", template }), [301, 2]);
  });
  await withChatModel(undefined, (model) => {
    assert.deepEqual(encodePrompt(model, problem), encodePrompt(model, problem, { chat: "never" }));
    assert.throws(() => encodePrompt(model, problem, { chat: "always" }), UsageError);
  });
  await withChatModel("{{ raise_exception('No such chat') }}", (model) => {
    assert.throws(
      () => encodePrompt(model, problem),
      /^InputError: Cannot render the chat template: No such chat$/,
    );
    assert.ok(encodePrompt(model, problem, { chat: "never" }).length > 0);
  });
});

for (const [name, template] of [["a chat", chatml], ["plain text", undefined]] as const) {
  onBothBackends(`${name}: the ids that were generated are the ids that are scored`, async (backend) => {
    const model = await loadModel(await writeChatModel(template), { backend });
    // A random model writes bytes that are no text; one that has seen some writes words as the tokenizer cuts them.
    const seen = [{ id: "s", question: "1+1?", reference: "1 + 1 = 2 pens" }, {
      id: "t",
      question: "2+1?",
      reference: "She has 3",
    }];
    await Array.fromAsync(train(model, seen, { objective: "vft", steps: 30, learningRate: 1e-2 }));
    const problems = Array.from({ length: 6 }, (_, i) => ({ id: `${i}`, question: `${i}+1?`, answer: "7" }));
    const groups = await Array.fromAsync(
      generate(model, problems, { samples: 4, maxTokens: 12, temperature: 1.2, tokenIds: true }),
    );
    let canonical = 0, exact = 0;
    for (const group of groups) {
      for (const { token_ids: ids, ...candidate } of group.candidates) {
        const again = encodeResponse(model, candidate, { problem: group });
        const recut = model.tokenizer.encodeResponse(
          (template ? "" : " ") + candidate.text,
        );
        // Ids are canonical when the tokenizer cuts their text into the same ones.
        if (
          candidate.text !== "" &&
          recut.join() === (candidate.finish === "stop" ? ids!.slice(0, -1) : ids!).join()
        ) {
          canonical++;
          assert.deepEqual(again, ids);
        }
        assert.equal(ids!.length, candidate.tokens);
        const kept = encodeResponse(model, { ...candidate, token_ids: ids }, { problem: group });
        if (kept.join() === ids!.join()) exact++;
        assert.deepEqual(kept, ids);
      }
    }
    const all = groups.flatMap((g) => g.candidates).length;
    assert.ok(exact === all && canonical > 4 && canonical < all, `${canonical} canonical of ${all}`);
    const [scored] = await Array.fromAsync(score(model, groups.slice(0, 1)));
    const prompt = encodePrompt(model, groups[0]);
    for (const { token_ids: ids, logprob, tokens } of scored.candidates) {
      const each = await model.logprobs([...prompt, ...ids!]);
      const sum = each.slice(prompt.length - 1).reduce((a, b) => a + b, 0);
      assert.ok(Math.abs(sum - logprob!) < 1e-3 * Math.abs(sum), `${sum} ${logprob}`);
      assert.equal(tokens, ids!.length);
    }
    model.dispose();
  });
}

test("ids that no longer spell the text, or are another vocabulary's, give way to the text's", async () => {
  await withChatModel(chatml, (model) => {
    const context = { problem }, right = encodeResponse(model, { text: "ab" }, context);
    const odd = [...model.tokenizer.encodeResponse("a"), ...model.tokenizer.encodeResponse("b"), 301];
    assert.deepEqual(encodeResponse(model, { text: "ab", token_ids: odd }, context), odd);
    for (const ids of [[5, 301], odd.slice(0, -1), [9999, 301], [...odd, 301], []]) {
      assert.deepEqual(encodeResponse(model, { text: "ab", token_ids: ids }, context), right, String(ids));
    }
    const group = { ...problem, answer: "5", candidates: [{ text: "A: 5", answer: "5", token_ids: odd }] };
    const [changed] = normalizeResponses(group).candidates;
    assert.equal(changed.text, "#### 5");
    assert.deepEqual(
      encodeResponse(model, changed, context),
      encodeResponse(model, { text: "#### 5" }, context),
    );
  });
});

test("a model trained on chats learns to end its turn, and says so to other tools", async () => {
  await withChatModel(chatml, async (model) => {
    const out = freshPath(), records = [{ ...problem, reference: "5" }];
    const lines = await Array.fromAsync(
      train(model, records, {
        objective: "vft",
        steps: 40,
        learningRate: 1e-2,
        logEvery: 20,
        out,
        saveEvery: 0,
      }),
    );
    assert.equal(lines.at(-1)!.no_end_token, 0);
    const [group] = await Array.fromAsync(generate(model, records, { temperature: 0, maxTokens: 8 }));
    assert.deepEqual(group.candidates.map(({ text, finish }) => ({ text, finish })), [{
      text: "5",
      finish: "stop",
    }]);
    const generation = JSON.parse(readFileSync(join(out, "generation_config.json"), "utf8"));
    assert.deepEqual(generation.eos_token_id, [2, 301]);
    const again = await loadModel(out, { backend: "wasm" });
    assert.deepEqual(endTokensOf(again), [301, 2]);
    again.dispose();
  });
});
