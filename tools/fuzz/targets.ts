/** What is fuzzed: each target has a whole file, and a use of it that loads or is refused. */

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import {
  generate,
  generateFrom,
  type Group,
  loadDataset,
  loadModel,
  openJudge,
  parseLora,
  rank,
  score,
  train,
} from "../../mod.ts";
import { initializeModel } from "../../lib/checkpoint/initialize.ts";
import { buildTokenizer } from "../../lib/tokenizer/tokenizer_builder.ts";

/** One kind of input. */
export interface Target {
  /** The whole file that mutants are made of. */
  readonly original: Uint8Array;
  /** Uses a mutant: returns when it was accepted, throws when it was refused. */
  readonly use: (mutant: Uint8Array) => Promise<void>;
}

/** Makes each target in a folder of its own. */
export const targets: Readonly<Record<string, (folder: string) => Promise<Target>>> = {
  safetensors: (folder) => modelFile(folder, "model.safetensors"),
  index: async (folder) => {
    const whole = join(folder, "whole"), path = join(folder, "model");
    await writeModel(whole);
    using model = await load(whole);
    await model.save(path, { maxShardBytes: 8_000, overwrite: true });
    return fileOf(join(path, "model.safetensors.index.json"), () => useModel(path));
  },
  config: (folder) => modelFile(folder, "config.json"),
  tokenizer: (folder) => modelFile(folder, "tokenizer.json"),
  template: async (folder) => {
    const path = join(folder, "model");
    await writeModel(path);
    const template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}\n{% endfor %}" +
      "{% if add_generation_prompt %}<|assistant|>{% endif %}";
    const file = join(path, "chat_template.jinja");
    await writeFile(file, template);
    return fileOf(file, async () => {
      using model = await load(path);
      const problems = [{ id: "p", question: "What is 2 + 3?" }];
      for await (
        const _ of generate(model, problems, { samples: 1, maxTokens: 2, prompt: { chat: "always" } })
      );
    });
  },
  adapter: async (folder) => {
    const { path } = await writeAdapter(folder);
    return fileOf(join(path, "adapter_config.json"), () => useModel(path));
  },
  "adapter weights": async (folder) => {
    const { path } = await writeAdapter(folder);
    return fileOf(join(path, "adapter_model.safetensors"), () => useModel(path));
  },
  jsonl: (folder) =>
    dataFile(join(folder, "data.jsonl"), records.map((r) => `${JSON.stringify(r)}\n`).join("")),
  json: (folder) => dataFile(join(folder, "data.json"), JSON.stringify(records)),
  "list in an object": (folder) =>
    dataFile(join(folder, "data.json"), JSON.stringify({ version: "1", data: records }, null, 1)),
  gzip: (folder) => dataFile(join(folder, "data.json.gz"), new Uint8Array(gzipSync(JSON.stringify(records)))),
  zstandard: (folder) =>
    dataFile(join(folder, "data.json.zst"), new Uint8Array(zstdCompressSync(JSON.stringify(records)))),
  conversation: (folder) => dataFile(join(folder, "talk.jsonl"), JSON.stringify(conversation)),
  csv: (folder) =>
    dataFile(
      join(folder, "data.csv"),
      'question,answer,reference\n"Two, and 3?",5,"2 + 3 = 5\n#### 5"\nWhy?,7,7\n',
    ),
  parquet: async (folder) => {
    const { parquetWriteBuffer } = await import("hyparquet-writer");
    const names = ["question", "answer", "reference"] as const;
    const bytes = parquetWriteBuffer({
      columnData: names.map((name) => ({
        name,
        data: Array.from(
          { length: 30 },
          (_, i) => `${name} ${i} #### ${i}`,
        ),
        type: "STRING" as const,
      })),
    });
    return dataFile(join(folder, "data.parquet"), new Uint8Array(bytes));
  },
  answers: (folder) =>
    dataFile(
      join(folder, "candidates.jsonl"),
      `${
        JSON.stringify({
          id: "a",
          question: "How much?",
          answer: "1,234.5",
          candidates: ["2 + 3 = 5\n#### 5", "The answer is \\boxed{\\frac{1}{2}}.", "<<3*4=12>>12 (a remark)"]
            .map(
              (text) => ({ text }),
            ),
        })
      }\n`,
      async (records) => {
        const groups = async function* () {
          for await (const record of records) if ((record as Group).candidates) yield record as Group;
        };
        for await (const _ of score(undefined, groups()));
      },
    ),
  state: async (folder) => {
    const model = join(folder, "model"), run = join(folder, "run");
    await writeModel(model);
    const settings = { objective: "vft", steps: 4, saveEvery: 1, batchSize: 2, out: run } as const;
    const data = () =>
      [1, 2, 3, 4].map((n) => ({ id: `r${n}`, question: `${n} + 1?`, reference: `#### ${n + 1}` }));
    const stop = new AbortController();
    {
      using trainee = await load(model);
      const training = train(trainee, data(), {
        ...settings,
        logEvery: 1,
        overwrite: true,
        signal: stop.signal,
      });
      const stopped = async () => {
        for await (const { step } of training) if (step === 3) stop.abort(new Error("enough"));
      };
      await stopped().catch((error) => {
        if (!stop.signal.aborted) throw error;
      });
    }
    const file = join("checkpoints", "step-00000003", "state.json"), whole = join(folder, "whole");
    await cp(run, whole, { recursive: true });
    const original = new Uint8Array(await readFile(join(whole, file)));
    const use = async (mutant: Uint8Array) => {
      await rm(run, { recursive: true, force: true });
      await cp(whole, run, { recursive: true });
      await writeFile(join(run, file), mutant);
      using trainee = await load(model);
      const resumed = train(trainee, data(), { ...settings, logEvery: 1, resume: true });
      const steps: number[] = [];
      for await (const { step } of resumed) steps.push(step);
      if (steps.join() !== "4") throw new Error(`It went on with the steps ${steps.join()}`);
    };
    return { original, use };
  },
  hub: async (folder) => {
    const sha = "0123456789abcdef0123456789abcdef01234567", body = `${JSON.stringify(records[0])}\n`;
    const whole = JSON.stringify({
      revision: { id: "org/set", sha },
      tree: [{ type: "file", path: "main/train.jsonl", size: body.length, oid: gitDigest(body) }],
      file: body,
    });
    let replies: Record<string, unknown> = {}, raw: Uint8Array | undefined;
    const server = createServer((request, response) => {
      const path = request.url ?? "";
      const part = path.includes("/revision/") ? "revision" : /tree|paths-info/.test(path) ? "tree" : "file";
      const reply = raw ?? new TextEncoder().encode(
        part === "file" ? String(replies.file) : JSON.stringify(replies[part]) ?? "",
      );
      const [, first] = request.headers.range?.match(/^bytes=(\d+)-/) ?? [];
      const start = Math.min(Number(first ?? 0), reply.length);
      const end = request.headers.range === "bytes=0-0" ? Math.min(1, reply.length) : reply.length;
      response.writeHead(first === undefined ? 200 : 206, {
        "content-type": part === "file" ? "text/plain" : "application/json",
        "content-length": end - start,
        ...(first !== undefined && { "content-range": `bytes ${start}-${end - 1}/${reply.length}` }),
        etag: '"x"',
      });
      response.end(reply.subarray(start, end));
    });
    const endpoint = await listening(server);
    let turn = 0;
    return {
      original: new TextEncoder().encode(whole),
      use: async (mutant) => {
        try {
          replies = JSON.parse(new TextDecoder().decode(mutant));
          raw = undefined;
          if (typeof replies !== "object" || replies === null) replies = {};
        } catch {
          raw = mutant;
        }
        const cacheDirectory = join(folder, `cache-${turn++}`);
        const hub = { endpoint, cacheDirectory, timeout: 1000, retries: 1 };
        try {
          for await (const _ of loadDataset("gsm8k", { hub }));
        } finally {
          await rm(cacheDirectory, { recursive: true, force: true });
        }
      },
    };
  },
  judge: async () => {
    const groups: Group[] = [{ id: "g", question: "How much?", candidates: [{ text: "5" }, { text: "6" }] }];
    return await replies({
      choices: [{ index: 0, message: { role: "assistant", content: "[9, 3]" }, finish_reason: "stop" }],
    }, async (url) => {
      await using judge = await openJudge({ url, model: "m", retries: 1, backoff: 0.001, timeout: 2 });
      for await (const _ of rank(groups, { source: judge }));
    });
  },
  served: async () => {
    const problems = [{ id: "p", question: "What is 2 + 3?" }];
    return await replies({
      choices: [{ index: 0, text: " 2 + 3 = 5\n#### 5", logprobs: null, finish_reason: "length" }],
    }, async (url) => {
      const asked = { url, model: "m", api: "completions", samples: 2, retries: 1, backoff: 0.001 } as const;
      for await (const _ of generateFrom(problems, { ...asked, timeout: 2 }));
    });
  },
};

