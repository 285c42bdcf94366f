/** docs/recipe.md, run in full: its commands with a tiny model, local data and small numbers in place of its own. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { inPairs, run as runTask } from "../_commands.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const shared = fileURLToPath(new URL("../../../shared/", import.meta.url));
const skip = existsSync(shared) ? false : "no ../shared beside the repository";
const folder = mkdtempSync(join(tmpdir(), "recipe-test-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The lines of the document's blocks of shell commands. */
function commands(): string[] {
  const text = readFileSync(join(root, "docs/recipe.md"), "utf8");
  return [...text.matchAll(/```sh\n([^]*?)```/g)].flatMap(([, block]) => block.trim().split("\n"));
}

/** The same command with another model, other paths, and sizes that take a second. */
function small(command: string): string {
  const start = "Deno" in globalThis ? "run -A --no-check" : "run";
  const tasks = command.split(" | ").map((part) => {
    const name = part.match(/^deno task ([\w-]+)/)?.[1];
    if (!name || name === "doctor" || name === "merge-shards") return part;
    const limit = /--data\b/.test(part) && !/--limit/.test(part) ? " --limit 8" : "";
    const local = /--data\b/.test(part) ? ` --data-directory '${join(shared, "data")}'` : "";
    const [line, redirected] = part.split(/(?= > )/);
    return `${line}${limit}${local} --backend wasm${redirected ?? ""}`;
  });
  return tasks.join(" | ")
    .replaceAll(/deno task ([\w-]+)/g, `'${process.execPath}' ${start} tasks/$1.ts`)
    .replaceAll(/tasks\/(\w+)-(\w+)\.ts/g, "tasks/$1_$2.ts")
    .replaceAll("HuggingFaceTB/SmolLM2-135M", `'${join(shared, "models/stories260K")}'`)
    .replaceAll("runs/smol", `'${folder}/smol'`)
    .replaceAll(/--limit \d+/g, "--limit 8")
    .replaceAll(/--test-limit \d+/g, "--test-limit 4")
    .replaceAll(/--max-tokens \d+/g, "--max-tokens 12")
    .replaceAll(/--epochs \d+ --learning-rate \S+/g, "--steps 3 --log-every 1 --learning-rate 1e-3")
    .replaceAll(/--votes \d+/g, "--votes 2")
    .replaceAll(/-k \d+/g, "-k 2");
}

/** Runs a line in a shell, in the project's folder. */
function run(line: string): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn("sh", ["-c", line], { cwd: root, env: { ...process.env, HF_HUB_OFFLINE: "1" } });
    let out = "", err = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => out += text);
    child.stderr.setEncoding("utf8").on("data", (text: string) => err += text);
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });
}

const lastLine = (path: string) =>
  JSON.parse(readFileSync(join(folder, "smol", path), "utf8").trimEnd().split("\n").at(-1)!);

test("every command of the recipe runs, and its figures are there", { skip, timeout: 300_000 }, async () => {
  const lines = commands();
  assert.ok(lines.filter((line) => line.startsWith("deno task")).length >= 14, lines.join("\n"));
  for (const line of lines) {
    assert.ok(small(line) !== line || /^(mkdir|grep|cat) /.test(line) || line === "deno task doctor", line);
    const { code, out, err } = await run(small(line));
    assert.equal(code, 0, `${line}\n${err}`);
    if (line.includes("--dry-run")) assert.ok(JSON.parse(out).memory.bytes.total > 0);
  }
  const base = lastLine("base.jsonl"), vft = lastLine("vft-test.jsonl"), lora = lastLine("lora-test.jsonl");
  assert.ok(vft.perplexity < 0.8 * base.perplexity, `${vft.perplexity} after ${base.perplexity}`);
  assert.ok(lora.perplexity < base.perplexity, `${lora.perplexity} after ${base.perplexity}`);
  for (const name of ["1-vft", "2-control", "3-aft"]) {
    const { questions, accuracy, perplexity } = lastLine(`${name}.jsonl`);
    assert.equal(questions, 8);
    assert.ok(Number.isFinite(accuracy) && Number.isFinite(perplexity), name);
  }
  const [first] = readFileSync(join(folder, "smol/scored.jsonl"), "utf8").split("\n");
  for (const { token_ids: ids, tokens, score } of JSON.parse(first).candidates) {
    assert.equal(ids.length, tokens);
    assert.ok(score < 0);
  }
  assert.deepEqual(lastLine("aft.jsonl").step, 3);
  assert.match(readFileSync(join(folder, "smol/aft/README.md"), "utf8"), /constraint bc, beta 0\.2/);
});

test("every command is accepted as it is written, with its own names and numbers", async () => {
  const tasks = commands().flatMap((line) => line.split(" | ")).filter((line) =>
    line.startsWith("deno task ")
  );
  const results = await inPairs(tasks, async (line) => {
    const [name, ...words] = line.replace(/ > .*$/, "").split(/\s+/).slice(2);
    const dry = name === "doctor" ? "--help" : "--dry-run"; // doctor has nothing to resolve
    const env = { HF_HUB_OFFLINE: "1", HF_HUB_CACHE: folder };
    return { line, ...await runTask(name, [...words.filter((word) => word !== dry), dry], { env }) };
  });
  for (const { line, code, out, err } of results) {
    assert.deepEqual([code, err], [0, ""], line);
    if (line.includes("SmolLM2")) assert.equal(JSON.parse(out).options.model, "HuggingFaceTB/SmolLM2-135M");
  }
});

test("what the recipe names is there", () => {
  const text = readFileSync(join(root, "docs/recipe.md"), "utf8");
  for (const [, target] of text.matchAll(/\]\(([\w./-]+)\)/g)) {
    assert.ok(existsSync(join(root, "docs", target)), target);
  }
  for (const [path] of text.matchAll(/\btest\/[\w/]+\.ts\b/g)) assert.ok(existsSync(join(root, path)), path);
});
