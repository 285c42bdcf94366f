/** Signals at moments that last milliseconds: a model is saved, `--overwrite` removes, a merge or an archive is written. */
import assert from "node:assert/strict";
import type { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, base, root, run, send } from "../_commands.ts";

const train = [
  ...["--backend", "wasm", "--quiet", "--model", base, "--data", "arithmetic", "--limit", "8"],
  ...["--steps", "2", "--learning-rate", "1e-3"],
];
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs a command, and sends a signal `after` milliseconds behind the moment when `seen` holds. */
async function struck(
  task: string,
  args: readonly string[],
  { signal, seen, after = 0 }: {
    readonly signal: typeof signals[number];
    readonly seen: () => boolean;
    readonly after?: number;
  },
): Promise<{ code: number | null; err: string; seconds: number }> {
  let sent = Infinity;
  const strike = (child: ReturnType<typeof spawn>) => {
    const timer = setInterval(() => {
      if (!seen()) return;
      clearInterval(timer);
      setTimeout(() => {
        sent = performance.now();
        send(child, signal);
      }, after);
    }, 1);
    child.on("close", () => clearInterval(timer));
  };
  const { code, err } = await run(task, args, { onStart: strike });
  return { code, err, seconds: (performance.now() - sent) / 1000 };
}

const hidden = (folder: string) =>
  existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith(".")) : [];
const weights = (folder: string) => readFileSync(join(folder, "model.safetensors"));

test("while a model is saved: the run ends done or interrupted, and goes on to the same weights", async () => {
  const whole = at("between-whole");
  assert.equal((await run("vft", [...train, "--out", whole])).code, 0);
  for (const [i, signal] of signals.entries()) {
    const out = at(`between-saved-${i}`), words = [...train, "--out", out];
    const seen = () => hidden(out).length > 0 || hidden(join(out, "checkpoints")).length > 0;
    const { code, err } = await struck("vft", words, { signal, seen, after: i });
    assert.ok(code === 0 || code === 130, `${code} ${err}`);
    if (code === 130) assert.match(err, /^(?:vft: Kept [^\n]+\n)?vft: Interrupted\n$/);
    const resumed = await run("vft", [...words, "--resume"]);
    assert.equal(resumed.code, 0, resumed.err);
    assert.deepEqual(weights(out), weights(whole));
    assert.deepEqual([...hidden(out), ...hidden(join(out, "checkpoints"))], []);
    assert.ok(!existsSync(join(out, "run.lock")));
  }
});

test("while --overwrite removes: what is not ours stays, and the next run has the folder", async () => {
  const old = at("between-old");
  assert.equal((await run("vft", [...train, "--out", old])).code, 0);
  mkdirSync(join(old, "checkpoints", "step-00000001"), { recursive: true });
  for (let i = 0; i < 400; i++) {
    writeFileSync(join(old, `model-${String(i).padStart(5, "0")}-of-00400.safetensors`), "");
  }
  for (const [i, signal] of signals.entries()) {
    const out = at(`between-removed-${i}`), words = [...train, "--out", out, "--overwrite"];
    cpSync(old, out, { recursive: true });
    writeFileSync(join(out, "photo.jpg"), "sea");
    const count = readdirSync(out).length;
    const seen = () => readdirSync(out).length < count;
    const { code, err } = await struck("vft", words, { signal, seen });
    assert.ok(code === 0 || code === 130, `${code} ${err}`);
    assert.equal(readFileSync(join(out, "photo.jpg"), "utf8"), "sea");
    assert.ok(!existsSync(join(out, "run.lock")));
    const again = await run("vft", words);
    assert.deepEqual([again.code, again.err], [0, ""]);
    assert.equal(readFileSync(join(out, "photo.jpg"), "utf8"), "sea");
    assert.equal(readdirSync(out).filter((name) => /^model-\d/.test(name)).length, 0);
  }
});

test("while a merge writes: the model is whole, or is not there", async () => {
  const adapter = at("between-adapter"), whole = at("between-merged"), folder = at(".");
  assert.equal((await run("vft", [...train, "--lora", "r=2", "--out", adapter])).code, 0);
  const words = ["--adapter", adapter, "--backend", "wasm", "--quiet", "--out"];
  assert.equal((await run("merge", [...words, whole])).code, 0);
  for (const [i, signal] of signals.entries()) {
    const out = at(`between-merged-${i}`), replaces = i > 0; // the first writes where nothing is
    if (replaces) cpSync(whole, out, { recursive: true });
    const seen = () => hidden(folder).some((name) => name.startsWith(".between-merged"));
    const { code, err } = await struck("merge", [...words, out, ...replaces ? ["--overwrite"] : []], {
      ...{ signal, seen },
      after: 2 * i,
    });
    assert.ok(code === 0 || code === 130, `${code} ${err}`);
    if (code === 130) assert.equal(err, "merge: Interrupted\n");
    if (code === 0 || replaces) assert.deepEqual(weights(out), weights(whole));
    else assert.ok(!existsSync(out));
    assert.deepEqual(hidden(folder), []);
  }
});

test("while it answers, ask ends at once; while it packs, pack leaves nothing", async () => {
  const question = "Ann has 2 pens. She buys 3 more. How many pens does she have?";
  const began = performance.now(), seen = () => performance.now() - began > 3000;
  const words = [
    "--model",
    base,
    "--backend",
    "wasm",
    "--quiet",
    "-k",
    "2000",
    "--max-tokens",
    "200",
    question,
  ];
  const asked = await struck("ask", words, { signal: "SIGINT", seen });
  assert.deepEqual([asked.code, asked.err], [130, "ask: Interrupted\n"]);
  assert.ok(asked.seconds < 20, `${asked.seconds} s`);
  if (!("Deno" in globalThis)) return; // only Deno packs itself
  const archive = at("between.tar.gz"), folder = at(".");
  const packing = () => hidden(folder).some((name) => name.startsWith(".between.tar.gz"));
  const tool = join(root, "tools", "pack.ts");
  const packed = await struck(tool, ["--out", archive, "--quiet"], {
    signal: "SIGTERM",
    seen: packing,
    after: 500,
  });
  assert.deepEqual([packed.code, packed.err], [130, "pack: Interrupted\n"]);
  assert.ok(packed.seconds < 20, `${packed.seconds} s`);
  assert.ok(!existsSync(archive));
  assert.deepEqual(hidden(folder), []);
});
