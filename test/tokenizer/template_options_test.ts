import assert from "node:assert/strict";
import { test } from "node:test";
import type { PromptOptions } from "../../lib/data/prompts.ts";
import { parseTemplateVariables } from "../../lib/data/template_options.ts";
import { evaluate } from "../../lib/evaluate/evaluate.ts";
import { score } from "../../lib/evaluate/score.ts";
import { encodePrompt, encodeResponse } from "../../lib/model/encode.ts";
import { generate } from "../../lib/model/generate.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import type { Model } from "../../lib/model/model.ts";
import { UsageError } from "../../lib/runtime/errors.ts";
import { train } from "../../lib/train/trainer.ts";
import { chatml, thinking, writeChatModel } from "../_chat_models.ts";
import { collect } from "../_models.ts";

const problem = { id: "p", question: "Q", reference: "A" };

async function withModel(template: string | undefined, body: (model: Model) => void | Promise<void>) {
  using model = await loadModel(await writeChatModel(template, { context: 512 }), { backend: "wasm" });
  await body(model);
}

const usage = (run: () => unknown, pattern: RegExp) =>
  assert.throws(run, (error: Error) => {
    assert.ok(error instanceof UsageError, String(error.stack));
    assert.match(error.message, pattern);
    return true;
  });

test("variables and the day reach the template; without them it is the same tomorrow", async () => {
  await withModel(thinking, (model) => {
    const textOf = (options?: PromptOptions) =>
      model.tokenizer.decode(encodePrompt(model, problem, options), { skipSpecial: false });
    const turn = "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n";
    assert.equal(textOf(), `<s>26 Jul 2024\n${turn}`);
    assert.equal(textOf({ templateDate: "2025-02-28" }), `<s>28 Feb 2025\n${turn}`);
    assert.equal(
      textOf({ templateVariables: { enable_thinking: false } }),
      `<s>26 Jul 2024\n${turn}<think></think>\n`,
    );
    assert.equal(textOf({ templateVariables: { enable_thinking: true } }), `<s>26 Jul 2024\n${turn}`);
    const answer = encodeResponse(model, { text: "A" }, {
      problem,
      prompt: { templateVariables: { enable_thinking: false } },
    });
    assert.deepEqual(answer, [...model.tokenizer.encodeResponse("A"), 301]);
  });
});

test("what the options may be", () => {
  assert.deepEqual(parseTemplateVariables('{"a": [1], "b": {"c": null}}'), { a: [1], b: { c: null } });
  for (const text of ["", "true", "[1]", "null", "{a: 1}", '"x"']) {
    usage(
      () => parseTemplateVariables(text),
      /`templateVariables`: it must be an object in JSON, such as .*: got /,
    );
  }
  usage(
    () => parseTemplateVariables('{"messages": []}'),
    /must not name messages: the template is given it anyway/,
  );
  usage(() => parseTemplateVariables('{"a b": 1}'), /must name variables of a template: got "a b"/);
});

test("what the template never reads is a warning, said once; a plain prompt's is refused before the work", async () => {
  const listener = () => {
    const lines: string[] = [];
    return { lines, warn: (line: string) => lines.push(line) };
  };
  const options = { templateVariables: { enable_thinkin: false }, templateDate: "2025-01-01" };
  await withModel(chatml, async (model) => {
    const told = listener();
    const measured = { maxTokens: 2, votes: 2, prompt: options, listener: told };
    await collect(evaluate(model, [{ ...problem, answer: "1" }], measured));
    assert.deepEqual(told.lines.filter((line) => line.startsWith("The chat template")), [
      "The chat template never reads the variable enable_thinkin of option `templateVariables`: it changes nothing",
      "The chat template never asks for the date: option `templateDate` changes nothing",
    ]);
  });
  const group = { ...problem, candidates: [{ text: "A" }] };
  const calls = (model: Model, prompt: PromptOptions): AsyncIterable<unknown>[] => [
    train(model, [problem], { objective: "vft", prompt }),
    generate(model, [problem], { prompt }),
    score(model, [group], { prompt }),
    evaluate(model, [{ ...problem, answer: "1" }], { prompt }),
  ];
  const refuse = async (template: string | undefined, prompt: PromptOptions, pattern: RegExp) => {
    await withModel(template, async (model) => {
      for (const call of calls(model, prompt)) {
        await assert.rejects(collect(call), (error: Error) => {
          assert.ok(error instanceof UsageError, String(error.stack));
          assert.match(error.message, pattern);
          return true;
        });
      }
    });
  };
  await refuse(undefined, options, /`templateVariables`: the model's tokenizer has no chat template/);
  await refuse(thinking, { ...options, chat: "never" }, /option `chat: never` makes prompts plain text/);
  await refuse(
    thinking,
    { ...options, template: "{question}" },
    /option `template` makes prompts plain text/,
  );
  await refuse(
    thinking,
    { templateDate: "2025-02-30" },
    /`templateDate`: it must be a day, such as .*: got "2025-02-30"/,
  );
  await refuse(thinking, { templateDate: "yesterday" }, /must be a day/);
  await refuse(thinking, { templateVariables: { tools: [] } }, /must not name tools/);
});

test("records that hold the template's marks already are told of, the first by its name", async () => {
  const warned = async (template: string | undefined, record: object, prompt: PromptOptions = {}) => {
    const lines: string[] = [];
    await withModel(template, async (model) => {
      const groups = [{ id: "g", question: "Q", ...record, candidates: [{ text: "A" }] }];
      await collect(
        score(model, [...groups, ...groups], { prompt, listener: { warn: (line) => lines.push(line) } }),
      );
    });
    return lines.filter((line) => line.includes("a mark of the model's chat template"));
  };
  const rendered = "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n";
  const [line, ...others] = await warned(chatml, { question: rendered, prompt: rendered });
  assert.match(
    line!,
    /^Field "prompt" of "g" already holds "<\|im_start\|>", a mark of the model's chat template: /,
  );
  assert.deepEqual(others, []);
  assert.match((await warned(chatml, { question: rendered }))[0]!, /^Field "question"/);
  assert.match(
    (await warned(chatml, { reference: "A<|im_end|>" }))[0]!,
    /^Field "reference" of "g" .*<\|im_end\|>/,
  );
  assert.deepEqual(await warned(chatml, { question: "How is <|im_begin|> spelled?" }), []);
  assert.deepEqual(await warned(undefined, { question: rendered }), []);
  // Words of a template are marks where it writes them again, and right where the prompt is taken as it is.
  const words =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]" +
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}";
  assert.match((await warned(words, { question: "[INST] Q [/INST]" }))[0]!, /already holds "\[INST\]"/);
  assert.deepEqual(await warned(words, { question: "[INST] Q [/INST]", prompt: "[INST] Q [/INST]" }), []);
  assert.deepEqual(await warned(words, { question: "[INST] Q [/INST]" }, { chat: "never" }), []);
});
