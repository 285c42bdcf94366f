/** Whose WebGPU: `--gpu`, AFT_GPU and `useGpu`. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { findAdapter } from "../../lib/backend/webgpu.ts";
import { base, lines, records, root, run, write } from "../_commands.ts";

const { adapter } = await findAdapter();
const skip = adapter ? false : "no WebGPU adapter on this machine";
const deno = "Deno" in globalThis;

test(
  "score by way of Dawn gives the scores of the other way, however often it reads back",
  { skip },
  async () => {
    const candidates = [{ text: "1 + 1 = 2\n#### 2" }, { text: "#### 3" }];
    const input = lines(
      Array.from(
        { length: 12 },
        (_, i) => ({ id: `q${i}`, question: `${i} + 1?`, reference: `#### ${i + 1}`, candidates }),
      ),
    );
    const args = ["--model", base, "--quiet", "--micro-batch", "64"];
    const [dawn, other] = [
      await run("score", [...args, "--backend", "webgpu", "--gpu", "dawn"], { input }),
      await run("score", [...args, "--backend", "wasm"], { input }),
    ];
    assert.deepEqual([dawn.code, dawn.err, other.code], [0, "", 0], other.err);
    const scores = (out: string) =>
      records(out).flatMap(({ candidates }) => candidates.map(({ score }: { score: number }) => score));
    const expected = scores(other.out), found = scores(dawn.out);
    assert.equal(found.length, 24);
    found.forEach((score, i) =>
      assert.ok(Math.abs(score - expected[i]) < 1e-4, `${score}: expected ${expected[i]}`)
    );
  },
);

test("doctor says whose WebGPU it is, as --gpu and AFT_GPU ask", { skip }, async () => {
  const [asked, said, alone] = await Promise.all([
    run("doctor", ["--json", "--gpu", "dawn"]),
    run("doctor", ["--json"], { env: { AFT_GPU: "dawn" } }),
    run("doctor", ["--json"], { env: { AFT_GPU: "" } }),
  ]);
  const [first, second, third] = [asked, said, alone].map(({ out }) => records(out)[0]);
  assert.deepEqual([first.webgpu, second.webgpu, third.webgpu], ["dawn", "dawn", deno ? "native" : "dawn"]);
  assert.deepEqual(first.adapter, second.adapter);
});

test("the task itself may load Dawn, without a question", { skip: skip || !deno }, () => {
  const words = ["task", "-q", "doctor", "--gpu", "dawn", "--json"];
  const { status, stdout, stderr } = spawnSync("deno", words, {
    cwd: root,
    encoding: "utf8",
    timeout: 100_000,
  });
  assert.equal(status, 0, stderr);
  assert.equal(JSON.parse(stdout).webgpu, "dawn");
});

test("another word, and a way that the runtime has not, are refused in one line", async () => {
  const metal = await run("doctor", ["--gpu", "metal"]);
  assert.equal(metal.code, 2);
  assert.match(metal.err, /^doctor: Option --gpu must be native or dawn: got "metal"\n/);
  const env = await run("doctor", [], { env: { AFT_GPU: "metal" } });
  assert.deepEqual([env.code, env.err], [
    2,
    'doctor: Cannot use AFT_GPU: expected native or dawn, got "metal"\n',
  ]);
  const native = await run("doctor", ["--gpu", "native"]);
  if (deno) assert.equal(native.code, 0, native.err);
  else {
    assert.deepEqual([native.code, native.err], [
      2,
      "doctor: Cannot use --gpu: bun has no WebGPU of its own; expected dawn\n",
    ]);
  }
});

test("useGpu comes before a GPU is looked for", { skip: !deno }, async () => {
  const script = write(
    "late.ts",
    `import { openDevice, useGpu } from ${JSON.stringify(join(root, "mod.ts"))};
useGpu("native");
await openDevice("auto");
useGpu("native"); // the same again
try {
  useGpu("dawn");
} catch (error) {
  console.log((error as Error).message);
}
process.exit(0);
`,
  );
  const { code, out, err } = await run(script, []);
  assert.deepEqual([code, out], [
    0,
    "Cannot use option `gpu: dawn`: a GPU was looked for by way of native before\n",
  ], err);
});
