/** Tasks as processes that mpirun of both families started. What ranks compute is compared in `test/train/ranks_test.ts`. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { openSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { findAdapter } from "../../lib/backend/webgpu.ts";
import { at, commandOf, lines, program, records, run } from "../_commands.ts";
import { families, launchers, mpirun, mpiTest, processOf } from "../_mpi.ts";
import { writeSmallModel } from "../_models.ts";
import { toyGroups, toyProblems } from "../_toys.ts";

const small = ["--batch-size", "4", "--log-every", "1", "--learning-rate", "1e-4", "--no-tensorboard"];

/** Lines of metrics without what a clock says. */
function figures(text: string): Record<string, number>[] {
  return records(text).map(({ tokens_per_second: _, allocated_bytes: __, ...line }) => line);
}

/** Losses and figures within 1e-6, the gradient's norm within 1e-5; the same steps. */
function assertMetrics(actual: string, expected: string): void {
  const want = figures(expected);
  const got = figures(actual);
  assert.deepEqual(got.map(({ step }) => step), want.map(({ step }) => step));
  got.forEach((line, i) => {
    for (const [name, value] of Object.entries(line)) {
      const off = Math.abs(value - want[i]![name]!), scale = Math.max(1, Math.abs(value));
      assert.ok(
        off <= scale * (name === "gradient_norm" ? 1e-5 : 1e-6),
        `step ${line.step}, ${name}: ${value}, not ${want[i]![name]}`,
      );
    }
  });
}

/** The weights of two files, each within 1e-5. */
async function assertWeights(actual: string, expected: string, file = "model.safetensors"): Promise<void> {
  await using a = await openSafetensors(join(actual, file));
  await using b = await openSafetensors(join(expected, file));
  assert.ok(a.tensors.size > 0);
  for (const name of a.tensors.keys()) {
    const got = await a.readFloats(name), want = await b.readFloats(name);
    got.forEach((v, i) => assert.ok(Math.abs(v - want[i]!) <= 1e-5, `${name}[${i}]: ${v}, not ${want[i]}`));
  }
}

mpiTest("vft of two ranks reads standard input once, writes once, and is one process", async () => {
  const model = await writeSmallModel(), input = lines(toyProblems(11));
  const args = ["--model", model, "--epochs", "2", ...small, "--backend", "wasm", "--out"];
  const one = await run("vft", [...args, at("one")], { input });
  assert.equal(one.code, 0, one.err);
  const two = await mpirun({ family: "Open MPI", ranks: 2 }, ["vft", ...args, at("two")], { input });
  assert.equal(two.code, 0, two.err);
  assertMetrics(two.out, one.out);
  await assertWeights(at("two"), at("one"));
  assert.deepEqual(readdirSync(at("two")).toSorted(), readdirSync(at("one")).toSorted());
  assert.equal(two.err.match(/^Wrote /gm)!.length, 1, "rank 0 alone speaks");
  assert.equal(two.err.match(/^Backend: /gm)!.length, 1);
});

mpiTest(
  "ca-align of three ranks under MPICH: an adapter, reference log-probs, held-out questions",
  async () => {
    const model = await writeSmallModel(), input = lines(toyGroups(8));
    const args = [
      "--model",
      model,
      "--objective",
      "dpo",
      "--lora",
      "r=2,alpha=4,targets=q,v",
      "--steps",
      "3",
      ...small,
    ];
    args.push(
      "--backend",
      "wasm",
      "--eval-share",
      "0.3",
      "--eval-generate",
      "2",
      "--eval-max-tokens",
      "4",
      "--out",
    );
    const one = await run("ca-align", [...args, at("adapter-one")], { input });
    assert.equal(one.code, 0, one.err);
    const three = await mpirun({ family: "MPICH", ranks: 3 }, ["ca-align", ...args, at("adapter-three")], {
      input,
    });
    assert.equal(three.code, 0, three.err);
    const trained = (text: string) => lines(records(text).filter((line) => "loss" in line));
    assertMetrics(trained(three.out), trained(one.out));
    await assertWeights(at("adapter-three"), at("adapter-one"), "adapter_model.safetensors");
    const losses = (text: string) => records(text).flatMap(({ eval_loss: loss }) => loss ?? []);
    assert.equal(losses(one.out).length, losses(three.out).length);
    losses(three.out).forEach((loss: number, i: number) =>
      assert.ok(Math.abs(loss - losses(one.out)[i]) < 1e-6)
    );
  },
);

mpiTest("WebGPU under MPI", async () => {
  if (!(await findAdapter()).adapter) return;
  const model = await writeSmallModel(), input = lines(toyProblems(4));
  const args = ["--model", model, "--steps", "2", ...small, "--backend", "webgpu", "--out"];
  const one = await run("vft", [...args, at("gpu-one")], { input });
  assert.equal(one.code, 0, one.err);
  const two = await mpirun({ family: "Open MPI", ranks: 2 }, ["vft", ...args, at("gpu-two")], { input });
  assert.equal(two.code, 0, two.err);
  assertMetrics(two.out, one.out);
  await assertWeights(at("gpu-two"), at("gpu-one"));
});

