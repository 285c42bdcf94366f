import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Checkpoint, openCheckpoint, readConfig } from "../../lib/checkpoint/checkpoint.ts";
import { parseConfig } from "../../lib/checkpoint/config.ts";
import type { Parameter } from "../../lib/checkpoint/parameter_plan.ts";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { openTensors } from "../../lib/checkpoint/sharded_tensors.ts";
import { writeCheckpoint } from "../../lib/checkpoint/write_checkpoint.ts";
import { InputError } from "../../lib/runtime/errors.ts";

const shared = fileURLToPath(new URL("../../../shared/", import.meta.url));
const skip = existsSync(shared) ? false : "no ../shared beside the repository";
const models = [
  ...["llama", "llama3", "mistral", "qwen2", "qwen3", "gpt2", "bf16", "sharded"].map((name) =>
    `golden/models/${name}`
  ),
  "models/stories260K",
  "models/gpt-nano-sort",
];

const folder = mkdtempSync(join(tmpdir(), "checkpoint-test-"));
after(() => rmSync(folder, { recursive: true }));
let made = 0;
const fresh = () => join(folder, String(made++));

const config = {
  model_type: "llama",
  vocab_size: 3,
  hidden_size: 2,
  intermediate_size: 3,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  max_position_embeddings: 8,
  eos_token_id: 2,
  tie_word_embeddings: true,
};

/** Writes a tiny model by hand; numbers count up within each tensor, in hundreds from tensor to tensor. */
async function tiny(
  changes: Record<string, number[] | null> = {},
  fields: Record<string, unknown> = {},
): Promise<string> {
  const layer = "model.layers.0.";
  const shapes: Record<string, number[] | null> = {
    "model.embed_tokens.weight": [3, 2],
    [`${layer}self_attn.q_proj.weight`]: [2, 2],
    [`${layer}self_attn.k_proj.weight`]: [2, 2],
    [`${layer}self_attn.v_proj.weight`]: [2, 2],
    [`${layer}self_attn.o_proj.weight`]: [2, 2],
    [`${layer}input_layernorm.weight`]: [2],
    [`${layer}post_attention_layernorm.weight`]: [2],
    [`${layer}mlp.gate_proj.weight`]: [3, 2],
    [`${layer}mlp.up_proj.weight`]: [3, 2],
    [`${layer}mlp.down_proj.weight`]: [2, 3],
    "model.norm.weight": [2],
    ...changes,
  };
  const directory = fresh();
  mkdirSync(directory);
  const tensors: TensorToWrite[] = Object.entries(shapes).flatMap(([name, shape], i) =>
    shape === null ? [] : [{
      name,
      dtype: "F32",
      shape,
      bytes: () =>
        new Uint8Array(
          Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, j) => 100 * i + j).buffer,
        ),
    }]
  );
  await writeSafetensors(join(directory, "model.safetensors"), tensors);
  writeFileSync(join(directory, "config.json"), JSON.stringify({ ...config, ...fields }));
  return directory;
}

async function refused(directory: string, message: string): Promise<void> {
  await assert.rejects(openCheckpoint(directory), (error: Error) => {
    assert.ok(error instanceof InputError, `${error}`);
    assert.equal(error.message, message);
    return true;
  });
}

function writeAgain(directory: string, source: Checkpoint, options: object = {}): Promise<void> {
  return writeCheckpoint(directory, {
    config: source.config,
    source,
    parameter: source.readParameter,
    ...options,
  });
}

/** Fails unless two directories hold the same tensors: name, dtype, shape and bytes. */
async function sameTensors(one: string, other: string): Promise<void> {
  await using a = await openTensors(one);
  await using b = await openTensors(other);
  assert.deepEqual([...a.tensors.keys()].sort(), [...b.tensors.keys()].sort());
  for (const [name, { dtype, shape }] of a.tensors) {
    const found = b.tensors.get(name)!;
    assert.deepEqual([found.dtype, found.shape], [dtype, shape], name);
    assert.deepEqual(await b.readBytes(name), await a.readBytes(name), name);
  }
}

test("q, k and v are one matrix, and gate and up", async () => {
  await using checkpoint = await openCheckpoint(await tiny());
  const read = (name: string) => checkpoint.readParameter(checkpoint.plan.find((p) => p.name === name)!);
  assert.deepEqual(
    [...await read("layers.0.qkv")],
    [100, 101, 102, 103, 200, 201, 202, 203, 300, 301, 302, 303],
  );
  assert.deepEqual(
    [...await read("layers.0.gate_up")],
    [700, 701, 702, 703, 704, 705, 800, 801, 802, 803, 804, 805],
  );
  assert.deepEqual([...await checkpoint.readTensor("model.norm.weight")], [1000, 1001]);
});

