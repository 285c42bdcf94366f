import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import type { Group, Problem } from "../../lib/data/records.ts";
import { generateFrom, type GenerateFromOptions } from "../../lib/model/generate_from.ts";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { encodePrompt } from "../../lib/model/encode.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import { makeTokenizer } from "../../lib/tokenizer/tokenizer.ts";
import { type Asked, completion, withServer } from "./_completion_server.ts";

const base = "fixtures/base";

const problemsOf = (count: number): Problem[] =>
  Array.from({ length: count }, (_, i) => ({ id: `q${i}`, question: `Question ${i}?`, extra: i }));
const textsOf = ({ candidates }: Group) => candidates.map(({ text }) => text);

/** Samples without long waits. */
async function sampled(
  problems: readonly Problem[],
  options: Partial<GenerateFromOptions> & { readonly url: string },
): Promise<{ groups: Group[]; warnings: string[]; error?: Error }> {
  const groups: Group[] = [], warnings: string[] = [], warn = (line: string) => warnings.push(line);
  const all = {
    model: "m",
    api: "completions",
    samples: 2,
    backoff: 0.001,
    listener: { warn },
    ...options,
  } as const;
  try {
    for await (const group of generateFrom(problems, all)) groups.push(group);
  } catch (error) {
    assert.ok(error instanceof InputError, String(error));
    assert.doesNotMatch(error.message, /\n/);
    return { groups, warnings, error };
  }
  return { groups, warnings };
}

test("a request says what was asked for and nothing else, in both interfaces", async () => {
  await withServer(({ number }) => ` text ${number}`, async ({ url, asked }) => {
    const options = {
      url,
      model: "smol",
      temperature: 0.8,
      topK: 20,
      topP: 0.9,
      maxTokens: 64,
      concurrency: 1,
    };
    const { groups } = await sampled(problemsOf(1), options);
    assert.deepEqual(groups, [{
      id: "q0",
      question: "Question 0?",
      extra: 0,
      candidates: [
        { text: "text 0", finish: "stop", tokens: 7 }, // the blank stands between prompt and response
        { text: "text 1", finish: "stop", tokens: 7 },
      ],
    }]);
    const [first, second] = asked;
    assert.deepEqual([first!.method, first!.path], ["POST", "/v1/completions"]);
    assert.equal(first!.headers.authorization, undefined);
    const { seed, ...body } = first!.body;
    assert.deepEqual(body, {
      model: "smol",
      prompt: "Question: Question 0?\nAnswer:",
      max_tokens: 64,
      temperature: 0.8,
      top_p: 0.9,
      top_k: 20,
      min_p: 0,
      repetition_penalty: 1,
      repeat_penalty: 1,
      stop: ["\n\nQuestion:", "\nQuestion:"],
    });
    assert.ok(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31);
    assert.notEqual(second!.body.seed, seed);
    asked.length = 0;
    await sampled(problemsOf(1), { ...options, seed: 0 });
    assert.deepEqual(asked.map(({ body }) => body.seed), [seed, second!.body.seed]);
  });
  await withServer(() => "Text", async ({ url, asked }) => {
    const problem = {
      ...problemsOf(1)[0]!,
      system: "Be brief.",
      choices: ["red", "blue"],
      earlier: [{ role: "user", content: "Hi" }, { role: "assistant", content: "Ho" }],
    } as Problem;
    const prompt = { templateVariables: { enable_thinking: false } };
    const { groups } = await sampled([problem], { url, api: "chat", temperature: 0, stop: ["##"], prompt });
    assert.deepEqual(textsOf(groups[0]!), ["Text"]); // one, since all would be equal
    assert.equal(asked[0]!.path, "/v1/chat/completions");
    const { seed: _, ...body } = asked[0]!.body;
    assert.deepEqual(body, {
      model: "m",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hi" },
        { role: "assistant", content: "Ho" },
        { role: "user", content: "Question 0?\nOptions:\nA) red\nB) blue" },
      ],
      chat_template_kwargs: { enable_thinking: false },
      max_tokens: 256,
      temperature: 0,
      top_p: 1,
      top_k: -1,
      min_p: 0,
      repetition_penalty: 1,
      repeat_penalty: 1,
      stop: ["##"],
    });
  });
});

