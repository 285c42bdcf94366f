/** Parameters read from their files by pieces: the numbers are those of the file, whatever their kind. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openBackend } from "../lib/backend/backend.ts";
import { read } from "../lib/backend/tensors.ts";
import { type Checkpoint, openCheckpoint } from "../lib/model/checkpoint.ts";
import { initializeModel } from "../lib/model/initialize.ts";
import { loadParameter } from "../lib/model/load_parameter.ts";
import type { FloatDtype } from "../lib/model/safetensors.ts";
import { writeCheckpoint } from "../lib/model/write_checkpoint.ts";
import { assertNoLeak, gaussian, onBothBackends } from "./_backends.ts";
import { freshPath } from "./_models.ts";

// An embedding of three pieces in 2 bytes a number, the last of them a part; rows that are no multiple of anything.
const config = {
  model_type: "llama",
  hidden_size: 60,
  intermediate_size: 35,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  vocab_size: 70_003,
  max_position_embeddings: 8,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: true,
  eos_token_id: 2,
};

async function checkpointOf(dtype: FloatDtype): Promise<string> {
  const first = freshPath(), path = freshPath();
  await initializeModel(first, { seed: 1, config, files: new Map() });
  await using source = await openCheckpoint(first);
  await writeCheckpoint(path, {
    config: source.config,
    source,
    dtype,
    parameter: ({ shape }) => gaussian(shape.reduce((a, b) => a * b, 1), shape[0]),
  });
  return path;
}

onBothBackends("parameters by pieces are the file's numbers", async () => {
  for (const dtype of ["F32", "BF16", "F16"] as const) {
    await using checkpoint = await openCheckpoint(await checkpointOf(dtype));
    await assertNoLeak(async () => {
      for (const parameter of checkpoint.plan) {
        const tensor = await loadParameter(checkpoint, parameter);
        assert.deepEqual(tensor.shape, parameter.shape);
        const values = await read(tensor) as Float32Array,
          expected = await checkpoint.readParameter(parameter);
        const bits = (numbers: Float32Array) =>
          new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
        const wrong = bits(values).findIndex((bit, i) => bit !== bits(expected)[i]);
        assert.equal(wrong, -1, `${parameter.name} in ${dtype} differs at ${wrong}`);
        tensor.dispose();
      }
    });
  }
});

test("infinities, NaN and the smallest numbers come as they are", async () => {
  await openBackend("wasm");
  const odd = Uint16Array.of(0x7f80, 0xff80, 0x7fc1, 0x0001, 0x8000, 0x3f80, 0xff81, 0x0080, 0xbf81);
  const path = freshPath();
  await initializeModel(path, {
    seed: 1,
    config: { ...config, vocab_size: 3, torch_dtype: "bfloat16" },
    files: new Map(),
  });
  await using source = await openCheckpoint(path);
  const parameter = source.plan[0];
  const checkpoint: Checkpoint = {
    ...source,
    readPieces(_, take) {
      const all = new Uint16Array(3 * 60);
      all.set(odd);
      // A piece of an odd number of numbers, and the rest.
      take(new Uint8Array(all.buffer, 0, 18), "BF16", 0);
      take(new Uint8Array(all.buffer, 18), "BF16", 9);
      return Promise.resolve();
    },
  };
  const tensor = await loadParameter(checkpoint, parameter), values = await read(tensor) as Float32Array;
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  assert.deepEqual([...bits.subarray(0, 10)], [...[...odd].map((v) => v * 65536), 0]);
  tensor.dispose();
});

test("a file that ends early leaves no tensor behind", async () => {
  await openBackend("wasm");
  const path = freshPath();
  await initializeModel(path, { seed: 1, config: { ...config, vocab_size: 9 }, files: new Map() });
  await using checkpoint = await openCheckpoint(path);
  writeFileSync(join(path, "model.safetensors"), new Uint8Array(100)); // cut short while it is open
  await assertNoLeak(async () => {
    await assert.rejects(loadParameter(checkpoint, checkpoint.plan[0]), /the file ends at byte/);
  });
});