test("GPT-2's matrices are turned", { skip }, async () => {
  await using checkpoint = await openCheckpoint(`${shared}golden/models/gpt2`);
  const up = checkpoint.plan.find(({ name }) => name === "layers.1.up")!;
  const stored = await checkpoint.readTensor("h.1.mlp.c_fc.weight"),
    turned = await checkpoint.readParameter(up);
  for (let o = 0; o < 192; o++) {
    for (let i = 0; i < 48; i++) assert.equal(turned[o * 48 + i], stored[i * 192 + o]);
  }
});

for (const name of models) {
  test(`${name} read and written unchanged is the same, tensor by tensor`, { skip }, async () => {
    const from = shared + name, to = fresh(), shards = fresh();
    await using source = await openCheckpoint(from);
    await writeAgain(to, source);
    await sameTensors(from, to);
    const json = (directory: string, file: string) => JSON.parse(readFileSync(join(directory, file), "utf8"));
    assert.deepEqual(json(to, "config.json"), json(from, "config.json"));

    await writeAgain(shards, source, { maxShardBytes: 40_000 });
    assert.ok(
      readdirSync(shards).filter((file) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(file)).length > 2,
    );
    await sameTensors(from, shards);
    await using again = await openCheckpoint(shards);
    const total = [...again.tensors.values()].reduce(
      (sum, { dtype, shape }) => sum + (dtype === "BF16" ? 2 : 4) * shape.reduce((a, b) => a * b, 1),
      0,
    );
    assert.equal(json(shards, "model.safetensors.index.json").metadata.total_size, total);
  });
}

test("tokenizer and licence go with the weights; given files replace them", { skip }, async () => {
  const to = fresh(), from = `${shared}models/stories260K`;
  await using source = await openCheckpoint(from);
  await writeAgain(to, source, { files: new Map([["README.md", "# A card\n"], ["LICENSE.llama2.c", "x"]]) });
  assert.deepEqual(readdirSync(to).sort(), [
    "LICENSE.llama2.c",
    "README.md",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
  ]);
  assert.ok(readFileSync(join(to, "tokenizer.json")).equals(readFileSync(join(from, "tokenizer.json"))));
  assert.equal(readFileSync(join(to, "README.md"), "utf8"), "# A card\n");
  assert.equal(readFileSync(join(to, "LICENSE.llama2.c"), "utf8"), "x");
});

test("another dtype is written into weights and config", async () => {
  const to = fresh();
  await using source = await openCheckpoint(await tiny({}, { torch_dtype: "float32" }));
  await writeAgain(to, source, { dtype: "BF16" });
  await using written = await openCheckpoint(to);
  assert.equal(written.config.torchDtype, "bfloat16");
  assert.ok([...written.tensors.values()].every(({ dtype }) => dtype === "BF16"));
  // 100…103 have 7 bits: exact. 301 has 9, of which BF16 keeps 8: halfway between 300 and 302, to the even 300.
  const qkv = await written.readParameter(written.plan.find(({ name }) => name === "layers.0.qkv")!);
  assert.deepEqual([...qkv.subarray(0, 4), ...qkv.subarray(8)], [100, 101, 102, 103, 300, 300, 302, 304]);
});

test("a model made from nothing is written and read", async () => {
  const to = fresh(), made = parseConfig({ ...config, bos_token_id: 1, torch_dtype: "float16" }, "config");
  const values = new Map<string, Float32Array>();
  await writeCheckpoint(to, {
    config: made,
    parameter: ({ name, shape }) => {
      const numbers = Float32Array.from(
        { length: shape.reduce((a, b) => a * b, 1) },
        (_, i) => values.size + i / 8,
      );
      assert.ok(!values.has(name), `${name} was asked for twice`);
      values.set(name, numbers);
      return numbers;
    },
  });
  await using checkpoint = await openCheckpoint(to);
  assert.equal(checkpoint.tensors.get("model.norm.weight")!.dtype, "F16");
  for (const parameter of checkpoint.plan) {
    assert.deepEqual(await checkpoint.readParameter(parameter), values.get(parameter.name));
  }
  const generation = JSON.parse(readFileSync(join(to, "generation_config.json"), "utf8"));
  assert.deepEqual(generation, { bos_token_id: 1, eos_token_id: 2 });
});