/** Replies of a server with OpenAI's interface, each a mutant. */
async function replies(whole: object, use: (url: string) => Promise<void>): Promise<Target> {
  let reply: Uint8Array = new Uint8Array();
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(reply);
  });
  const url = `${await listening(server)}v1`;
  const usage = { prompt_tokens: 10, completion_tokens: 4 };
  return {
    original: new TextEncoder().encode(JSON.stringify({ id: "x", ...whole, usage })),
    use: async (mutant) => {
      reply = mutant;
      await use(url);
    },
  };
}

const records: readonly Record<string, unknown>[] = [
  { id: "a", question: "What is 2 + 3?", reference: "2 + 3 = 5\n#### 5", answer: "5" },
  { prompt: "Q: 4 + 6?\nA:", chosen: " 10", rejected: " 11" },
  { query: "What is 1 + 1?", responses: ["2", "3"], scores: [1, 0] },
  { question: "Which?", choices: ["red", "green"], answer: "B", reference: "It is green. The answer is B." },
  {
    question: "How many?",
    reference: "<<6/2=3>>3\n#### 3",
    answer: "3",
    candidates: [{ text: "3", correct: true }],
  },
];

const conversation: Record<string, unknown> = {
  tools: [{ type: "function", function: { name: "add", parameters: { type: "object" } } }],
  messages: [
    { role: "user", content: "What is 2 + 3?" },
    {
      role: "assistant",
      content: null,
      tool_calls: [{ function: { name: "add", arguments: '{"a":2,"b":3}' } }],
    },
    { role: "tool", content: "5" },
    { role: "assistant", content: [{ type: "text", text: "5" }], weight: 0 },
    { role: "user", content: "Sure?" },
    { role: "assistant", content: "Yes" },
  ],
};

