/** A study of which nothing can be read says so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { tooSmall } from "../../lib/study/run.ts";

test("under a hundred answers nothing can be read from a share", () => {
  assert.match(
    tooSmall({ testLimit: 4, seeds: [0] })!,
    /^Nothing can be read [^\n]+ 4 test problems and one seed; option `testLimit` and option `seeds` give more$/,
  );
  assert.match(tooSmall({ testLimit: 33, seeds: [0, 1, 2] })!, /33 test problems and 3 seeds/);
  assert.equal(tooSmall({ testLimit: 34, seeds: [0, 1, 2] }), undefined);
  assert.equal(tooSmall({ testLimit: 100, seeds: [0] }), undefined);
});