test("a server that does not know an extension is asked without them, once told; not where it was asked for", async () => {
  const strict = ({ body, number }: Asked) =>
    "top_k" in body
      ? { status: 400, body: JSON.stringify({ error: { message: "Unrecognized argument: top_k" } }) }
      : ` text ${number}`;
  await withServer(strict, async ({ url, asked }) => {
    const { groups, warnings } = await sampled(problemsOf(3), { url, concurrency: 2 });
    assert.ok(groups.every(({ candidates }) => candidates.length === 2));
    assert.deepEqual(warnings, [
      "The server does not know top_k: its own settings hold (HTTP 400: Unrecognized argument: top_k)",
    ]);
    assert.deepEqual(Object.keys(asked.at(-1)!.body).toSorted(), [
      ..."max_tokens model prompt seed stop temperature top_p".split(" "),
    ]);
    const { error } = await sampled(problemsOf(4), { url, topK: 5, concurrency: 1 });
    assert.match(error!.message, /refuses every request: HTTP 400: Unrecognized argument: top_k$/);
  });
});

test("with a tokenizer prompts are its ids, as generate has them, in a chat too", async () => {
  using model = await loadModel(base, { backend: "wasm" });
  const { tokenizer } = model, problem = { ...problemsOf(1)[0]!, question: "Say <|end|>?" } as Problem;
  await withServer(({ number }) => ` text ${number}`, async ({ url, asked }) => {
    const { groups } = await sampled([problem], { url, tokenizer });
    assert.deepEqual(asked[0]!.body.prompt, encodePrompt(model, problem));
    assert.deepEqual(asked[0]!.body.stop, ["\n\nQuestion:", "\nQuestion:"]);
    assert.deepEqual(textsOf(groups[0]!), ["text 0", "text 1"]);
    const { error } = await sampled([problem], { url, tokenizer, api: "chat" });
    assert.match(error!.message, /^Option tokenizer has no meaning for the api chat/);
  });
  const template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}" +
    "{% if add_generation_prompt %}<|assistant|>{% endif %}";
  using chats = makeTokenizer(
    new Map([...tokenizer.files, ["chat_template.jinja", template]]),
    "chats",
  );
  await withServer(({ number }) => `text ${number}`, async ({ url, asked }) => {
    const { groups } = await sampled([problem], { url, tokenizer: chats });
    assert.equal(asked[0]!.path, "/v1/completions");
    assert.deepEqual(asked[0]!.body.prompt, encodePrompt({ tokenizer: chats, directory: "" }, problem));
    assert.match(chats.decode(asked[0]!.body.prompt, { skipSpecial: false }), /<\|user\|>Say <\|end\|>\?/);
    assert.equal("stop" in asked[0]!.body, false);
    assert.deepEqual(textsOf(groups[0]!), ["text 0", "text 1"]);
  });
});

test("equals are drawn again, at most as often as samples, or kept", async () => {
  // The texts of the samples by number: 0 and 1 are equal, 2 is new; then all are equal.
  for (const [texts, expected] of [[["a", "a", "b"], ["a", "b"]], [["a", "a", "a", "a", "a"], ["a"]]]) {
    await withServer(({ number }) => texts![number]!, async ({ url, asked }) => {
      const { groups } = await sampled(problemsOf(1), { url, concurrency: 1 });
      assert.deepEqual(textsOf(groups[0]!), expected);
      assert.equal(asked.length, expected!.length === 2 ? 3 : 4);
    });
  }
  await withServer(() => "a", async ({ url }) => {
    const { groups } = await sampled(problemsOf(1), { url, samples: 3, keepDuplicates: true });
    assert.deepEqual(textsOf(groups[0]!), ["a", "a", "a"]);
  });
});

test("many at once and no more than that; slow ones keep their place", async () => {
  await withServer(async ({ body, number }) => {
    await new Promise((resolve) => setTimeout(resolve, /Question [03]\?/.test(body.prompt) ? 80 : 5));
    return ` of ${body.prompt.match(/Question (\d)\?/)[1]}, ${number}`;
  }, async ({ url, most }) => {
    const { groups } = await sampled(problemsOf(9), { url, concurrency: 4 });
    assert.deepEqual(groups.map(({ id }) => id), problemsOf(9).map(({ id }) => id));
    groups.forEach((group, i) =>
      textsOf(group).forEach((text) => assert.match(text, new RegExp(`^of ${i},`)))
    );
    assert.equal(most(), 4);
  });
});