mpiTest(
  "a rank that is killed ends the job, and the run goes on with another number, equal to one process",
  async () => {
    const model = await writeSmallModel(), input = lines(toyGroups(9)), out = at("killed");
    const args = [
      "--model",
      model,
      "--epochs",
      "60",
      "--save-every",
      "7",
      ...small,
      "--backend",
      "wasm",
      "--out",
    ];
    const one = await run("ca-align", [...args, at("whole")], { input });
    assert.equal(one.code, 0, one.err);
    let killed = false;
    const cut = await mpirun({ family: "Open MPI", ranks: 2 }, ["ca-align", ...args, out], {
      input,
      onOutput(child, text) {
        if (killed || !/"step":1[5-9]/.test(text)) return;
        killed = true;
        process.kill(processOf(child.pid!, 1), "SIGKILL");
      },
    });
    assert.ok(killed && cut.code !== 0, `${cut.code}: ${cut.err}`);
    assert.ok(!existsSync(join(out, "config.json")), "not finished");
    const rest = await mpirun({ family: "MPICH", ranks: 3 }, ["ca-align", ...args, out, "--resume"], {
      input,
    });
    assert.equal(rest.code, 0, rest.err);
    const [, step] = rest.err.match(/Going on from step (\d+) of 180/) ?? assert.fail(rest.err);
    assert.ok(Number(step) >= 14 && Number(step) % 7 === 0, step);
    assertMetrics(readFileSync(join(out, "metrics.jsonl"), "utf8"), one.out);
    await assertWeights(out, at("whole"));
  },
);

/**
 * A job ends with its rank's code. Under MPICH it may end with 1, where another rank misses that one before it is ended
 * itself, or with 9, where its launcher, which ends the others by SIGKILL, hears of one of those first.
 */
function assertEnded(family: string, code: number | null, expected: number): void {
  const allowed = family === "MPICH" ? [expected, 1, 9] : [expected];
  assert.ok(allowed.includes(code!), `exit code ${code}, expected ${allowed.join(" or ")}`);
}

for (const family of families) {
  mpiTest(`an error in any rank of ${family} ends all of them, with its message and its code`, async () => {
    const fine = await mpirun({ family, ranks: 3 }, ["test/tasks/_rank_task.ts"], { input: "12345" });
    assert.equal(fine.code, 0, fine.err);
    assert.equal(fine.out, '{"rank":0,"length":15}\n', "rank 0 alone writes");
    assert.equal(fine.err, "note of rank 0\nranks: warning of rank 0\n");
    const failing = async (...args: string[]) =>
      await mpirun({ family, ranks: 2 }, ["test/tasks/_rank_task.ts", ...args], { input: "1" });
    const input = await failing("--fail", "input");
    assert.match(input.err, /^ranks: rank 1: Cannot read record 3 of x\.jsonl: expected an object$/m);
    assertEnded(family, input.code, 1);
    const stray = await failing("--fail", "stray", "--rank", "0");
    assert.match(stray.err, /^ranks: .*lost in a callback/m);
    assertEnded(family, stray.code, 1);
    // One that goes away without a word, as a runtime does that breaks down.
    assertEnded(family, (await failing("--fail", "leave")).code, 3);
    // Before they are joined.
    const wrong = await failing("--fial", "input");
    assertEnded(family, wrong.code, 2);
    assert.match(wrong.err, /^ranks: Unknown option --fial: did you mean --fail\?$/m);
  });

  mpiTest(
    `ranks of ${family} with other options are refused, and tasks that are the work of one`,
    async () => {
      const [launcher, ...words] = launchers[family], task = commandOf("vft");
      const args = [
        "--model",
        "fixtures/base",
        "--data",
        "arithmetic",
        "--limit",
        "4",
        "--out",
        at(`never-${family}`),
      ];
      const both = [
        ...words,
        "-n",
        "1",
        ...task,
        ...args,
        "--seed",
        "1",
        ":",
        "-n",
        "1",
        ...task,
        ...args,
        "--seed",
        "2",
      ];
      const other = await program(launcher!, both);
      assert.match(other.err, /^vft: rank 1: Cannot run together: --seed is 2, and 1 in rank 0$/m);
      assertEnded(family, other.code, 2);
      assert.ok(!existsSync(at(`never-${family}`)));
      const alone = await mpirun({ family, ranks: 2 }, ["data", "arithmetic", "--limit", "1"]);
      assert.match(
        alone.err,
        new RegExp(
          `^data: Cannot run data as the 2 processes that mpirun of ${family} started: it is the work of one$`,
          "m",
        ),
      );
      assertEnded(family, alone.code, 2);
    },
  );
}
