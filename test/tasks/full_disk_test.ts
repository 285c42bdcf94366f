/** A full disk and folders that cannot be written: one line with the path, wherever the bytes were to go. */

import assert from "node:assert/strict";
import { existsSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { at, base, inPairs, shell, write } from "../_commands.ts";

const skip = existsSync("/dev/full") ? false : "no /dev/full here";
const group = { id: "a", question: "2 + 3?", reference: "5", answer: "5", candidates: [{ text: "#### 5" }] };
const full = "Cannot write /dev/full: no space left on the device";

test(
  "standard output on a full disk: each command says so in one line, and ends with 1",
  { skip },
  async () => {
    const file = write("full.jsonl", [group]), model = `--model ${base} --backend wasm --quiet`;
    const commands: [string, string][] = [
      ["score", `--input ${file} --quiet`],
      ["generate", `${model} --input ${file} --samples 1 --max-tokens 2`],
      ["evaluate", `${model} --input ${file} --max-tokens 2`],
      ["vft", `${model} --input ${file} --steps 2 --out ${at("full-vft")}`],
      ["doctor", ""],
      ["aft", ""],
      ["aft", "--version"],
      ["aft", "completion bash"],
      ...["score", "align", "study", "merge"].map((task): [string, string] => [task, "--help"]),
      ["score", "--dry-run"],
    ];
    await inPairs(commands, async ([task, words]) => {
      const { code, out, err } = await shell(`@${task} ${words} > /dev/full`);
      assert.deepEqual([code, out], [1, ""], `${task} ${words}: ${err}`);
      assert.match(
        err,
        new RegExp(`^${task}: Cannot write (?:/dev/full|standard output): no space left on the device\n$`),
      );
    });
    // What was trained until then stays, and the run can go on.
    assert.ok(existsSync(at("full-vft/run.json")) && !existsSync(at("full-vft/run.lock")));
  },
);

test("--output and --out where nothing can be written", { skip }, async () => {
  const file = write("full.jsonl", [group]), quick = `--model ${base} --backend wasm --quiet --steps 1`;
  symlinkSync("/dev/full", at("link.jsonl"));
  const cases: [string, string][] = [
    [`@score --quiet --input ${file} --output /dev/full`, `score: ${full}`],
    [
      `@score --quiet --input ${file} --output ${at("link.jsonl")}`,
      `score: Cannot write ${at("link.jsonl")}: no space left on the device`,
    ],
    [
      `@score --quiet --input ${file} --output /proc/none/x.jsonl`,
      "score: Cannot write /proc/none/x.jsonl: no such file or directory",
    ],
    [
      `@vft ${quick} --input ${file} --out /proc/none`,
      "vft: Cannot make directory /proc/none: no such file or directory",
    ],
    [
      `@align --quiet --limit 2 --out ${file}/run`,
      `align: Cannot make directory ${file}/run: a part of the path is not a directory`,
    ],
  ];
  await inPairs(cases, async ([line, message]) => {
    const { code, err } = await shell(line);
    assert.deepEqual([code, err], [1, `${message}\n`]);
  });
});

test("a file over the user's limit is an error of that file, in one line", { skip }, async () => {
  // Larger than what the runtime itself may have to write into its caches.
  const line = `${JSON.stringify({ id: "a", question: "x".repeat(30_000_000), answer: "5" })}\n`;
  const large = at("large.jsonl"), output = at("limited.jsonl");
  writeFileSync(large, line.repeat(5));
  const { code, err } = await shell(`ulimit -f 100000; @data ${large} --quiet --output ${output}`);
  assert.deepEqual([code, err.split("\n").at(-2)], [
    1,
    `data: Cannot write ${output}.partial: the file would be too large`,
  ]);
});
