/** Ctrl-C, `kill` and a terminal that goes away: what is kept, what is said, and how soon it ends. */

import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, base, inPairs, lines, root, run, send } from "../_commands.ts";

const quiet = ["--backend", "wasm", "--quiet"];
const training = (out: string, ...more: string[]) => [
  ...[
    "--model",
    base,
    ...quiet,
    "--data",
    "arithmetic",
    "--limit",
    "8",
    "--log-every",
    "1",
    "--learning-rate",
    "1e-3",
  ],
  ...["--steps", "100", "--save-every", "1000", "--out", out, ...more],
];
const weights = (out: string) => readFileSync(join(out, "model.safetensors"));

test("each signal ends a training at a checkpoint of its own, which the message names and --resume goes on from", async () => {
  const whole = at("signals-whole");
  assert.equal((await run("vft", training(whole))).code, 0);
  await inPairs(["SIGINT", "SIGTERM", "SIGHUP"] as const, async (signal) => {
    const out = at(`signals-${signal}`);
    let sent = false;
    const cut = await run("vft", training(out), {
      onOutput(child, text) {
        if (!sent && text.split("\n").length > 5) sent = send(child, signal);
      },
    });
    assert.equal(cut.code, 130, cut.err);
    const [, step] = cut.err.match(
      /^vft: Kept step (\d+) of 100 in \S+: --resume goes on from there\nvft: Interrupted\n$/,
    ) ??
      assert.fail(cut.err);
    assert.deepEqual(readdirSync(join(out, "checkpoints")), [`step-${step!.padStart(8, "0")}`]);
    assert.ok(!existsSync(join(out, "run.lock")));
    const resumed = await run("vft", training(out, "--resume"));
    assert.equal(resumed.code, 0, resumed.err);
    assert.equal(JSON.parse(resumed.out.split("\n")[0]!).step, Number(step) + 1);
    assert.deepEqual(weights(out), weights(whole));
  });
});

test("a second signal ends at once, where the first would still work", async () => {
  const out = at("signals-twice");
  let sent = 0;
  const { code } = await run("vft", training(out), {
    onOutput(child, text) {
      if (sent > 0 || text.split("\n").length < 4) return;
      sent = 2;
      send(child, "SIGTERM");
      send(child, "SIGINT");
    },
  });
  assert.equal(code, 130);
  // Whatever it left locks nothing.
  assert.equal((await run("vft", training(out, "--overwrite"))).code, 0);
});

/** Interrupts a command when it has been at work for a while; returns how it ended, and the seconds that took. */
async function interrupted(
  task: string,
  args: readonly string[],
  after: number,
  input = "",
): Promise<{ code: number | null; err: string; seconds: number }> {
  let sent = 0;
  const { code, err } = await run(task, args, {
    input,
    onStart: (child) =>
      setTimeout(() => {
        sent = performance.now();
        send(child, "SIGINT");
      }, after),
  });
  return { code, err, seconds: (performance.now() - sent) / 1000 };
}

test("a signal is seen while a file is read, texts are drawn or scored, a template is rendered, kernels are compiled", async () => {
  // A template that works as long as it may; and more questions than any machine is done with when the signal comes.
  const slow = at("signals-template");
  cpSync(join(root, base), slow, { recursive: true });
  writeFileSync(
    join(slow, "chat_template.jinja"),
    "{% for a in range(100) %}{% for b in range(200) %}{% set x = a * b %}{% endfor %}{% endfor %}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}",
  );
  const questions = Array.from(
    { length: 50_000 },
    (_, i) => ({ id: `q${i}`, question: `${i} + 1?`, reference: "#### 5" }),
  );
  const asked = lines(questions);
  const groups = questions.map((q) => ({ ...q, candidates: [{ text: "#### 5" }, { text: "#### 6" }] }));
  const cases: [string, string[], string?][] = [
    ["generate", ["--model", base, ...quiet], asked],
    ["score", ["--model", base, ...quiet], lines(groups)],
    ["evaluate", ["--model", base, ...quiet], asked],
    ["generate", ["--model", slow, ...quiet, "--chat", "always"], asked],
    ["vft", ["--model", slow, ...quiet, "--chat", "always", "--out", at("signals-slow")], asked],
    ["generate", ["--model", base, "--backend", "webgpu", "--quiet"], asked],
  ];
  await inPairs(cases, async ([task, args, input]) => {
    for (const after of [1500, 3000]) {
      const { code, err, seconds } = await interrupted(task, args, after, input);
      const what = `${task} ${args.join(" ")} after ${after} ms: ${code} ${err}`;
      if (code === 1 && err.includes("WebGPU")) return; // a machine without an adapter
      // Before the handlers are there the system's own end the process.
      assert.ok(code === 130 || code === null, what);
      if (code === 130) {
        assert.match(err, new RegExp(`^(?:${task}: Kept [^\\n]+\\n)?${task}: Interrupted\n$`), what);
      }
      // Two seconds, and a machine that does other things.
      assert.ok(seconds < 20, `${what}: ${seconds} s`);
    }
  });
});