test("429, 500 and a connection that breaks are tried again; what keeps failing ends the work behind what is whole", async () => {
  await withServer(
    ({ number }) =>
      number === 0
        ? { status: 429, headers: { "retry-after": "0.05" } }
        : number === 1
        ? { status: 500, body: "<html>oops</html>" }
        : number === 2
        ? (response) => void response.destroy()
        : ` t${number}`,
    async ({ url, asked }) => {
      const { groups, error } = await sampled(problemsOf(1), { url, concurrency: 1 });
      assert.equal(error, undefined);
      assert.deepEqual([textsOf(groups[0]!), asked.length], [["t3", "t4"], 5]);
    },
  );
  await withServer(
    ({ body }) => /Question 2/.test(body.prompt) ? { status: 503, body: '{"message":"a\\nb"}' } : " t",
    async ({ url }) => {
      const { groups, error } = await sampled(problemsOf(6), { url, retries: 1, concurrency: 3 });
      assert.deepEqual(groups.map(({ id }) => id), ["q0", "q1"]);
      assert.equal(
        error!.message,
        `Cannot reach the server at ${url}/completions: HTTP 503: a b, in 2 tries`,
      );
    },
  );
});

test("silence, a body that never ends and one that drips are given up in time", async () => {
  const forever = (bytes: string, wait: number) => (response: import("node:http").ServerResponse) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.on("error", () => {});
    const more = () => {
      if (!response.destroyed && !response.writableEnded) {
        response.write(bytes);
        setTimeout(more, wait);
      }
    };
    more();
  };
  const cases: [answer: () => (response: import("node:http").ServerResponse) => void, line: RegExp][] = [
    [() => () => {}, /: no answer within 0\.2 s, in 2 tries$/],
    [() => forever(" ", 20), /: no answer within 0\.2 s, in 2 tries$/],
    // 64 KiB and 256 bytes for each of 256 tokens.
    [() => forever(`{"x":"${"y".repeat(30_000)}`, 0), /: an answer of more than 131072 bytes, in 2 tries$/],
  ];
  for (const [answer, line] of cases) {
    await withServer(answer, async ({ url }) => {
      const timeout = /bytes/.test(line.source) ? 20 : 0.2;
      const { groups, error } = await sampled(problemsOf(2), { url, retries: 1, timeout, samples: 1 });
      assert.deepEqual(groups, []);
      assert.match(error!.message, line);
    });
  }
});

test("what is no completion is asked for again, then missing; a question without any has no candidates", async () => {
  const wrong: unknown[] = [
    "no JSON",
    null,
    [],
    5,
    { choices: [] },
    { choices: 7 },
    { choices: [null] },
    { choices: [{ text: 5, finish_reason: "stop" }] },
    { choices: [{ text: "a" }] },
    { choices: [{ text: "a", finish_reason: "content_filter" }] },
    { choices: [{ text: "\ud800", finish_reason: "stop" }] },
  ];
  await withServer(
    ({ body, number }) =>
      /Question 0/.test(body.prompt)
        ? { status: 200, body: number === 0 ? "no JSON" : JSON.stringify(wrong[number]) }
        : ` fine ${number}`,
    async ({ url, asked }) => {
      const { groups, warnings } = await sampled(problemsOf(2), {
        url,
        retries: wrong.length - 1,
        samples: 1,
        concurrency: 1,
      });
      assert.deepEqual(groups.map(textsOf), [[], [`fine ${wrong.length}`]]);
      assert.equal(asked.length, wrong.length + 1);
      assert.deepEqual(warnings, ["1 of 2 questions have no candidates: the server gave none"]);
    },
  );
  const odd = { ...completion("a\nQuestion: more", "length"), usage: { completion_tokens: "7" } };
  await withServer(() => odd, async ({ url }) => {
    const { groups } = await sampled(problemsOf(1), { url, samples: 1 });
    // A server that leaves the stop text in, and one that cannot count.
    assert.deepEqual(groups[0]!.candidates, [{ text: "a", finish: "stop" }]);
  });
});

