/** generate, score and evaluate as several processes that mpirun started: the bytes of one. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { at, base, lines, run, write } from "../_commands.ts";
import { families, mpirun, mpiTest } from "../_mpi.ts";

const wasm = ["--model", base, "--backend", "wasm"];
const groups = Array.from({ length: 70 }, (_, i) => ({
  id: `p-${i}`,
  question: `Tom has ${i + 3} balls. He buys ${1 + i % 7} more. How many balls does he have now?`,
  answer: `${i + 4 + i % 7}`,
  reference: `${i + 3} + ${1 + i % 7} = ${i + 4 + i % 7}\n#### ${i + 4 + i % 7}`,
  candidates: [
    { text: `so ${i + 5}\n#### ${i + 5}` },
    { text: `${i + 3} balls${" and more".repeat(i % 5)}${i === 69 ? "" : `\n#### ${i + 4 + i % 7}`}` },
  ],
}));
const input = lines(groups), file = write("dealt.jsonl", groups);
const commands: readonly [task: string, args: string[]][] = [
  ["generate", [...wasm, "-k", "2", "--max-tokens", "6"]],
  ["score", [...wasm, "--micro-batch", "512", "--rank", "steps"]],
  ["evaluate", [...wasm, "--max-tokens", "5", "--details"]],
];

for (const [i, [task, args]] of commands.entries()) {
  mpiTest(
    `${task} of two ranks, from standard input and a file, under both families: the bytes of one`,
    async () => {
      const one = await run(task, [...args, "--quiet"], { input });
      assert.equal(one.code, 0, one.err);
      for (const family of families) {
        // Both ways of reading, each with one of the families.
        const piped = family === families[i % 2];
        const asked = piped ? args : [...args, "--input", file];
        const two = await mpirun({ family, ranks: 2 }, [task, ...asked], piped ? { input } : {});
        assert.deepEqual([two.code, two.out === one.out], [0, true], `${family}: ${two.err}`);
        assert.equal(two.err.match(/^Backend: /gm)!.length, 1, "rank 0 alone speaks");
      }
    },
  );
}

mpiTest("more ranks than records, a shard of them, and a run that goes on", async () => {
  const [task, args] = commands[1]!;
  const few = await mpirun({ family: "Open MPI", ranks: 3 }, [task, ...args], {
    input: lines(groups.slice(0, 2)),
  });
  const one = await run(task, [...args, "--quiet", "--limit", "2"], { input });
  assert.deepEqual([few.code, few.out === one.out], [0, true], few.err);

  const part = ["--shard", "1/2", "--input", file];
  const alone = await run(task, [...args, ...part]);
  const dealt = await mpirun({ family: "MPICH", ranks: 2 }, [task, ...args, ...part]);
  assert.deepEqual([dealt.code, dealt.out === alone.out], [0, true], dealt.err);

  const whole = await run(task, [...args, "--input", file]), path = at("resumed.jsonl");
  const dry = await run(task, [...args, "--input", file, "--dry-run", "--output", path]);
  writeFileSync(`${path}.partial`, whole.out.split(/(?<=\n)/).slice(0, 37).join(""));
  writeFileSync(`${path}.partial.json`, dry.out);
  const on = await mpirun({ family: "Open MPI", ranks: 2 }, [
    task,
    ...args,
    "--input",
    file,
    "--output",
    path,
    "--resume",
  ]);
  assert.equal(on.code, 0, on.err);
  assert.ok(readFileSync(path, "utf8") === whole.out);
});

mpiTest("a record that is none ends all ranks with its line, behind what was whole", async () => {
  const broken = lines(groups.slice(0, 8)) + "{\n", [task, args] = commands[0]!;
  for (const family of families) {
    const ended = await mpirun({ family, ranks: 2 }, [task, ...args], { input: broken });
    assert.notEqual(ended.code, 0);
    assert.match(ended.err, /^generate: Cannot read line 9 of standard input: /m);
    assert.equal(ended.out.split("\n").filter((line) => line.startsWith('{"id"')).length, 8);
  }
});

mpiTest("what a rank warns of is said with its number; merge-shards is the work of one", async () => {
  const [task, args] = commands[1]!;
  const odd = groups.map((group) => ({ ...group, candidates: [{ text: "no answer" }, ...group.candidates] }));
  const warned = await mpirun({ family: "Open MPI", ranks: 2 }, [task, ...args], { input: lines(odd) });
  assert.equal(warned.code, 0, warned.err);
  const counts = [
    ...warned.err.matchAll(/^score: (\d+) of (\d+) candidates have no answer .*?( \(rank 1\))?$/gm),
  ];
  assert.deepEqual(counts.map(([, , , rank]) => rank ?? "").sort(), ["", " (rank 1)"]);
  assert.equal(counts.reduce((sum, [, , all]) => sum + Number(all), 0), 210);
  const merged = await mpirun({ family: "Open MPI", ranks: 2 }, ["merge-shards", file]);
  assert.equal(merged.code, 2);
  assert.match(
    merged.err,
    /^merge-shards: Cannot run merge-shards as the 2 processes that mpirun of Open MPI started: it is the work of one$/m,
  );
});

test("a run that goes on in the middle of a block gives the bytes of one that was not cut off", async () => {
  const [task, args] = commands[1]!, path = at("alone.jsonl");
  const whole = await run(task, [...args, "--input", file]);
  const dry = await run(task, [...args, "--input", file, "--dry-run", "--output", path]);
  writeFileSync(`${path}.partial`, whole.out.split(/(?<=\n)/).slice(0, 65).join(""));
  writeFileSync(`${path}.partial.json`, dry.out);
  const on = await run(task, [...args, "--input", file, "--output", path, "--resume"]);
  assert.equal(on.code, 0, on.err);
  assert.ok(readFileSync(path, "utf8") === whole.out);
});
