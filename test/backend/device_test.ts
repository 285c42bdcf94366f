/** Devices and tensors as values: two at once, memory that comes back, and one line where a tensor is misused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openDevice } from "../../lib/backend/backend.ts";
import { assign, empty, joined, read, upload, writeInto, zeros } from "../../lib/backend/tensors.ts";
import { findAdapter, fromTfjs, toTfjs } from "../../lib/backend/webgpu.ts";
import { matmul } from "../../lib/kernels/product/matmul.ts";
import { swiglu } from "../../lib/kernels/swiglu.ts";
import { deviceBatch } from "../../lib/model/batch.ts";
import { backward, forward, makeGradients } from "../../lib/model/decoder.ts";
import { generate } from "../../lib/model/generate.ts";
import { loadModel } from "../../lib/model/load_model.ts";
import { assertNoLeak, onBothBackends, testDevice } from "../_backends.ts";
import { collect, smallModel, tokenIds, writeSmallModel } from "../_models.ts";

const { adapter } = await findAdapter();
const skip = adapter ? false : "no WebGPU adapter on this machine";

onBothBackends("what is written is read, moved and joined", async () => {
  const device = testDevice();
  await assertNoLeak(async () => {
    using a = upload(device, Float32Array.of(1, 2, 3, 4), [2, 2]);
    writeInto(a, new Uint8Array(Float32Array.of(9).buffer), 3);
    assert.deepEqual([...await read(a)], [1, 2, 3, 9]);
    assign(a, upload(device, Float32Array.of(5, 6, 7, 8), [2, 2]));
    assert.deepEqual([...await read(a)], [5, 6, 7, 8]);
    using none = zeros(device, [3], "int32");
    assert.deepEqual(await read(none), new Int32Array(3));
    using all = joined([[1, 2], [3], [4, 5, 6]].map((v) => upload(device, Int32Array.from(v), [v.length])));
    assert.deepEqual([...await read(all)], [1, 2, 3, 4, 5, 6]);
    const second = a.share();
    a.dispose();
    assert.deepEqual([...await read(second)], [5, 6, 7, 8], "the second owner keeps the memory");
    second.dispose();
    second.dispose(); // once more is no harm
    using nothing = upload(device, new Float32Array(0), [0, 4]);
    assert.deepEqual([...await read(nothing)], []);
  });
  assert.throws(
    () => upload(device, new Float32Array(3), [2, 2]),
    /^Error: Cannot make a tensor of shape \[2, 2\] of 3/,
  );
});

onBothBackends("a tensor that was freed is one clear line", async () => {
  const a = upload(testDevice(), new Float32Array(6), [2, 3]);
  a.dispose();
  assert.equal(a.isFreed, true);
  const line = /^Error: Cannot use a tensor of shape \[2, 3\]: it was freed$/;
  await assert.rejects(read(a), line);
  assert.throws(() => matmul(a, a, { transposeB: true }), line);
  assert.throws(() => a.share(), line);
});

test("a tensor of another device is one clear line", { skip }, async () => {
  const cpu = await openDevice("wasm"), gpu = await openDevice("webgpu");
  using a = upload(cpu, new Float32Array(4), [2, 2]);
  using b = upload(gpu, new Float32Array(4), [2, 2]);
  assert.throws(() => matmul(a, b), /^Error: .*on (webgpu|wasm)/);
  assert.throws(
    () => matmul(b, a),
    /^Error: Cannot run \S+: "b" is on wasm, the tensors before it on webgpu$/,
  );
  assert.throws(() => assign(a, b), /^Error: Cannot copy a tensor of webgpu to wasm$/);
  assert.throws(() => toTfjs(a), /^Error: Cannot share memory with TF\.js: the tensor is on wasm/);
});

test("two models live on two devices, and each computes on its own", { skip }, async () => {
  const path = await writeSmallModel(), ids = tokenIds(12, 3);
  using first = await loadModel(path, { backend: "wasm" });
  const before = await first.logprobs(ids);
  using second = await loadModel(path, { backend: "webgpu" });
  assert.deepEqual([first.device.name, second.device.name], ["wasm", "webgpu"]);
  assert.deepEqual(await first.logprobs(ids), before, "the second load does not move the first");
  const there = await second.logprobs(ids);
  there.forEach((value, i) => assert.ok(Math.abs(value - before[i]!) < 1e-4));
  const problems = [{ id: "a", question: "What is 2 + 3?" }, { id: "b", question: "Why?" }];
  const options = { samples: 2, maxTokens: 6, seed: 1 };
  const [here, far] = await Promise.all([first, second].map((m) => collect(generate(m, problems, options))));
  assert.deepEqual(here, far);
});

onBothBackends("an error in the middle of a layer, forward or backward, leaks nothing", async (backend) => {
  using model = await smallModel(backend);
  const { decoder, device } = model;
  using batch = deviceBatch(decoder, [{
    prompt: tokenIds(5, 1),
    responses: [tokenIds(4, 2), tokenIds(3, 3)],
  }]);
  const gradients = makeGradients(decoder);
  const weights = upload(device, new Float32Array(batch.host.labels.length).fill(-1), [
    batch.host.labels.length,
  ]);
  const pass = (keep: "products" | "inputs") => {
    backward(decoder, forward(decoder, batch, { keep }), { batch, weights, gradients });
  };
  pass("products"); // what is made once is made
  const taking = device as { take: typeof device.take }, { take } = device;
  for (const keep of ["products", "inputs"] as const) {
    let whole = 0;
    taking.take = (bytes, values) => (whole++, take(bytes, values));
    pass(keep);
    for (let at = 0; at < whole; at++) {
      const before = device.use();
      let count = 0;
      taking.take = (bytes, values) => {
        if (count++ === at) throw new Error("No memory for the test");
        return take(bytes, values);
      };
      assert.throws(() => pass(keep), /No memory for the test/, `${keep}, allocation ${at} of ${whole}`);
      taking.take = take;
      const { tensors, used } = device.use();
      assert.deepEqual(
        { tensors, used },
        { tensors: before.tensors, used: before.used },
        `${keep}, ${at} of ${whole}`,
      );
    }
    taking.take = take;
  }
  [weights, ...gradients.values()].forEach((t) => t.dispose());
});

test("a tensor goes to TF.js and comes back without a copy", { skip }, async () => {
  const device = await openDevice("webgpu");
  assert.ok(device.name === "webgpu");
  const tf = await import("@tensorflow/tfjs");
  await tf.setBackend("webgpu");
  const before = device.use();
  using x = upload(device, Float32Array.from({ length: 12 }, (_, i) => i - 6), [3, 4]);
  const taken = device.use().held;
  const theirs = toTfjs(x);
  assert.equal(device.use().held, taken, "no memory was taken");
  const doubled = tf.mul(theirs, 2);
  using ours = fromTfjs(device, doubled);
  doubled.dispose(); // ours keeps it alive
  using y = swiglu(ours);
  const want = (a: number, b: number) => a / (1 + Math.exp(-a)) * b;
  const values = await read(y);
  for (let r = 0; r < 3; r++) {
    for (let c = 0; c < 2; c++) {
      const [a, b] = [2 * (r * 4 + c - 6), 2 * (r * 4 + c + 2 - 6)];
      assert.ok(Math.abs(values[r * 2 + c]! - want(a, b)) < 1e-5, `${r}, ${c}`);
    }
  }
  // Both sides write one memory, in the order in which they were called.
  writeInto(x, new Uint8Array(new Float32Array(12).fill(3).buffer), 0);
  const sum = tf.sum(theirs);
  assert.deepEqual([...await sum.data()], [36]);
  sum.dispose();
  theirs.dispose();
  assert.throws(() => fromTfjs(device, tf.tensor([true], [1], "bool")), /expected float32 or int32/);
  assert.equal(device.use().tensors, before.tensors + 3);
});

test("memory that is not there is one line, and what was there stays", async () => {
  const device = await openDevice("wasm"), before = device.use().tensors;
  using small = upload(device, Float32Array.of(1, 2), [2]);
  assert.throws(
    () => empty(device, [2 ** 15, 2 ** 15, 2]),
    /^InputError: Cannot allocate 8,192 MiB more: the heap of the CPU has .* holds at most 4,096 MiB/,
  );
  assert.deepEqual([...await read(small)], [1, 2]);
  assert.equal(device.use().tensors, before + 1);
});
