import assert from "node:assert/strict";
import { test } from "node:test";
import { bucketRows, groupRows, packFlat, planMicroBatches } from "../../lib/model/packing.ts";

test("packFlat lays one prompt before its responses, positions going on behind it", () => {
  const batch = packFlat([{ prompt: [1, 2, 3], responses: [[4, 5, 9], [9], [6, 9]] }, {
    prompt: [7],
    responses: [[8, 9]],
  }]);
  // rows: prompt 1 2 3 | 4 5 | (nothing for [9]) | 6 | prompt 7 | 8
  assert.deepEqual([...batch.ids], [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual([...batch.positions], [0, 1, 2, 3, 4, 3, 0, 1]);
  assert.deepEqual(batch.segments, [
    { start: 0, end: 3, sharedStart: 0, sharedEnd: 0 },
    { start: 3, end: 5, sharedStart: 0, sharedEnd: 3 },
    { start: 5, end: 6, sharedStart: 0, sharedEnd: 3 },
    { start: 6, end: 7, sharedStart: 6, sharedEnd: 6 },
    { start: 7, end: 8, sharedStart: 6, sharedEnd: 7 },
  ]);
  // the prompt's last row predicts the first token of all three responses
  assert.deepEqual(batch.labels, [[2, 4], [3, 5], [4, 9], [2, 9], [2, 6], [5, 9], [6, 8], [7, 9]]);
  assert.deepEqual(batch.spans.map((s) => [s.group, s.candidate, s.start, s.end]), [
    [0, 0, 0, 3],
    [0, 1, 3, 4],
    [0, 2, 4, 6],
    [1, 0, 6, 8],
  ]);
  assert.equal(batch.tokens, 8);
});

test("packFlat pads behind the last token", () => {
  const batch = packFlat([{ prompt: [1], responses: [[2, 3]] }], () => 5);
  assert.deepEqual([batch.ids.length, batch.tokens], [5, 2]);
  assert.deepEqual([...batch.ids], [1, 2, 0, 0, 0]);
});

test("packFlat refuses an empty prompt", () => {
  assert.throws(() => packFlat([{ prompt: [], responses: [[1]] }]), /at least one token/);
});

test("planMicroBatches keeps groups whole while they fit and cuts between candidates where they do not", () => {
  const response = (n: number) => Array<number>(n).fill(1);
  const groups = [
    { prompt: [1, 1], responses: [response(3), response(3)] }, // 2 + 2 + 2 = 6 rows
    { prompt: [1, 1], responses: [response(3)] }, // 4 rows
    { prompt: [1, 1], responses: [response(5), response(5), response(5)] }, // 14 rows
    { prompt: [1], responses: [response(40)] }, // 40 rows: alone, over the budget
  ];
  assert.deepEqual(groups.map(groupRows), [6, 4, 14, 40]);
  assert.deepEqual(planMicroBatches(groups, 10), [
    { whole: true, pieces: [{ group: 0, candidates: [0, 1] }, { group: 1, candidates: [0] }] },
    { whole: false, pieces: [{ group: 2, candidates: [0, 1] }] },
    { whole: false, pieces: [{ group: 2, candidates: [2] }] },
    { whole: true, pieces: [{ group: 3, candidates: [0] }] },
  ]);
});

test("bucketRows: few sizes, none too small, at most an eighth wasted", () => {
  const sizes = new Set<number>();
  for (let rows = 1; rows <= 4096; rows++) {
    const size = bucketRows(rows);
    sizes.add(size);
    assert.ok(size >= rows);
    if (rows > 64) assert.ok(size <= rows * 1.125 + 1, `${rows} → ${size}`);
  }
  assert.ok(sizes.size <= 64, `${sizes.size} sizes`);
});
