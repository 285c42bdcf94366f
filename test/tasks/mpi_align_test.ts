/** `align` and `study` as processes that mpirun of both families started. `test/pipeline/align_ranks_test.ts` has more, in memory. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { at, commandOf, program, run } from "../_commands.ts";
import { launchers, mpirun, mpiTest, processOf } from "../_mpi.ts";
import { assertNear, assertSameRuns } from "../_same_runs.ts";

const small = [
  ...["--limit", "8", "--test-limit", "8", "--epochs", "1", "--align-epochs", "1", "--votes", "0", "-k", "2"],
  ...["--max-tokens", "12", "--batch-size", "4", "--learning-rate", "1e-4", "--constraints", "dc"],
  ...["--backend", "wasm", "--out"],
];

mpiTest(
  "align under both families, killed and resumed with other numbers of ranks, is one process",
  async () => {
    const whole = at("whole"), three = at("three"), cut = at("cut");
    const one = await run("align", [...small, whole]);
    assert.equal(one.code, 0, one.err);
    const several = await mpirun({ family: "MPICH", ranks: 3 }, ["align", ...small, three]);
    assert.equal(several.code, 0, several.err);
    assertSameRuns(three, whole);
    const models = (out: string) => out.split("\n").map((line) => line.split(" ")[0]);
    assert.deepEqual(models(several.out), models(one.out));
    for (const line of [/^Backend: /gm, /^Done in /gm, /^candidates: /gm]) {
      assert.equal(several.err.match(line)!.length, 1, `rank 0 alone speaks: ${several.err}`);
    }

    // A rank dies in the first training, another in the alignment: each time all end, and others go on.
    const spots = [["Open MPI", 2, "vft"], ["Open MPI", 3, "aft-dc"]] as const;
    for (const [i, [family, ranks, model]] of spots.entries()) {
      const resume = i === 0 ? [] : ["--resume"];
      const killed = await mpirun({ family, ranks }, ["align", ...small, cut, ...resume], {
        onStart(child) {
          const watch = setInterval(() => {
            if (!existsSync(join(cut, model, "run.json"))) return;
            clearInterval(watch);
            process.kill(processOf(child.pid!, ranks - 1), "SIGKILL");
          }, 5);
          child.on("exit", () => clearInterval(watch));
        },
      });
      assert.notEqual(killed.code, 0, `it came to its end: ${killed.err}`);
      assert.ok(!existsSync(join(cut, "results.json")));
    }
    const rest = await mpirun({ family: "MPICH", ranks: 2 }, ["align", ...small, cut, "--resume"]);
    assert.equal(rest.code, 0, rest.err);
    assertSameRuns(cut, whole);
    // Finished: all find it so, and rank 0 prints.
    const again = await mpirun({ family: "Open MPI", ranks: 2 }, [
      "align",
      ...small,
      cut,
      "--resume",
      "--quiet",
    ]);
    assert.deepEqual(again, { code: 0, out: rest.out, err: "" });
  },
);

mpiTest("study of two ranks is one process, and prints once", async () => {
  const quick = [
    ...["--quick", "--only", "main", "--data", "arithmetic", "--methods", "VFT,AFT", "--start", "vft"],
    ...["--learning-rate", "1e-4", "--backend", "wasm", "--out"],
  ];
  const one = await run("study", [...quick, at("study-one")]);
  assert.equal(one.code, 0, one.err);
  const two = await mpirun({ family: "Open MPI", ranks: 2 }, ["study", ...quick, at("study-two")]);
  assert.equal(two.code, 0, two.err);
  const experiments = (out: string) =>
    JSON.parse(readFileSync(join(out, "results.json"), "utf8")).experiments;
  assertNear(experiments(at("study-two")), experiments(at("study-one")), "experiments");
  const titles = (out: string) =>
    out.split("\n").filter((line) => /^\p{L}/u.test(line)).map((line) => line.slice(0, 8));
  assert.deepEqual(titles(two.out), titles(one.out));
  assert.equal(two.err.match(/^Everything is in /gm)!.length, 1, two.err);
  // --plan does nothing but print.
  const plan = await mpirun({ family: "MPICH", ranks: 2 }, ["study", "--plan"]);
  assert.deepEqual([plan.code, plan.out.match(/^To see a difference/gm)!.length], [0, 1], plan.err);
});

mpiTest(
  "align: what rank 0 refuses is said once, ranks with other options too, and nothing is written",
  async () => {
    const out = at("thesis");
    mkdirSync(out);
    writeFileSync(join(out, "thesis.txt"), "x");
    const taken = await mpirun({ family: "Open MPI", ranks: 2 }, ["align", ...small, out]);
    assert.equal(
      taken.err.trim(),
      `align: Cannot write ${out}: it already exists; use --resume, --overwrite or another --out`,
    );
    assert.equal(taken.code, 2);
    assert.deepEqual(readdirSync(out), ["thesis.txt"]);
    const [launcher, ...words] = launchers.MPICH, never = at("never");
    const each = ["1", "2"].map((
      seed,
    ) => ["-n", "1", ...commandOf("align"), ...small, never, "--seed", seed]);
    const other = await program(launcher!, [...words, ...each[0]!, ":", ...each[1]!]);
    assert.match(other.err, /^align: rank 1: Cannot run together: --seed is 2, and 1 in rank 0$/m);
    assert.notEqual(other.code, 0);
    assert.ok(!existsSync(never));
    // The configuration and the memory that it needs, once.
    const dry = await mpirun({ family: "Open MPI", ranks: 2 }, ["align", ...small, never, "--dry-run"]);
    assert.equal(JSON.parse(dry.out).options.limit, 8);
    assert.ok(!existsSync(never));
  },
);
