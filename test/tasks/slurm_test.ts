/** Tasks that Slurm starts on two nodes of this machine: `test:full` alone, where Slurm is installed and can be started. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { at, base, commandOf, program, records, root, run } from "../_commands.ts";
import { assertNear } from "../_same_runs.ts";
import { type Slurm, startSlurm, whyNoSlurm } from "../_slurm.ts";

/** The cluster, or why there is none. */
const slurm: Slurm | string = whyNoSlurm() ??
  await startSlurm(at("slurm")).catch((error) => `Slurm cannot be started here: ${error.message}`);
const skip = typeof slurm === "string" ? slurm : false;
if (skip !== false && process.env.AFT_REQUIRE_SLURM === "1") throw new Error(skip);
if (skip !== false) console.log(`test/tasks/slurm_test.ts is skipped: ${skip}`); // not every runner says why
after(async () => {
  if (typeof slurm !== "string") await slurm[Symbol.asyncDispose]();
});

const vft = [
  ...["--model", base, "--data", "arithmetic", "--limit", "24", "--batch-size", "4", "--log-every", "1"],
  ...["--learning-rate", "1e-4", "--backend", "wasm", "--no-tensorboard", "--out"],
];

/** Lines of metrics of the step that they are of, within what training by several processes promises. */
function assertMetrics(actual: string, expected: string): void {
  assertNear(records(readFileSync(join(actual, "metrics.jsonl"), "utf8")), records(expected), "metrics");
}

test("Slurm with two nodes: srun by pmi2, and a job that is queued again, are one process", {
  skip,
  timeout: 600_000,
}, async () => {
  const { env, ask } = slurm as Slurm;

  const one = await run("vft", [...vft, at("one")]);
  assert.equal(one.code, 0, one.err);
  const joined = ["-N", "2", "-n", "2", "--mpi=pmi2", "--kill-on-bad-exit=1"];
  const two = await program("srun", [...joined, ...commandOf("vft"), ...vft, at("two")], { env });
  assert.equal(two.code, 0, two.err);
  assertMetrics(at("two"), one.out);
  assertNear(records(two.out), records(one.out), "standard output");
  assert.equal(two.err.match(/^Wrote /gm)!.length, 1, "rank 0 alone speaks");

  // Without a plugin each would think that it is alone.
  const apart = await program("srun", ["-n", "2", "--mpi=none", ...commandOf("vft"), ...vft, at("apart")], {
    env,
  });
  assert.match(
    apart.err,
    /Cannot join the 2 processes that srun started: Slurm does it by a plugin, pmi2 for MPICH/,
  );
  assert.notEqual(apart.code, 0);
  assert.ok(!existsSync(at("apart")));

  // The file of docs/scale.md, with a training that is long enough to be stopped in its middle.
  const out = at("queued"),
    long = ["--epochs", "12", "--save-every", "5"],
    script = at("job.sh"),
    log = at("job.log");
  const command = [...commandOf("vft"), ...vft, out, ...long].map((word) => `'${word}'`).join(" ");
  writeFileSync(
    script,
    [
      "#!/bin/bash",
      "#SBATCH --job-name=vft --nodes=2 --ntasks-per-node=1 --requeue --open-mode=append",
      `resume=; [ -e '${out}/run.json' ] && resume=--resume`,
      `srun --mpi=pmi2 --kill-on-bad-exit=1 ${command} $resume`,
      "",
    ].join("\n"),
  );
  const job = ask("sbatch", "--parsable", "--chdir", root, "--output", log, script).trim();
  const stepsDone = () =>
    existsSync(join(out, "metrics.jsonl"))
      ? readFileSync(join(out, "metrics.jsonl"), "utf8").split("\n").length - 1
      : 0;
  const wait = async (what: string, holds: () => boolean) => {
    for (const end = performance.now() + 200_000; !holds(); await delay(100)) {
      assert.ok(performance.now() < end, `${what}: ${ask("scontrol", "show", "job", job)}`);
    }
  };
  await wait("the 14th step", () => stepsDone() >= 14);
  ask("scontrol", "requeue", job);
  const state = () => /JobState=(\w+)/.exec(ask("scontrol", "show", "job", job))![1]!;
  await wait("in the queue again", () => state() === "PENDING");
  ask("scontrol", "update", `JobId=${job}`, "StartTime=now"); // Slurm waits two minutes otherwise
  await wait("its end", () => ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"].includes(state()));
  const said = readFileSync(log, "utf8");
  assert.equal(state(), "COMPLETED", said);
  const [, from] = /Going on from step (\d+) of 72/.exec(said) ?? assert.fail(said);
  assert.ok(Number(from) >= 10, said);
  const whole = await run("vft", [...vft, at("whole"), ...long]);
  assert.equal(whole.code, 0, whole.err);
  assertMetrics(out, whole.out);
});
