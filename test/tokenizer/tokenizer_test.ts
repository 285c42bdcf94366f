import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chatTemplate, renderChat } from "../../lib/tokenizer/chat_template.ts";
import { loadTokenizer, makeTokenizer, type Tokenizer } from "../../lib/tokenizer/tokenizer.ts";
import { buildTokenizer } from "../../lib/tokenizer/tokenizer_builder.ts";
import { InputError } from "../../lib/runtime/errors.ts";

const shared = fileURLToPath(new URL("../../../shared/", import.meta.url));
const skip = existsSync(shared) ? false : "no ../shared beside the repository";
const stories = `${shared}models/stories260K`;
const folder = mkdtempSync(join(tmpdir(), "tokenizer-test-"));
after(() => rmSync(folder, { recursive: true }));

const odd = [
  " leading and trailing ",
  "\n\nlines\n",
  "tabs\tand  two   blanks",
  "I ' m , fine . isn 't it ?",
  "naïve café — “quotes” 日本語 🙂",
  "<<48/2=24>>24 #### 72",
  "x",
  " ",
];

function gsm8k(): string[] {
  const lines = readFileSync(`${shared}data/gsm8k/test.jsonl`, "utf8").split("\n").slice(0, 100);
  return lines.flatMap((line) => {
    const { question, answer } = JSON.parse(line);
    return [question, answer];
  });
}

/** Letters a to d, a blank sign and two merges, in the manner of SentencePiece: small enough to work by hand. */
function letters(changes: Record<string, unknown> = {}, config: Record<string, unknown> = {}): Tokenizer {
  const tokens = ["<unk>", "<s>", "</s>", "▁", "a", "b", "c", "ab", "▁ab"];
  const special = (id: number) => ({ id, content: tokens[id], special: true, normalized: false });
  const json = {
    added_tokens: [0, 1, 2].map(special),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>" } }, { Sequence: { id: "A" } }, { SpecialToken: { id: "</s>" } }],
      pair: [],
      special_tokens: { "<s>": { ids: [1], tokens: ["<s>"] }, "</s>": { ids: [2], tokens: ["</s>"] } },
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "BPE",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: ["a b", "▁ ab"],
      unk_token: "<unk>",
    },
    ...changes,
  };
  return makeTokenizer(
    new Map([
      ["tokenizer.json", JSON.stringify(json)],
      [
        "tokenizer_config.json",
        JSON.stringify({ bos_token: "<s>", eos_token: { content: "</s>" }, model_max_length: 8, ...config }),
      ],
    ]),
    "letters",
  );
}

test("by hand: specials around a text, none around a response, no blank before it", () => {
  const tokenizer = letters();
  assert.deepEqual(tokenizer.encode("ab c"), [1, 8, 3, 6, 2]);
  assert.deepEqual(tokenizer.encode("ab c", { special: false }), [8, 3, 6]);
  assert.deepEqual(tokenizer.encodePrompt("ab c"), [1, 8, 3, 6]);
  assert.deepEqual(tokenizer.encodeResponse("ab c"), [7, 3, 6]);
  assert.deepEqual(tokenizer.encodeResponse(" ab"), [8]);
  assert.equal(tokenizer.decode([1, 8, 3, 6, 2]), "ab c");
  assert.equal(tokenizer.decode([1, 8, 2], { skipSpecial: false }), "<s> ab</s>");
  assert.equal(tokenizer.decodeResponse([8, 3, 6, 2]), " ab c");
  assert.equal(tokenizer.decodeResponse([]), "");
  assert.deepEqual(tokenizer.encodeResponse(""), []);
  assert.deepEqual([tokenizer.beginToken, tokenizer.endTokens, tokenizer.vocabularySize], [1, [2], 9]);
  assert.deepEqual(tokenizer.specials, { bos_token: "<s>", eos_token: "</s>" });
  assert.deepEqual([tokenizer.idToToken(8), tokenizer.tokenToId("▁ab"), tokenizer.tokenToId("z")], [
    "▁ab",
    8,
    undefined,
  ]);
});

test("a begin token that the text spells is not doubled", () => {
  const tokenizer = letters();
  assert.deepEqual(tokenizer.encodePrompt("<s>ab"), [1, 8]);
  assert.deepEqual(tokenizer.encode("<s>ab"), [1, 8, 2]);
});

test("Metaspace and ByteLevel with a blank before the text follow the same rule", () => {
  const metaspace = letters({
    normalizer: null,
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false },
    decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false },
  });
  assert.deepEqual(metaspace.encodePrompt("ab c"), [1, 8, 3, 6]);
  assert.deepEqual(metaspace.encodeResponse("ab"), [7]);
  assert.deepEqual(metaspace.encodeResponse(" ab"), [8]);
  assert.equal(metaspace.decodeResponse([8]), " ab");
  assert.equal(metaspace.decode([1, 8, ...metaspace.encodeResponse("ab c")]), "abab c");
});

function tokenizers(): [string, Tokenizer][] {
  const built = buildTokenizer(["Tom has 3 apples. He buys 4 more."], { vocabularySize: 300 });
  const files = new Map([
    ["tokenizer.json", JSON.stringify(built.tokenizer)],
    ["tokenizer_config.json", JSON.stringify(built.config)],
  ]);
  return [["built", makeTokenizer(files, "built")]];
}

