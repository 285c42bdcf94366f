/** Parameters read from their files by pieces: the numbers are those of the file, whatever their kind. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fillZero, read } from "../../lib/backend/tensors.ts";
import { widenInto, widenOnGpu } from "../../lib/kernels/widen.ts";
import { widen } from "../../lib/runtime/float_bytes.ts";
import { openCheckpoint } from "../../lib/checkpoint/checkpoint.ts";
import { initializeModel } from "../../lib/checkpoint/initialize.ts";
import { loadParameter, loadWeights } from "../../lib/model/load_weights.ts";
import type { FloatDtype, TakePiece } from "../../lib/checkpoint/safetensors.ts";
import { writeCheckpoint } from "../../lib/checkpoint/write_checkpoint.ts";
import { assertNoLeak, gaussian, onBothBackends, testDevice, useDevice, zeros } from "../_backends.ts";
import { freshPath } from "../_models.ts";

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

function bitsOf(numbers: Float32Array): Uint32Array {
  return new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
}

/** What serves this machine, and on WebGPU what serves a real GPU. */
function waysOf(backend: "wasm" | "webgpu") {
  return backend === "webgpu" ? [widenInto, widenOnGpu] : [widenInto];
}

onBothBackends("parameters by pieces are the file's numbers", async () => {
  for (const dtype of ["F32", "BF16", "F16"] as const) {
    await using checkpoint = await openCheckpoint(await checkpointOf(dtype));
    await assertNoLeak(async () => {
      for (const parameter of checkpoint.plan) {
        const tensor = await loadParameter(testDevice(), checkpoint, parameter);
        assert.deepEqual(tensor.shape, parameter.shape);
        const values = await read(tensor) as Float32Array,
          expected = await checkpoint.readParameter(parameter);
        const wanted = bitsOf(expected), wrong = bitsOf(values).findIndex((bit, i) => bit !== wanted[i]);
        assert.equal(wrong, -1, `${parameter.name} in ${dtype} differs at ${wrong}`);
        tensor.dispose();
      }
    });
  }
});

onBothBackends(
  "weights keep the plan's order, and those before one that cannot be read are freed",
  async () => {
    await using checkpoint = await openCheckpoint(await checkpointOf("BF16"));
    const names = checkpoint.plan.map(({ name }) => name),
      last = checkpoint.plan.at(-1)!.parts.at(-1)!.tensor;
    for (const dtype of ["f32", "int8"] as const) {
      await assertNoLeak(async () => {
        const { parameters, quantized } = await loadWeights(checkpoint, {
          device: testDevice(),
          baseDtype: dtype,
        });
        assert.deepEqual([...parameters.keys()], names.filter((name) => !quantized?.has(name)));
        assert.equal(quantized?.size ?? 0, dtype === "f32" ? 0 : 4);
        [...parameters.values(), ...quantized?.values() ?? []].forEach((weight) => weight.dispose());
        const torn = {
          ...checkpoint,
          readPieces: (name: string, take: TakePiece) =>
            name === last ? Promise.reject(new Error("the disk is gone")) : checkpoint.readPieces(name, take),
        };
        await assert.rejects(
          loadWeights(torn, { device: testDevice(), baseDtype: dtype }),
          /the disk is gone/,
        );
      });
    }
  },
);

onBothBackends("every number of 16 bits is widened to its float32, bit by bit", async (backend) => {
  const halves = Uint16Array.from({ length: 65_536 }, (_, i) => i), bytes = new Uint8Array(halves.buffer);
  for (const dtype of ["BF16", "F16"] as const) {
    const expected = new Float32Array(halves.length);
    widen(bytes, dtype, expected);
    const wanted = bitsOf(expected), target = zeros([65_536 + 133]);
    // By fours and by ones, from a binding's boundary and from between two.
    for (const at of [0, 64, 132, 133]) {
      for (const put of waysOf(backend)) {
        fillZero(target);
        put(target, bytes, { dtype, at });
        const found = bitsOf(await read(target) as Float32Array).subarray(at);
        const wrong = wanted.findIndex((bit, i) => bit !== found[i]);
        assert.equal(wrong, -1, `${dtype} at ${at}: ${wrong} gives ${found[wrong]}, not ${wanted[wrong]}`);
      }
    }
    target.dispose();
  }
});

onBothBackends("widening writes its numbers and no other, whatever length and place", async (backend) => {
  const halves = Uint16Array.from({ length: 3000 }, (_, i) => (i * 7919) & 0xffff);
  for (const dtype of ["BF16", "F16"] as const) {
    await assertNoLeak(async () => {
      for (const [from, count, at] of [[1, 1, 0], [3, 2, 7], [0, 9, 63], [5, 2049, 65], [2, 1000, 128]]) {
        const part = halves.subarray(from, from + count), target = zeros([2200]);
        const wanted = new Float32Array(2200);
        // From a place in memory that is odd.
        const bytes = new Uint8Array(2 * count + 1).subarray(1);
        bytes.set(new Uint8Array(part.buffer, part.byteOffset, 2 * count));
        widen(bytes, dtype, wanted.subarray(at, at + count));
        for (const put of waysOf(backend)) {
          fillZero(target);
          put(target, bytes, { dtype, at });
          assert.deepEqual(bitsOf(await read(target) as Float32Array), bitsOf(wanted));
        }
        target.dispose();
      }
    });
  }
});

test("a file that ends early leaves no tensor behind", async () => {
  await useDevice("wasm");
  const path = freshPath();
  await initializeModel(path, { seed: 1, config: { ...config, vocab_size: 9 }, files: new Map() });
  await using checkpoint = await openCheckpoint(path);
  writeFileSync(join(path, "model.safetensors"), new Uint8Array(100)); // cut short while it is open
  await assertNoLeak(async () => {
    await assert.rejects(
      loadParameter(testDevice(), checkpoint, checkpoint.plan[0]),
      /the file ends at byte/,
    );
  });
});