/** The name that git gives a file's content. */
function gitDigest(content: string): string {
  return createHash("sha1").update(`blob ${content.length}\0${content}`).digest("hex");
}

async function listening(server: ReturnType<typeof createServer>): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const load = (path: string) => loadModel(path, { backend: "wasm" });

/** Loads a model, turns text into tokens and back, and computes. */
async function useModel(path: string): Promise<void> {
  using model = await load(path);
  const ids = model.tokenizer.encode("Question: What is 2 + 3?\n");
  model.tokenizer.decode(ids);
  await model.logprobs([1, 5, 6]);
}

async function fileOf(path: string, use: () => Promise<void>): Promise<Target> {
  return {
    original: new Uint8Array(await readFile(path)),
    use: async (mutant) => {
      await writeFile(path, mutant);
      await use();
    },
  };
}

async function modelFile(folder: string, name: string): Promise<Target> {
  const path = join(folder, "model");
  await writeModel(path);
  return await fileOf(join(path, name), () => useModel(path));
}

async function dataFile(
  path: string,
  content: string | Uint8Array,
  use: (records: AsyncIterable<unknown>) => Promise<void> = async (records) => {
    for await (const _ of records);
  },
): Promise<Target> {
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, content);
  return await fileOf(path, () => use(loadDataset(path)));
}

async function writeAdapter(folder: string): Promise<{ path: string }> {
  const base = join(folder, "base"), path = join(folder, "adapter");
  await writeModel(base);
  using model = await loadModel(base, { backend: "wasm", lora: parseLora("r=2") });
  await model.save(path, { overwrite: true });
  return { path };
}

/** A decoder of one layer, D = 16, V = 290. */
async function writeModel(path: string): Promise<void> {
  const corpus = ["Question: How many pens are 2 and 3 pens?\nAnswer: 2 + 3 = 5\n#### 5"];
  const { tokenizer, config } = buildTokenizer(corpus, { vocabularySize: 290 });
  await initializeModel(path, {
    seed: 1,
    config: {
      model_type: "llama",
      hidden_size: 16,
      intermediate_size: 24,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      vocab_size: 290,
      max_position_embeddings: 64,
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      tie_word_embeddings: true,
      bos_token_id: 1,
      eos_token_id: 2,
      torch_dtype: "float32",
    },
    files: new Map([
      ["tokenizer.json", JSON.stringify(tokenizer)],
      ["tokenizer_config.json", JSON.stringify(config)],
    ]),
  });
}
