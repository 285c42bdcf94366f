/** The kernels that adapters are made of: block products and dropout, against float64. */

import assert from "node:assert/strict";
import { read } from "../../lib/backend/tensors.ts";
import {
  addBlockProduct,
  addBlockWeightGradient,
  type Block,
  blockProductGradient,
} from "../../lib/kernels/product/block_product.ts";
import { dropout } from "../../lib/kernels/dropout.ts";
import { assertClose, assertNoLeak, gaussian, onBothBackends, upload, zeros } from "../_backends.ts";

const cases: { name: string; n: number; r: number; out: number; blocks: Block[] }[] = [
  { name: "one row, rank 1", n: 1, r: 1, out: 5, blocks: [{ row: 0, rows: 5, column: 0, scale: 1.5 }] },
  {
    name: "three blocks, rank 4",
    n: 37,
    r: 4,
    out: 50,
    blocks: [{ row: 0, rows: 30, column: 0, scale: -0.25 }, { row: 30, rows: 10, column: 30, scale: 3 }, {
      row: 40,
      rows: 10,
      column: 40,
      scale: 2.5,
    }],
  },
  {
    name: "the second of three left out, rank 17",
    n: 66,
    r: 17,
    out: 99,
    blocks: [{ row: 0, rows: 33, column: 0, scale: 0.7 }, { row: 33, rows: 33, column: 66, scale: 1.5 }],
  },
  { name: "rank 33", n: 33, r: 33, out: 64, blocks: [{ row: 0, rows: 64, column: 0, scale: -0.25 }] },
];

onBothBackends("block products and their gradients equal the sums written out", async () => {
  for (const { name, n, r, out, blocks } of cases) {
    await assertNoLeak(async () => {
      const wide = blocks.length * r, stacked = blocks.reduce((sum, b) => sum + b.rows, 0);
      const hu = gaussian(n * wide, 1), hb = gaussian(stacked * r, 2), hy = gaussian(n * out, 3);
      const hg = gaussian(n * out, 4), y64 = Float64Array.from(hy);
      const du64 = new Float64Array(n * wide), db64 = Float64Array.from(gaussian(stacked * r, 5));
      blocks.forEach(({ row, rows, column, scale }, p) => {
        for (let i = 0; i < n; i++) {
          for (let j = 0; j < rows; j++) {
            for (let k = 0; k < r; k++) {
              const at = i * wide + p * r + k, w = (row + j) * r + k, o = i * out + column + j;
              y64[o] += scale * hu[at] * hb[w];
              du64[at] += scale * hg[o] * hb[w];
              db64[w] += scale * hg[o] * hu[at];
            }
          }
        }
      });
      const u = upload(hu, [n, wide]), b = upload(hb, [stacked, r]), y = upload(hy, [n, out]);
      const dy = upload(hg, [n, out]), db = upload(gaussian(stacked * r, 5), [stacked, r]);
      addBlockProduct(u, b, { blocks, y });
      const du = blockProductGradient(b, dy, { blocks });
      addBlockWeightGradient(u, dy, { blocks, db });
      assertClose(await read(y), y64, 2e-6, `${name}: y`);
      assertClose(await read(du), du64, 2e-6, `${name}: du`);
      assertClose(await read(db), db64, 2e-6, `${name}: db`);
      [u, b, y, dy, db, du].forEach((t) => t.dispose());
    });
  }
});

onBothBackends("blocks that do not fit are refused", () => {
  const u = zeros([2, 4]), b = zeros([6, 2]), y = zeros([2, 6]);
  const blocks = [{ row: 0, rows: 3, column: 0, scale: 3 }, { row: 3, rows: 3, column: 4, scale: 0.7 }];
  assert.throws(() => addBlockProduct(u, b, { blocks, y }), /Cannot multiply 2 blocks/);
  [u, b, y].forEach((t) => t.dispose());
});

/** The mask by its definition, in JavaScript. */
function kept(i: number, key: number, rate: number): boolean {
  const pcg = (v: number) => {
    const state = (Math.imul(v, 747796405) + 2891336453) >>> 0;
    const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0;
    return ((word >>> 22) ^ word) >>> 0;
  };
  return pcg((pcg(i) ^ key) >>> 0) >= Math.round(rate * 2 ** 32);
}

onBothBackends("dropout: a share of zeros, the mean kept, the same mask each time", async () => {
  await assertNoLeak(async () => {
    const count = 20000, host = gaussian(count, 9).map((v) => v + 3), x = upload(host, [100, 200]);
    const y = dropout(x, { rate: 0.3, key: 12345 }), values = await read(y) as Float32Array;
    assertClose(values, host.map((v, i) => kept(i, 12345, 0.3) ? v / 0.7 : 0), 1e-6);
    const zero = values.filter((v) => v === 0).length / count;
    assert.ok(Math.abs(zero - 0.3) < 0.015, `${zero} of the elements are zero`);
    const sum = dropout(x, { rate: 0.3, key: 12345, into: y });
    assert.equal(sum, y);
    assertClose(await read(y), values.map((v) => 2 * v), 1e-6);
    const other = dropout(x, { rate: 0.3, key: -7 }), again = await read(other);
    assert.ok(again.some((v, i) => (v === 0) !== (values[i] === 0)));
    assertClose(again, host.map((v, i) => kept(i, -7 >>> 0, 0.3) ? v / 0.7 : 0), 1e-6);
    [x, y, other].forEach((t) => t.dispose());
  });
});