test("any text comes back, alone and as a response behind any prompt", { skip }, async () => {
  const texts = [...odd, ...gsm8k()];
  for (const [name, tokenizer] of [...tokenizers(), ["stories", await loadTokenizer(stories)] as const]) {
    for (const [i, text] of texts.entries()) {
      const prompt = texts[(i * 7 + 3) % texts.length];
      const promptIds = tokenizer.encodePrompt(prompt), ids = tokenizer.encodeResponse(text);
      assert.equal(tokenizer.decode(tokenizer.encode(text)), text, name);
      assert.equal(tokenizer.decode([...promptIds, ...ids]), prompt + text, name);
      assert.equal(tokenizer.decodeResponse(ids), text, name);
      // What was generated as these ids is scored as these ids.
      assert.deepEqual(tokenizer.encodeResponse(tokenizer.decodeResponse(ids)), ids, name);
    }
  }
});

test("stories260K: the reference's ids and text", { skip }, async () => {
  const golden = JSON.parse(readFileSync(join(stories, "golden.json"), "utf8"));
  const tokenizer = await loadTokenizer(stories, { vocabularySize: 512 });
  for (const { prompt, ids } of golden.cases) assert.deepEqual(tokenizer.encode(prompt), ids);
  const greedy: number[] = golden.greedy_from_bos_ids;
  assert.equal(tokenizer.decode(greedy), golden.greedy_text);
  assert.deepEqual(tokenizer.encode(golden.greedy_text), greedy);
  // Wherever the model's own text is cut into prompt and response, the response's ids come back from its text, as
  // long as the model spelled it as the tokenizer does.
  let same = 0;
  for (let cut = 2; cut < greedy.length; cut++) {
    const response = greedy.slice(cut), again = tokenizer.encodeResponse(tokenizer.decodeResponse(response));
    if (again.join() === response.join()) same++;
  }
  assert.equal(same, greedy.length - 2);
  assert.deepEqual([tokenizer.beginToken, tokenizer.endTokens, tokenizer.vocabularySize], [1, [2], 512]);
});

async function refused(promise: Promise<unknown>, message: string | RegExp): Promise<void> {
  await assert.rejects(promise, (error: Error) => {
    assert.ok(error instanceof InputError, `${error}`);
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    assert.ok(!error.message.includes("\n"));
    return true;
  });
}

test("a tokenizer that is missing, broken or another model's", { skip }, async () => {
  await refused(loadTokenizer(folder), `Cannot load the tokenizer of ${folder}: tokenizer.json is missing`);
  await refused(
    loadTokenizer(stories, { vocabularySize: 500 }),
    `Cannot use the tokenizer of ${stories}: the model has 500 tokens, but id 511 ("\u200a") is beyond them`,
  );
  const path = join(folder, "tokenizer.json");
  writeFileSync(path, "{");
  await refused(loadTokenizer(folder), /^Cannot read .*tokenizer\.json: expected JSON: /);
  writeFileSync(path, "[]");
  await refused(loadTokenizer(folder), `Cannot read ${path}: expected a JSON object`);
  writeFileSync(path, '{"model": null}');
  await refused(loadTokenizer(folder), `Cannot read ${path}: model must be an object: got null`);
});

test("the files of a tokenizer are kept as they were", { skip }, async () => {
  const { files } = await loadTokenizer(stories);
  assert.deepEqual([...files.keys()], ["tokenizer.json", "tokenizer_config.json"]);
  for (const [name, text] of files) assert.equal(text, readFileSync(join(stories, name), "utf8"));
});

const template = "{{ bos_token }}{% for message in messages %}\n" +
  "{% if message.role not in ['user', 'assistant'] %}\n{{ raise_exception('No ' + message.role + ' here') }}\n" +
  "{% endif %}\n[{{ message.role }}] {{ message.content }}{{ eos_token }}{% endfor %}\n" +
  "{% if add_generation_prompt %}[assistant]{% endif %}";

test("a chat by hand, with one begin token", () => {
  const specials = { bos_token: "<s>", eos_token: "</s>" };
  const chat = [{ role: "user", content: "ab" }];
  assert.equal(renderChat(template, chat, { specials }), "<s>[user] ab</s>");
  const prompt = renderChat(template, chat, { specials, addGenerationPrompt: true });
  assert.equal(prompt, "<s>[user] ab</s>[assistant]");
  const ids = letters().encodePrompt(prompt);
  assert.deepEqual([ids[0], ids.filter((id) => id === 1).length], [1, 1]);
  assert.equal(renderChat("{{ date_string }}", [], { variables: { date_string: "today" } }), "today");
});

test("a template that is wrong, or refuses the chat", () => {
  const refuse = (text: string, role: string, message: RegExp) =>
    assert.throws(() => renderChat(text, [{ role, content: "" }]), (error: Error) => {
      assert.ok(error instanceof InputError);
      assert.match(error.message, message);
      return true;
    });
  refuse(template, "system", /^Cannot render the chat template: No system here$/);
  refuse("{% if %}", "user", /^Cannot render the chat template: /);
});

test("where a chat template is found", () => {
  const files = (entries: Record<string, string>) => new Map(Object.entries(entries));
  const named =
    '{"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}';
  assert.equal(chatTemplate(files({})), undefined);
  assert.equal(chatTemplate(files({ "tokenizer_config.json": "{}" })), undefined);
  assert.equal(chatTemplate(files({ "tokenizer_config.json": '{"chat_template": "C"}' })), "C");
  assert.equal(chatTemplate(files({ "tokenizer_config.json": named })), "D");
  assert.equal(chatTemplate(files({ "tokenizer_config.json": named, "chat_template.jinja": "J" })), "J");
});
