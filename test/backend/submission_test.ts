/** Work of one submission is bounded: drivers reset a device that takes seconds over one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dispatch, type Program } from "../../lib/backend/dispatch.ts";
import { read, upload, zeros } from "../../lib/backend/tensors.ts";
import { findAdapter, openWebgpu } from "../../lib/backend/webgpu.ts";
import { matmul } from "../../lib/kernels/product/matmul.ts";
import { profile } from "../../lib/backend/profile.ts";
import { assertClose, gaussian } from "../_backends.ts";

const { adapter } = await findAdapter();
const skip = adapter ? false : "no WebGPU adapter on this machine";

const add: Program = {
  name: "submission_add",
  inputs: {},
  outputs: { y: "f32" },
  params: {},
  workgroup: [1],
  body: "y[0] += 1.0;",
};

test("a submission is sent after 64 launches, or after so many operations", { skip }, async () => {
  const device = await openWebgpu("asked for"), { queue } = device.gpu;
  assert.equal(device.submissionWork, 2e11);
  let sent = 0;
  const submit = queue.submit.bind(queue);
  queue.submit = (buffers) => {
    sent++;
    return submit(buffers);
  };
  using y = zeros(device, [1]);
  const launch = (work?: number) =>
    dispatch(add, { tensors: { y }, params: {}, groups: [1], ...work !== undefined && { work } });
  for (let i = 0; i < 63; i++) launch();
  assert.equal(sent, 0);
  launch();
  assert.equal(sent, 1);
  launch(1e11);
  assert.equal(sent, 1);
  launch(1e11); // 2e11 with the one before
  assert.equal(sent, 2);
  launch(1.9e11); // what was sent counts no more
  assert.equal(sent, 2);
  launch(3e11);
  assert.equal(sent, 3);
  assert.deepEqual([...await read(y)], [68]);
});

test("a product with more operations than that is made by rows, whatever its layout", { skip }, async () => {
  const n = 20, k = 12, m = 200;
  // 64 rows at once: 200 rows are four launches.
  const device = await openWebgpu("asked for", { submissionWork: 2 * n * k * 100 });
  const left = gaussian(m * k, 1), right = gaussian(k * n, 2), base = gaussian(m * n, 3);
  const wanted = Float64Array.from({ length: m * n }, (_, at) => {
    const i = Math.floor(at / n), j = at % n;
    let sum = 0;
    for (let t = 0; t < k; t++) sum += left[i * k + t]! * right[t * n + j]!;
    return sum;
  });
  const turned = (values: Float32Array, rows: number, columns: number) =>
    values.map((_, at) => values[(at % rows) * columns + Math.floor(at / rows)]!);
  for (const transposeA of [false, true]) {
    for (const transposeB of [false, true]) {
      for (const into of [false, true]) {
        using a = upload(device, transposeA ? turned(left, m, k) : left, transposeA ? [k, m] : [m, k]);
        using b = upload(device, transposeB ? turned(right, k, n) : right, transposeB ? [n, k] : [k, n]);
        const before = profile.total(), added = into && { into: upload(device, base, [m, n]) };
        using c = matmul(a, b, { transposeA, transposeB, ...added });
        assert.equal(profile.total() - before, 4);
        assertClose(await read(c), into ? wanted.map((v, i) => v + base[i]!) : wanted, 1e-5);
      }
    }
  }
});
