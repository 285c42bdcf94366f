/** Pipes, devices and directories in place of files: refused in one line, and read where a stream will do. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at, base, inPairs, lines, root, run, send, shell, write } from "../_commands.ts";

const fifo = (path: string): string => {
  rmSync(path, { force: true, recursive: true });
  execFileSync("mkfifo", [path]);
  return path;
};

test("a pipe, a device or a directory in place of a model's file, a data set or a configuration", async () => {
  const data = ["--data", "arithmetic", "--limit", "1"];
  const model = (name: string, replace: (path: string) => void): [string, string[], string] => {
    const folder = at(`special-${name}-${Math.random()}`), path = join(folder, name);
    cpSync(join(root, base), folder, { recursive: true });
    rmSync(path, { force: true });
    replace(path);
    return ["score", ["--model", folder, "--backend", "wasm", ...data], path];
  };
  const device = (path: string) => symlinkSync("/dev/zero", path);
  const files = "config.json model.safetensors tokenizer.json tokenizer_config.json generation_config.json"
    .split(" ");
  const cases: [string, string[], string, string][] = [
    ...files.flatMap((name): typeof cases => [
      [...model(name, fifo), "it is a pipe, not a file"],
      [...model(name, device), "it is a device, not a file"],
      [...model(name, (path) => mkdirSync(path)), "it is a directory"],
    ]),
    ...[fifo(at("rows.jsonl")), fifo(at("rows.parquet"))].map((path): typeof cases[number] => [
      "score",
      ["--data", path],
      path,
      "it is a pipe, not a file",
    ]),
    ["score", ["--config", fifo(at("options.json"))], at("options.json"), "it is a pipe, not a file"],
    ["score", ["--input", at(".")], at("."), "it is a directory"],
  ];
  await inPairs(cases, async ([task, args, path, reason]) => {
    const { code, out, err } = await run(task, args);
    assert.equal(out, "");
    assert.ok(code === 1 || code === 2, `${code} ${err}`);
    // What a backend says of itself may come before.
    assert.equal(
      err.split("\n").filter((line) => line.startsWith(`${task}: `)).join("|"),
      `${task}: Cannot read ${path}: ${reason}`,
    );
  });
});

const record = {
  id: "a",
  question: "2 + 3?",
  answer: "5",
  candidates: [{ text: "#### 5" }, { text: "#### 6" }],
};

test("records come from a named pipe, /dev/stdin and what a shell puts in place of <(command)", async () => {
  const file = write("records.jsonl", [record]), pipe = fifo(at("records"));
  const expected = { code: 0, err: "" };
  const results = await inPairs([
    `cat ${file} > ${pipe} & @score --input ${pipe} --quiet`,
    `cat ${file} | @score --input /dev/stdin --quiet`,
    `@score --input <(cat ${file}) --quiet`,
    `@score --quiet < ${file}`,
  ], (line) => shell(line));
  for (const { code, out, err } of results) {
    assert.deepEqual({ code, err }, expected);
    assert.equal(out, results[0]!.out);
    assert.equal(JSON.parse(out).candidates[0].correct, true);
  }
});

test("a pipe that nobody writes to, or whose writer pauses, can be interrupted", async () => {
  const empty = fifo(at("nobody")), paused = fifo(at("paused"));
  writeFileSync(at("first"), lines([record]));
  const results = await inPairs([
    `sleep 3 & exec @score --input ${empty} --quiet`,
    `(cat ${at("first")}; sleep 30) > ${paused} 2> /dev/null & exec @score --input ${paused} --quiet`,
  ], (line) =>
    shell(line, {
      onStart: (child) => setTimeout(() => send(child, "SIGINT"), 4000),
    }));
  for (const { code, err } of results) assert.deepEqual([code, err], [130, "score: Interrupted\n"]);
});
