import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, base, inPairs, lines, root, run } from "../_commands.ts";

/** A copy of the embedded model with something done to it. */
function damaged(name: string, damage: (directory: string) => void): string {
  const directory = at(name);
  cpSync(join(root, base), directory, { recursive: true });
  damage(directory);
  return directory;
}

type Header = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;

/** A copy whose safetensors has another header, or another length of it, or other bytes. */
function withWeights(
  name: string,
  change: (parts: { header: Header; length: bigint; data: Buffer }) => void,
): string {
  return damaged(name, (directory) => {
    const path = join(directory, "model.safetensors"), bytes = readFileSync(path);
    const size = Number(bytes.readBigUInt64LE(0));
    const parts = {
      header: JSON.parse(bytes.toString("utf8", 8, 8 + size)) as Header,
      length: 0n,
      data: Buffer.from(bytes.subarray(8 + size)),
    };
    change(parts);
    const header = Buffer.from(JSON.stringify(parts.header)), prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(parts.length || BigInt(header.length));
    writeFileSync(path, Buffer.concat([prefix, header, parts.data]));
  });
}

const embedding = "model.embed_tokens.weight", norm = "model.norm.weight";

test("a model directory that is missing, half-written or damaged is refused in one line", async () => {
  const cases: [string, RegExp][] = [
    [at("none"), /^Cannot open model directory .*none: no such directory/],
    [damaged("no-config", (d) => rmSync(join(d, "config.json"))), /no-config: config\.json is missing$/],
    [damaged("no-weights", (d) => rmSync(join(d, "model.safetensors"))), /no-weights.*model\.safetensors/],
    [
      damaged("half-config", (d) => writeFileSync(join(d, "config.json"), '{"model_type": "lla')),
      /^Cannot read .*half-config.config\.json: expected JSON: /,
    ],
    [
      damaged("half-weights", (d) => {
        const path = join(d, "model.safetensors");
        writeFileSync(path, readFileSync(path).subarray(0, 100_000));
      }),
      /half-weights.model\.safetensors: .*\d+ bytes/,
    ],
    [
      damaged("empty-weights", (d) => writeFileSync(join(d, "model.safetensors"), "")),
      /empty-weights.model\.safetensors: /,
    ],
    [withWeights("long-header", (p) => p.length = 1n << 40n), /long-header.model\.safetensors: .*header/],
    [withWeights("short-header", (p) => p.length = 40n), /short-header.model\.safetensors: .*header/],
    [
      withWeights("overlap", ({ header }) => {
        const { data_offsets: [start, end] } = header[norm];
        header[norm].data_offsets = [start - 2, end - 2];
      }),
      /overlap.model\.safetensors: .*(overlap|gap|starts? at byte)/,
    ],
    [
      withWeights("outside", (p) => {
        const all = Object.values(p.header).filter((entry) => entry.data_offsets);
        const last = all.reduce((a, b) => a.data_offsets[1] > b.data_offsets[1] ? a : b);
        last.data_offsets[1] += 1 << 20;
      }),
      /outside.model\.safetensors: /,
    ],
    [
      withWeights("shape", ({ header }) => header[norm].shape = [127]),
      /shape.*"model\.norm\.weight".*\[?127/,
    ],
    [
      withWeights("transposed", ({ header }) => header[embedding].shape.reverse()),
      /"model\.embed_tokens\.weight" has shape \[128, 525\]: config\.json asks for \[525, 128\] \(vocab_size 525, hidden_size 128\)$/,
    ],
    [
      withWeights("lacking", ({ header }) => {
        header["model.norm.bias"] = header[norm];
        delete header[norm];
      }),
      /tensor "model\.norm\.weight" is missing/,
    ],
    [
      damaged("vocabulary", (d) => {
        const path = join(d, "tokenizer.json"), tokenizer = JSON.parse(readFileSync(path, "utf8"));
        const [token] = Object.keys(tokenizer.model.vocab).slice(-1);
        tokenizer.model.vocab[token] = 600;
        writeFileSync(path, JSON.stringify(tokenizer));
      }),
      /^Cannot use the tokenizer of .*vocabulary: the model has 525 tokens, but id 600 /,
    ],
    [damaged("no-tokenizer", (d) => rmSync(join(d, "tokenizer.json"))), /has no tokenizer\.json$/],
  ];
  await inPairs(cases, async ([directory, message]) => {
    const args = [
      "--model",
      directory,
      "--backend",
      "wasm",
      "--data",
      "arithmetic",
      "--limit",
      "1",
      "--quiet",
    ];
    const { code, out, err } = await run("generate", args);
    assert.deepEqual({ code, out }, { code: 1, out: "" }, err);
    assert.match(err, /^generate: [A-Z][^\n]*[^.\n]\n$/);
    assert.match(err.slice("generate: ".length, -1), message);
  });
});

test("weights that are no numbers end training with the question's name, and leave no model", async () => {
  const directory = withWeights("nan", ({ header, data }) => {
    const [start] = header[norm].data_offsets;
    data.writeUInt16LE(0x7fc0, start); // NaN in bfloat16
  });
  const record = { id: "the-question", question: "1 + 1?", reference: "1 + 1 = 2\n#### 2", answer: "2" };
  const group = {
    ...record,
    candidates: [{ text: "#### 3", correct: false }, { text: "#### 2", correct: true }],
  };
  const results = await inPairs(["vft", "ca-align", "evaluate", "score"], (task) =>
    run(task, [
      ...["--model", directory, "--backend", "wasm", "--quiet"],
      ...(/vft|align/.test(task) ? ["--out", at(`out-${task}`), "--steps", "1"] : []),
      ...(task === "evaluate" ? ["--max-tokens", "4"] : []),
    ], { input: lines([group]) }));
  for (const [i, task] of ["vft", "ca-align"].entries()) {
    assert.deepEqual([results[i].code, results[i].out], [1, ""]);
    assert.match(results[i].err, new RegExp(`^${task}: (?=.*NaN)[^\\n]*"the-question"[^\\n]*\\n$`));
    assert.throws(() => readFileSync(join(at(`out-${task}`), "config.json")));
  }
  // Scores that are no numbers would be null in JSON, and refused far from their cause.
  assert.match(
    results[2].err,
    /^evaluate: [^\n]*must be a finite number: got NaN\n$|^evaluate: [^\n]*logits are not finite [^\n]*\n$/,
  );
  assert.equal(
    results[3].err,
    'score: Cannot write record "the-question": field "logprob" must be a finite number: got NaN\n',
  );
  assert.deepEqual(results.map(({ code, out }) => [code, out]), Array(4).fill([1, ""]));
});

test("weights that are no numbers end generation at the first token", async () => {
  const directory = withWeights("nan-generate", ({ header, data }) => {
    data.writeUInt16LE(0x7fc0, header[norm].data_offsets[0]);
  });
  const cases = ["wasm", "webgpu"].flatMap((backend) =>
    ["0", "1"].map((temperature) => [backend, temperature])
  );
  await inPairs(cases, async ([backend, temperature]) => {
    const { code, out, err } = await run("generate", [
      ...["--model", directory, "--backend", backend, "--temperature", temperature, "--quiet"],
      ...["--data", "arithmetic", "--limit", "1", "--max-tokens", "20", "--samples", "2"],
    ]);
    if (backend === "webgpu" && /found no adapter/.test(err)) return;
    assert.deepEqual({ code, out }, { code: 1, out: "" }, err);
    assert.equal(
      err,
      "generate: Cannot draw token 1 of a response: the model's logits are not finite numbers (NaN or infinity); " +
        "its weights hold such numbers, or lead to them\n",
    );
  });
});

test("a directory that is no model's, and a file in its place, are told apart", async () => {
  mkdirSync(at("folder"));
  writeFileSync(at("file"), "");
  const [folder, file] = await inPairs(
    ["folder", "file"],
    (name) => run("evaluate", ["--model", at(name), "--data", "arithmetic:test", "--quiet"]),
  );
  assert.equal(folder.err, `evaluate: Cannot open model directory ${at("folder")}: config.json is missing\n`);
  assert.equal(file.err, `evaluate: Cannot open model directory ${at("file")}: it is a file\n`);
});

test("--dtype chooses how the weights are written; without it they stay as they were read", async () => {
  const settings = [
    "--model",
    base,
    "--data",
    "arithmetic",
    "--limit",
    "4",
    "--steps",
    "1",
    "--backend",
    "wasm",
  ];
  const kinds = (directory: string): string[] => {
    const bytes = readFileSync(join(directory, "model.safetensors"));
    const header = JSON.parse(bytes.toString("utf8", 8, 8 + Number(bytes.readBigUInt64LE(0)))) as Header;
    return [...new Set(Object.entries(header).filter(([n]) => n !== "__metadata__").map(([, t]) => t.dtype))];
  };
  for (
    const [dtype, args] of [["BF16", []], ["F32", ["--dtype", "F32"]], ["F16", ["--dtype", "F16"]]] as const
  ) {
    const out = at(`written-${dtype}`);
    const { code, err } = await run("vft", [...settings, ...args, "--out", out]);
    assert.equal(code, 0, err);
    assert.deepEqual(kinds(out), [dtype]);
    const config = JSON.parse(readFileSync(join(out, "config.json"), "utf8"));
    assert.equal(config.torch_dtype, { BF16: "bfloat16", F32: "float32", F16: "float16" }[dtype]);
  }
  const adapter = await run("vft", [
    ...settings,
    "--lora",
    "r=2",
    "--dtype",
    "F16",
    "--out",
    at("no-adapter"),
  ]);
  assert.equal(adapter.code, 2);
  assert.equal(
    adapter.err.trimEnd().split("\n").at(-1),
    "vft: Cannot choose the dtype of an adapter, which is F32: choose it when it is merged",
  );
});
