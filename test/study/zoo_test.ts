/** The zoo: every objective of the table trained from the same candidates. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { objectives } from "../../lib/objectives/objectives.ts";
import { study } from "../../lib/study/mod.ts";
import { secondsPerStep, zooMethod } from "../../lib/study/zoo.ts";

const folder = mkdtempSync(join(tmpdir(), "zoo-test-"));
after(() => rmSync(folder, { recursive: true }));

test("time a step by hand: the median between points, whatever the first step and a pause took", () => {
  const at = (step: number, seconds: number) => ({ step, seconds });
  // (14 − 4)/2 for the first two steps, then 2, 3 and a pause of an hour: the median of 2, 3, 5 and 3600 is 4.
  assert.equal(secondsPerStep([at(0, 4), at(2, 14), at(3, 16), at(4, 19), at(5, 3619)]), 4);
  assert.equal(secondsPerStep([at(0, 4), at(2, 14), at(3, 16)]), 3.5);
  assert.equal(secondsPerStep([at(0, 4), at(1, 5)]), 1);
  assert.equal(secondsPerStep([at(0, 4)]), undefined);
});

test("each under its own constraint; ranks and rewards are those of the votes", () => {
  assert.deepEqual(zooMethod(objectives["aft"]!), {
    name: "aft",
    objective: "aft",
    constraint: "dc",
    logEvery: 1,
  });
  assert.deepEqual(zooMethod(objectives["scpo"]!), {
    name: "scpo (votes)",
    objective: "scpo",
    votes: true,
    logEvery: 1,
  });
});

test("a small zoo: a row for every objective that the candidates teach anything, the others named", async () => {
  const warned: string[] = [], out = join(folder, "zoo");
  const sizes = { quick: true, limit: 10, samples: 4, testLimit: 2, maxTokens: 16, batchSize: 5 };
  const options = { ...sizes, only: ["zoo"], data: ["arithmetic"], backend: "wasm", out } as const;
  const [outcome] = await study(options, { warn: (line) => warned.push(line) });
  const [table] = outcome!.tables;
  const left = warned.filter((line) => /is left out:/.test(line)).map((line) =>
    line.split(" is left out")[0]!
  );
  const trained = Object.values(objectives).map((one) => zooMethod(one).name).filter((name) =>
    !left.includes(name)
  );
  assert.deepEqual(table!.rows.map(({ method }) => method), ["start", ...trained]);
  assert.ok(trained.length > 20, `${left}`);
  for (const { method, milliseconds } of table!.rows.slice(1)) {
    const { mean } = milliseconds as { mean: number };
    assert.ok(mean > 0 && mean < 60_000, `${method} ${mean}`);
  }
  for (const name of left) assert.ok(outcome!.about.includes(`${name} (`), name);
  // One file of candidates for training and one for testing serve all.
  assert.equal(readdirSync(join(out, "candidates")).length, 2);
});
