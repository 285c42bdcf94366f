/** Frozen matrices in fewer bits: what is kept, the products with it, and whole models on it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { read } from "../../lib/backend/tensors.ts";
import {
  quantize,
  quantizedBytes,
  type QuantizedDtype,
  quantizeValues,
} from "../../lib/kernels/product/quantize.ts";
import { quantizedLinear, quantizedLinearGradient } from "../../lib/kernels/product/quantized_linear.ts";
import { trainable } from "../../lib/model/adapter.ts";
import { backward, forward, makeGradients } from "../../lib/model/decoder.ts";
import { deviceBatch } from "../../lib/model/batch.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import { train } from "../../lib/train/trainer.ts";
import { assertClose, assertNoLeak, gaussian, onBothBackends, testDevice, upload } from "../_backends.ts";
import { freshPath, setParameter, smallModel, tokenIds, writeSmallModel } from "../_models.ts";
import { toyProblems } from "../_toys.ts";

const dtypes: readonly QuantizedDtype[] = ["f16", "int8", "int4"];

test("by hand: a row of int8 and two blocks of int4", () => {
  const bytes = quantizeValues(Float32Array.of(1, -0.6, 0.25, 0), [1, 4], "int8");
  assert.deepEqual([...new Int8Array(bytes.words.buffer).subarray(0, 6)], [127, -76, 32, 0, 0, 0]);
  assert.deepEqual([...bytes.scales], [Math.fround(1 / 127)]);

  const values = new Float32Array(33);
  values.set([7, -7, 3.4, -1, 0], 0);
  values[32] = -14;
  const { words, scales } = quantizeValues(values, [1, 33], "int4");
  // 7+8, −7+8, 3+8, −1+8, 0+8, … from the lowest bits on.
  assert.equal(words[0] >>> 0, 0x8888_7b1f);
  assert.deepEqual([...scales], [1, 2]);
  assert.equal(words[4] >>> 0, 0x8888_8881);
  assert.equal(words.length, 8);
  assert.equal(quantizedBytes([1, 33], "int4"), 4 * (8 + 2));
});

/** What quantised words stand for, one weight at a time. */
function widened(
  values: Float32Array,
  shape: readonly [number, number],
  dtype: QuantizedDtype,
): Float64Array {
  const { words, scales } = quantizeValues(values, shape, dtype), [rows, columns] = shape;
  const padded = Math.ceil(columns / 32) * 32, out = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const at = r * padded + c;
      out[r * columns + c] = dtype === "f16"
        ? new Float16Array(words.buffer)[at]
        : dtype === "int8"
        ? new Int8Array(words.buffer)[at] * scales[r]
        : ((words[at >> 3] >>> (4 * (at & 7)) & 15) - 8) * scales[at >> 5];
    }
  }
  return out;
}

test("every weight is kept within half a step", () => {
  const shape = [5, 70] as const, values = gaussian(350, 3).map((v, i) => v * 10 ** (i % 3 - 1));
  values.fill(0, 70, 140); // a row of zeros
  for (const dtype of dtypes) {
    const kept = widened(values, shape, dtype), { scales } = quantizeValues(values, shape, dtype);
    kept.forEach((value, i) => {
      const row = Math.floor(i / 70), column = i % 70;
      const half = dtype === "f16"
        ? Math.abs(values[i]) * 2 ** -11 + 2 ** -25
        : scales[dtype === "int8" ? row : row * 3 + (column >> 5)] / 2;
      assert.ok(Math.abs(value - values[i]) <= half * 1.00001, `${dtype}[${i}]: ${value} for ${values[i]}`);
    });
  }
});

// One row, as in decoding; widths that are no multiple of 32, of 8, of 4; rows of several tiles.
const shapes: [m: number, n: number, k: number][] = [
  [1, 5, 32],
  [1, 70, 3],
  [7, 33, 100],
  [9, 65, 48],
  [30, 64, 64],
  [67, 130, 97],
  [67, 132, 100], // by vec4
  [6, 40, 64], // six rows at once on WASM
  [17, 20, 64], // six, six, four, one
  [3, 600, 512],
];

onBothBackends("products with a narrow matrix are those with what it stands for", async () => {
  for (const dtype of dtypes) {
    for (const [m, n, k] of shapes) {
      await assertNoLeak(async () => {
        const hw = gaussian(n * k, 2), w = widened(hw, [n, k], dtype), where = `${dtype} ${m}×${n}×${k}`;
        const hx = gaussian(m * k, 3), hb = gaussian(n, 4), hd = gaussian(m * n, 5);
        const y64 = new Float64Array(m * n), dx64 = new Float64Array(m * k);
        for (let i = 0; i < m; i++) {
          for (let j = 0; j < n; j++) {
            for (let c = 0; c < k; c++) {
              y64[i * n + j] += hx[i * k + c] * w[j * k + c];
              dx64[i * k + c] += hd[i * n + j] * w[j * k + c];
            }
          }
        }
        const matrix = quantize(testDevice(), hw, { shape: [n, k], dtype: dtype }),
          x = upload(hx, [m, k]),
          dy = upload(hd, [m, n]);
        const y = quantizedLinear(x, matrix), dx = quantizedLinearGradient(matrix, dy);
        assertClose(await read(y), y64, 3e-6, where);
        assertClose(await read(dx), dx64, 3e-6, `${where} dx`);
        if (m === 7 || m === 67) { // the others' programs differ in nothing else
          const bias = upload(hb, [n]), biased = quantizedLinear(x, matrix, { bias });
          assertClose(await read(biased), y64.map((v, i) => v + hb[i % n]), 3e-6, `${where} with bias`);
          [bias, biased].forEach((t) => t.dispose());
        }
        [x, dy, y, dx].forEach((t) => t.dispose());
        matrix.dispose();
      });
    }
  }
});

