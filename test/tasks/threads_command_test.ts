/** `--threads`: how many work, and that nothing else depends on it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, base, run } from "../_commands.ts";

const wasm = ["--backend", "wasm"];

test("a training and what it samples are the same bytes with 1, 2 and 3 threads", async () => {
  const results: string[][] = [];
  for (const threads of ["1", "2", "3"]) {
    const out = at(`threads-${threads}`), env = { AFT_BLAS: "none" }, of = [...wasm, "--threads", threads];
    const data = ["--data", "arithmetic", "--limit", "24"];
    const trained = await run("vft", ["--model", base, ...data, ...of, "--steps", "3", "--out", out], {
      env,
    });
    assert.equal(trained.code, 0, trained.err);
    const told = threads === "1" ? "1 thread" : `${threads} threads`;
    assert.ok(
      trained.err.startsWith(`Backend: wasm, ${told}, own SIMD products (BLAS: switched off`),
      trained.err,
    );
    const sampled = await run("generate", [
      "--model",
      out,
      ...data,
      ...of,
      "--quiet",
      "-k",
      "2",
      "--max-tokens",
      "16",
    ], {
      env,
    });
    assert.equal(sampled.code, 0, sampled.err);
    results.push([readFileSync(join(out, "model.safetensors")).toString("base64"), sampled.out]);
  }
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
});

test("a number of threads that is none is refused before any work", async () => {
  for (const threads of ["0", "-1", "1.5", "257", "two"]) {
    const { code, out, err } = await run("generate", ["--model", base, ...wasm, "--threads", threads]);
    assert.deepEqual([code, out], [2, ""]);
    assert.equal(err, `generate: Option --threads must be an integer from 1 to 256: got "${threads}"\n`);
  }
  const { code, err } = await run("generate", ["--model", base, ...wasm], {
    env: { AFT_THREADS: "many" },
    input: "",
  });
  assert.equal(code, 2);
  assert.match(err, /^generate: AFT_THREADS must be a whole number from 1 to 256: got /);
});
