/** A study whose base model was moved goes on; one of another model is refused. */
import assert from "node:assert/strict";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import { base, root, run } from "../_commands.ts";

const folder = mkdtempSync(join(tmpdir(), "moved-study-test-"));
after(() => rmSync(folder, { recursive: true }));

const small = [
  ...["--quick", "--backend", "wasm", "--quiet", "--start", "vft", "--methods", "VFT,AFT"],
  ...["--data", "arithmetic"],
];

interface State {
  experiments: Record<string, { model: string; modelDigest?: string }>;
}

const stateOf = (out: string): State => JSON.parse(readFileSync(join(out, "study.json"), "utf8"));

/** When the models of a study were written. */
const models = (out: string) =>
  Object.fromEntries(
    readdirSync(join(out, "cells")).map((
      name,
    ) => [name, statSync(join(out, "cells", name, "model.safetensors")).mtimeMs]),
  );

/** A copy of the embedded base, whose weights or configuration differ where that is asked for. */
function copyOfBase(name: string, change = false): string {
  const copy = join(folder, name, "fixtures", "base");
  cpSync(join(root, base), copy, { recursive: true });
  if (change) {
    const path = join(copy, "config.json");
    writeFileSync(
      path,
      readFileSync(path, "utf8").replace("0.00001", "0.00002"),
    );
    assert.notEqual(readFileSync(path, "utf8"), readFileSync(join(root, base, "config.json"), "utf8"));
  }
  return copy;
}

test("a study goes on where its folder and its model were moved, and makes no cell again", {
  timeout: 300_000,
}, async () => {
  const there = copyOfBase("there"), out = join(folder, "study"), moved = join(folder, "moved");
  const first = await run("study", [...small, "--model", there, "--only", "main", "--out", out]);
  assert.equal(first.code, 0, first.err);
  const made = models(out), tables = readFileSync(join(out, "tables", "main.csv"), "utf8");
  renameSync(out, moved);
  renameSync(join(folder, "there"), join(folder, "here"));
  const here = join(folder, "here", "fixtures", "base");
  // Another experiment is asked for: main is told again from its cells.
  const second = await run("study", [...small, "--model", here, "--only", "consistency", "--out", moved]);
  assert.equal(second.code, 0, second.err);
  const now = models(moved);
  for (const [name, time] of Object.entries(made)) assert.equal(now[name], time, name);
  assert.equal(readFileSync(join(moved, "tables", "main.csv"), "utf8"), tables);
  assert.deepEqual(Object.keys(stateOf(moved).experiments).sort(), ["consistency", "main"]);

  // It is the same model under the project's own name too.
  const third = await run("study", [...small, "--only", "main", "--out", moved]);
  assert.equal(third.code, 0, third.err);
  assert.deepEqual(models(moved), now);
  const { main, consistency } = stateOf(moved).experiments;
  assert.deepEqual([main!.model, consistency!.model], ["the embedded base", here]);
  assert.equal(main!.modelDigest, consistency!.modelDigest);
  assert.ok(!readFileSync(join(moved, "study.json"), "utf8").includes(resolve(root)));
});

test(
  "another model is refused, whether the folder knows its digest or the path alone",
  { timeout: 300_000 },
  async () => {
    const out = join(folder, "other"), other = copyOfBase("changed", true);
    const first = await run("study", [...small, "--only", "main", "--out", out]);
    assert.equal(first.code, 0, first.err);
    const { modelDigest } = stateOf(out).experiments.main!;
    assert.match(modelDigest!, /^[0-9a-f]{8}$/);
    const before = readFileSync(join(out, "study.json"), "utf8");
    const refused = async (model: readonly string[], line: RegExp) => {
      for (const only of ["main", "consistency"]) {
        const { code, out: said, err } = await run("study", [
          ...small,
          ...model,
          "--only",
          only,
          "--out",
          out,
        ]);
        assert.deepEqual([code, said], [2, ""], err);
        assert.match(err, line);
        assert.ok(!existsSync(join(out, "run.lock")));
      }
    };
    await refused(
      ["--model", other],
      new RegExp(
        `^study: Cannot go on with ${out}: its experiment main is of the embedded base with digest ${modelDigest}, and this run ` +
          `of ${other} with digest [0-9a-f]{8}; use another --out, or --overwrite\\n$`,
      ),
    );
    assert.equal(readFileSync(join(out, "study.json"), "utf8"), before);

    /** The file as earlier versions wrote it: the model's path, and no digest. */
    const earlier = (model: string) => {
      const { experiments: { main }, ...rest } = JSON.parse(before);
      const { modelDigest: _, ...sizes } = main;
      writeFileSync(
        join(out, "study.json"),
        JSON.stringify({ ...rest, experiments: { main: { ...sizes, model } } }),
      );
    };
    earlier(join(root, base));
    await refused(
      ["--model", other],
      /is of \S+fixtures\/base with digest [0-9a-f]{8}, and this run of \S+ with digest /,
    );
    earlier(other);
    await refused(
      [],
      /is of \S+changed\/fixtures\/base with digest [0-9a-f]{8}, and this run of the embedded base with digest /,
    );
    earlier(join(folder, "gone", "mine"));
    await refused(
      [],
      /is of \S+gone\/mine, which is not there, and this run of the embedded base with digest /,
    );

    // The embedded base of a checkout that is gone is taken for ours: the cells are found.
    earlier(join(folder, "gone", "fixtures", "base"));
    const made = models(out);
    const again = await run("study", [...small, "--only", "consistency", "--out", out]);
    assert.equal(again.code, 0, again.err);
    for (const [name, time] of Object.entries(made)) assert.equal(models(out)[name], time, name);
    assert.ok(existsSync(join(out, "tables", "main.csv")));
  },
);