test("tensors without a use are refused, or kept; old constants are kept", async () => {
  const directory = await tiny({ "extra.weight": [2], "model.layers.0.self_attn.rotary_emb.inv_freq": [1] });
  await refused(
    directory,
    `Cannot open model directory ${directory}: tensor "extra.weight" is not one of a llama model's; option \`unknown: keep\` carries it along unchanged`,
  );
  const to = fresh();
  await using source = await openCheckpoint(directory, { unknown: "keep" });
  assert.deepEqual([...source.unused].sort(), [
    "extra.weight",
    "model.layers.0.self_attn.rotary_emb.inv_freq",
  ]);
  await writeAgain(to, source);
  await sameTensors(directory, to);
});

test("a tied head that is stored as well must be the embedding, and is written again", async () => {
  const wrong = await tiny({ "lm_head.weight": [3, 2] });
  {
    await using checkpoint = await openCheckpoint(wrong);
    await assert.rejects(checkpoint.readParameter(checkpoint.plan[0]), {
      message: `Cannot read ${join(wrong, "model.safetensors")}: tensor "lm_head.weight" must equal ` +
        `"model.embed_tokens.weight", to which config.json ties it: got other numbers`,
    });
  }
  const right = await tiny();
  await using source = await openSafetensors(join(right, "model.safetensors"));
  const tensors = [...source.tensors].map(([name, info]) => ({
    name,
    ...info,
    bytes: () => source.readBytes(name),
  }));
  const both = await tiny();
  await writeSafetensors(join(both, "model.safetensors"), [
    ...tensors,
    { ...tensors[0], name: "lm_head.weight" },
  ]);
  const to = fresh();
  await using checkpoint = await openCheckpoint(both);
  await writeAgain(to, checkpoint);
  await sameTensors(both, to);
});

test("end tokens of generation_config.json come first", async () => {
  const directory = await tiny();
  const path = join(directory, "generation_config.json");
  writeFileSync(path, '{"eos_token_id": [1, 2]}');
  {
    await using checkpoint = await openCheckpoint(directory);
    assert.deepEqual(checkpoint.config.endTokens, [1, 2]);
  }
  writeFileSync(path, '{"eos_token_id": 7}');
  await refused(directory, `Cannot read ${path}: field "eos_token_id" must be ids below 3: got 7`);
});

test("a config that contradicts the tensors: one line with tensor, found and expected", async () => {
  const q = "model.layers.0.self_attn.q_proj.weight";
  const shape = await tiny({ [q]: [4, 2] });
  await refused(
    shape,
    `Cannot open model directory ${shape}: tensor "${q}" has shape [4, 2]: config.json asks for [2, 2] ` +
      "(num_attention_heads 1)",
  );
  const missing = await tiny({ [q]: null });
  await refused(
    missing,
    `Cannot open model directory ${missing}: tensor "${q}" is missing: config.json asks for one of shape [2, 2]`,
  );
  const layers = await tiny({}, { num_hidden_layers: 2 });
  await refused(
    layers,
    `Cannot read ${
      join(layers, "config.json")
    }: field "num_hidden_layers" is 2, but the weights beside it have 1 layer`,
  );
  const untied = await tiny({}, { tie_word_embeddings: false });
  await refused(
    untied,
    `Cannot open model directory ${untied}: tensor "lm_head.weight" is missing: config.json asks for one of ` +
      `shape [3, 2]`,
  );
});

test("absurd counts are refused at once, by field and value, with what the weights hold", async () => {
  const embedding = "model.embed_tokens.weight", held = (rows: number) => `has shape [3, ${rows}]`;
  const cases: [Record<string, unknown>, (directory: string) => string][] = [
    ...[2, 1025, 65_536, 65_537, 4_294_967_296, 2 ** 53 - 1].map((
      num_hidden_layers,
    ): typeof cases[number] => [
      { num_hidden_layers },
      (d) =>
        `Cannot read ${
          join(d, "config.json")
        }: field "num_hidden_layers" is ${num_hidden_layers}, but the weights beside it have 1 layer`,
    ]),
    [
      { vocab_size: 2e9 },
      (d) =>
        `Cannot open model directory ${d}: tensor "${embedding}" ${
          held(2)
        }: config.json asks for [2000000000, 2] ` +
        "(vocab_size 2000000000)",
    ],
    [
      { hidden_size: 2 ** 40 },
      (d) =>
        `Cannot open model directory ${d}: tensor "${embedding}" ${held(2)}: config.json asks for ` +
        "[3, 1099511627776] (hidden_size 1099511627776)",
    ],
    [
      { intermediate_size: 4e9 },
      (d) =>
        `Cannot open model directory ${d}: tensor "model.layers.0.mlp.gate_proj.weight" has shape [3, 2]: ` +
        "config.json asks for [4000000000, 2] (intermediate_size 4000000000)",
    ],
  ];
  for (const [change, message] of cases) {
    const directory = await tiny({}, change), before = process.memoryUsage().rss, began = process.cpuUsage();
    await refused(directory, message(directory));
    assert.ok(process.cpuUsage(began).user < 5e6, JSON.stringify(change));
    assert.ok(process.memoryUsage().rss - before < 100 * 2 ** 20, JSON.stringify(change));
  }
  // Without weights (a hub model's config comes first) the number itself is bounded.
  const alone = await tiny({}, { num_hidden_layers: 4_294_967_296 });
  rmSync(join(alone, "model.safetensors"));
  await assert.rejects(readConfig(alone), {
    name: "InputError",
    message: `Cannot read ${
      join(alone, "config.json")
    }: field "num_hidden_layers" must be a positive integer of at most 65536: got 4294967296`,
  });
});