test("a refused question has no candidates, or ends the work; nothing but refusals end it too", async () => {
  const refusal = { status: 400, body: '{"error":{"message":"too long"}}' };
  await withServer(({ body }) => /Question 1/.test(body.prompt) ? refusal : " t", async ({ url, asked }) => {
    const { groups, warnings } = await sampled(problemsOf(3), { url, concurrency: 1, keepDuplicates: true });
    assert.deepEqual(groups.map(textsOf), [["t", "t"], [], ["t", "t"]]);
    assert.equal(asked.length, 6); // none twice
    assert.deepEqual(warnings, [
      "The server refused a request: HTTP 400: too long",
      "1 of 3 questions have no candidates: the server gave none",
    ]);
    const { error } = await sampled(problemsOf(3), { url, concurrency: 1, tooLong: "refuse" });
    assert.equal(error!.message, 'Cannot generate for "q1": the server answers none of its requests');
  });
  await withServer(() => refusal, async ({ url }) => {
    const { error } = await sampled(problemsOf(5), { url, concurrency: 1 });
    assert.match(
      error!.message,
      /^Cannot ask the server at \S+: it refuses every request: HTTP 400: too long$/,
    );
  });
});

test("the key goes to the server alone, and is shown nowhere", async () => {
  process.env.TEST_SERVED_KEY = "sk-served-1";
  const keyVariable = "TEST_SERVED_KEY";
  await withServer(() => " t", async (other) => {
    const away = { status: 307, headers: { location: `${other.url}/completions` } };
    await withServer(({ number }) => number === 0 ? " t" : away, async ({ url, asked }) => {
      const { error } = await sampled(problemsOf(1), { url, keyVariable, concurrency: 1 });
      assert.equal(asked[0]!.headers.authorization, "Bearer sk-served-1");
      assert.match(error!.message, /^Cannot ask the server at \S+: HTTP 307$/);
      assert.equal(other.asked.length, 0);
    });
  });
  const denied = { status: 401, body: '{"error":"Wrong key sk-served-1"}' };
  await withServer(() => denied, async ({ url, asked }) => {
    const { error } = await sampled(problemsOf(1), { url, keyVariable, concurrency: 1 });
    assert.match(error!.message, /: HTTP 401: Wrong key \(key\); the key was not accepted$/);
    assert.equal(asked.length, 1);
    process.env.OPENAI_API_KEY = "sk-of-somebody-else";
    const none = await sampled(problemsOf(1), { url });
    delete process.env.OPENAI_API_KEY;
    assert.match(none.error!.message, /no key was sent$/);
    assert.equal(asked[1]!.headers.authorization, undefined);
  });
  const open = (more: object) =>
    generateFrom(problemsOf(1), { url: "http://127.0.0.1:1", model: "m", api: "chat", ...more }).next();
  await assert.rejects(open({ keyVariable: "TEST_NO_KEY" }), UsageError);
  await assert.rejects(
    open({ url: "ftp://x" }),
    /^UsageError: Address of the server must be an http or https URL/,
  );
  await assert.rejects(open({ concurency: 3 }), UsageError);
  await assert.rejects(open({ concurrency: 0 }), UsageError);
});

test("an abort ends the work at once, and the requests with it", async () => {
  let closed = 0;
  await withServer(() => (response) => void response.on("close", () => closed++), async ({ url }) => {
    const stop = new AbortController();
    const work = generateFrom(problemsOf(3), { url, model: "m", api: "chat", signal: stop.signal }).next();
    setTimeout(() => stop.abort(new Error("Interrupted")), 100);
    await assert.rejects(work, /^Error: Interrupted$/);
    for (let i = 0; i < 50 && closed === 0; i++) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(closed > 0);
  });
});

test("what is about tools is refused by its field", async () => {
  const tools = [{ type: "function", function: { name: "add" } }];
  await withServer(() => " t", async ({ url, asked }) => {
    const { error } = await sampled([{ ...problemsOf(1)[0]!, tools }], { url });
    assert.equal(
      error!.message,
      'Cannot ask a server about "q0": field "tools" is about tools, which are not sent',
    );
    assert.equal(asked.length, 0);
  });
});