/**
 * Error of logits with narrow layers, relative to the largest logit. On the real stories260K: 0.0005, 0.013 and 0.23, its
 * mean log-prob of its own text falling from −0.324 to −0.324, −0.325 and −0.362 nats.
 */
const stated: Readonly<Record<QuantizedDtype, number>> = { f16: 0.002, int8: 0.03, int4: 0.4 };

onBothBackends(
  "a model on narrow layers: logits within the stated error, the base frozen",
  async (backend) => {
    const wide = await smallModel(backend, { config: { intermediate_size: 64 } }), directory = freshPath();
    await wide.save(directory);
    const ids = tokenIds(14, 5), logits = await wide.logits(ids);
    const largest = logits.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    for (const dtype of dtypes) {
      const narrow = await loadModel(directory, { backend, baseDtype: dtype, lora: { r: 2, alpha: 4 } });
      assert.equal(
        narrow.size - wide.size,
        [...narrow.decoder.parameters].reduce(
          (sum, [name, t]) => name.includes("lora") ? sum + t.size : sum,
          0,
        ),
      );
      const close = await narrow.logits(ids);
      const error = close.reduce((most, v, i) => Math.max(most, Math.abs(v - logits[i])), 0) / largest;
      assert.ok(error > 0 && error < stated[dtype], `${dtype}: error ${error}`);

      const bytes = async () => {
        const all: number[] = [];
        for (const { words, scales } of narrow.decoder.quantized!.values()) {
          all.push(...await read(words), ...await read(scales));
        }
        return all;
      };
      const before = await bytes(), metrics = [];
      for await (
        const line of train(narrow, toyProblems(4), { objective: "vft", steps: 2, learningRate: 0.01 })
      ) {
        metrics.push(line);
      }
      assert.ok(metrics.length > 0 && metrics.every(({ gradient_norm: norm }) => norm > 0));
      assert.deepEqual(await bytes(), before);
      assert.notDeepEqual(await narrow.logits(ids), close);
      await assert.rejects(
        narrow.gradients(ids),
        /Cannot take gradients of a model whose weights are kept in fewer/,
      );
      await assert.rejects(narrow.merge(), /Cannot merge an adapter into a model whose weights/);
      narrow.dispose();
    }
    const frozen = await loadModel(directory, { backend, baseDtype: "int8" });
    await assert.rejects(
      frozen.save(freshPath()),
      /Cannot save a model whose weights are kept in fewer bits/,
    );
    await assert.rejects(
      train(frozen, toyProblems(4), { objective: "vft" }).next(),
      /they are frozen; train an adapter/,
    );
    frozen.dispose();
    wide.dispose();
  },
);

onBothBackends("an adapter's gradient on narrow layers agrees with finite differences", async (backend) => {
  const directory = await writeSmallModel(), lora = { r: 2, alpha: 4 };
  const model = await loadModel(directory, { backend, baseDtype: "int4", lora }), ids = tokenIds(16, 6);
  for (const [name, { shape, size }] of model.decoder.parameters) {
    if (name.includes("lora")) setParameter(model, name, gaussian(size, 3).map((v) => v * 0.3), shape);
  }
  const loss = async () => (await model.logprobs(ids)).reduce((sum, v) => sum + v, 0);
  const gradients = makeGradients(model.decoder, trainable(model.decoder));
  const batch = deviceBatch(model.decoder, [{ prompt: [ids[0]], responses: [ids.slice(1)] }]);
  const pass = forward(model.decoder, batch, { keep: "products" }),
    ones = upload(new Float32Array(15).fill(1), [15]);
  backward(model.decoder, pass, { batch, weights: ones, gradients });
  for (const name of ["layers.0.qkv.lora_a", "layers.0.gate_up.lora_b"]) {
    const g = await read(gradients.get(name)!) as Float32Array,
      values = await model.parameterValues(name),
      step = 0.02;
    const at = g.reduce((best, v, i) => Math.abs(v) > Math.abs(g[best]) ? i : best, 0);
    const lossAt = async (delta: number) => {
      setParameter(model, name, values.map((v, i) => i === at ? v + delta : v));
      return await loss();
    };
    const slope = (await lossAt(step) - await lossAt(-step)) / (2 * step);
    await lossAt(0);
    assert.ok(Math.abs(slope - g[at]) < 0.02 * Math.abs(g[at]), `${name}: ${g[at]}, differences ${slope}`);
  }
  [ones, ...gradients.values()].forEach((t) => t.dispose());
  batch.dispose();
  model.dispose();
});