test("a directory that is missing or half written", async () => {
  const nothing = fresh();
  await refused(nothing, `Cannot open model directory ${nothing}: no such directory`);
  const directory = await tiny();
  const file = join(directory, "config.json");
  await refused(file, `Cannot open model directory ${file}: it is a file`);
  rmSync(file);
  await refused(directory, `Cannot open model directory ${directory}: config.json is missing`);
  writeFileSync(file, JSON.stringify(config));
  const weights = join(directory, "model.safetensors"), size = readFileSync(weights).length;
  truncateSync(weights, size - 3);
  // 6 + 4·4 + 2·2 + 3·6 + 2 numbers of 4 bytes.
  await assert.rejects(openCheckpoint(directory), /expected 184 bytes of tensors after the header: got 181$/);
  rmSync(weights);
  const expected = "expected model.safetensors or model.safetensors.index.json: found";
  await refused(directory, `Cannot open model directory ${directory}: ${expected} neither`);
  writeFileSync(join(directory, "pytorch_model.bin"), "");
  await refused(
    directory,
    `Cannot open model directory ${directory}: ${expected} pytorch_model.bin, which must be converted first`,
  );
});

test("shards: one that is missing, a name that leads elsewhere, a tensor that is not where it should be", async () => {
  const directory = fresh();
  await using source = await openCheckpoint(await tiny());
  await writeAgain(directory, source, { maxShardBytes: 100 });
  const index = join(directory, "model.safetensors.index.json");
  const content = JSON.parse(readFileSync(index, "utf8"));
  const shards = readdirSync(directory).filter((name) => name.startsWith("model-"));
  const write = (map: object) => writeFileSync(index, JSON.stringify({ weight_map: map }));

  write({ ...content.weight_map, "model.norm.weight": "../outside.safetensors" });
  await refused(
    directory,
    `Cannot read ${index}: tensor "model.norm.weight" must be in a .safetensors file of the same directory: ` +
      `got "../outside.safetensors"`,
  );
  write({ ...content.weight_map, "model.norm.weight": shards[0] });
  await refused(
    directory,
    `Cannot read ${join(directory, shards[0])}: tensor "model.norm.weight" is missing`,
  );
  const { "model.norm.weight": last, ...others } = content.weight_map;
  write(others);
  await refused(
    directory,
    `Cannot read ${join(directory, last)}: tensor "model.norm.weight" is not placed there by ${index}`,
  );
  write(content.weight_map);
  rmSync(join(directory, shards[1]));
  await refused(
    directory,
    `Cannot read ${join(directory, shards[1])}: the index ${index} names it, but it is missing`,
  );
});

test("writing is all or nothing", async () => {
  const directory = await tiny();
  await using source = await openCheckpoint(directory);
  await assert.rejects(writeAgain(directory, source), {
    message: `Cannot write ${directory}: it already exists`,
  });
  const before = readFileSync(join(directory, "model.safetensors")), names = readdirSync(folder);
  let reads = 0;
  const failing = (parameter: Parameter) => {
    if (++reads === 4) throw new InputError("No more");
    return source.readParameter(parameter);
  };
  await assert.rejects(writeAgain(directory, source, { parameter: failing, overwrite: true }), /No more/);
  assert.deepEqual(readFileSync(join(directory, "model.safetensors")), before);
  assert.deepEqual(readdirSync(folder), names);

  const negated = async (parameter: Parameter) => (await source.readParameter(parameter)).map((x) => -x);
  await writeAgain(directory, source, { parameter: negated, overwrite: true });
  assert.deepEqual(readdirSync(folder), names);
  await using written = await openCheckpoint(directory);
  assert.deepEqual(await written.readTensor("model.norm.weight"), Float32Array.of(-1000, -1001));
});
