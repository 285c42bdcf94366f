/**
 * Kills whole commands at random moments, goes on as a user would, and compares the bytes that come out with those of a run
 * that nobody disturbed.
 *
 *   deno task kill-test                      5 moments of each command
 *   deno task kill-test --kills 50           as many as docs/reliability.md tells of
 *   deno task kill-test --only align --seed 3
 *
 * Ends with 1 when anything was lost: other bytes, or a command that could not go on.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Random } from "../lib/data/random.ts";

const { values: options } = parseArgs({
  options: {
    kills: { type: "string", default: "5" },
    only: { type: "string", default: "vft,ca-align,generate,score,align" },
    seed: { type: "string", default: "1" },
  },
});
const root = fileURLToPath(new URL("..", import.meta.url)), base = "fixtures/base";
const folder = mkdtempSync(join(tmpdir(), "kill-test-"));
const deno = "Deno" in globalThis;

/** Runs a task; kills it after `milliseconds` where they are given. The code is null of one that was killed. */
function run(
  task: string,
  args: readonly string[],
  milliseconds?: number,
): Promise<{ code: number | null; err: string; out: string; took: number }> {
  const file = `tasks/${task.replaceAll("-", "_")}.ts`, began = performance.now();
  const child = spawn(process.execPath, [...deno ? ["run", "-A", "--no-check"] : [], file, ...args], {
    cwd: root,
    env: { XDG_RUNTIME_DIR: "/tmp", OPENBLAS_NUM_THREADS: "1", ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let err = "", out = "";
  child.stderr.on("data", (text) => err += text);
  child.stdout.on("data", (text) => out += text);
  const timer = milliseconds === undefined
    ? undefined
    : setTimeout(() => child.kill("SIGKILL"), milliseconds);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, err, out, took: performance.now() - began });
    });
  });
}

/** A command that is killed. */
interface Case {
  readonly task: string;
  /** Its words, but for where it writes. */
  readonly args: readonly string[];
  /** The option that says where: a folder, or a file. */
  readonly to: "--out" | "--output";
  /** Where a run stands that was killed, for the table. */
  readonly stage?: (path: string) => string;
}

const quick = ["--backend", "wasm", "--quiet"];
const learn = [
  "--model",
  base,
  ...quick,
  "--steps",
  "12",
  "--save-every",
  "3",
  "--batch-size",
  "4",
  "--learning-rate",
  "1e-3",
];
const groups = Array.from({ length: 24 }, (_, i) => ({
  id: `q${i}`,
  question: `Tom has ${i} balls and buys 5. How many has he?`,
  reference: `${i} + 5 = ${i + 5}\n#### ${i + 5}`,
  answer: `${i + 5}`,
  candidates: [{ text: "He has 5.\n#### 5" }, { text: `#### ${i + 5}` }, { text: `${i} + 5\n#### ${i + 5}` }],
}));
const grouped = join(folder, "groups.jsonl");
writeFileSync(grouped, groups.map((group) => `${JSON.stringify(group)}\n`).join(""));
const scored = join(folder, "scored.jsonl");

const cases: Readonly<Record<string, Case>> = {
  vft: { task: "vft", to: "--out", args: [...learn, "--data", "arithmetic", "--limit", "24"] },
  "ca-align": { task: "ca-align", to: "--out", args: [...learn, "--input", scored, "--lora", "r=4"] },
  generate: {
    task: "generate",
    to: "--output",
    args: [
      "--model",
      base,
      ...quick,
      "--data",
      "arithmetic",
      "--limit",
      "40",
      "--samples",
      "3",
      "--max-tokens",
      "24",
    ],
  },
  score: {
    task: "score",
    to: "--output",
    args: ["--model", base, ...quick, "--input", grouped, "--micro-batch", "256"],
  },
  align: {
    task: "align",
    to: "--out",
    args: [
      ...quick,
      ..."--limit 24 --test-limit 8 --epochs 1 --align-epochs 1 --samples 3 --votes 0 --max-tokens 24 --constraints dc"
        .split(" "),
    ],
    stage: (path) => {
      const there = (name: string) => existsSync(join(path, name));
      const stages: [string, string][] = [
        ["vft/config.json", "vft"],
        ["test-candidates.jsonl", "test-candidates"],
        ["candidates.jsonl", "candidates"],
        ["control/config.json", "control"],
        ["aft-dc/config.json", "aft-dc"],
        ["report.html", "measuring"],
      ];
      return stages.find(([name]) => !there(name))?.[1] ?? "the end";
    },
  },
};

/** What a command wrote, as a digest: weights, adapters, records and figures; not dates, times and paths. */
function digestOf(path: string): string {
  const hash = createHash("sha256");
  const add = (file: string, name: string) => {
    if (statSync(file).isDirectory()) {
      for (const inner of readdirSync(file).sort()) add(join(file, inner), `${name}/${inner}`);
    } else if (/\.safetensors$|candidates.*\.jsonl$|adapter_config\.json$|^$/.test(name)) {
      hash.update(name).update(readFileSync(file));
    } else if (/metrics\.jsonl$/.test(name)) {
      for (const line of readFileSync(file, "utf8").trimEnd().split("\n")) {
        const { step, loss } = JSON.parse(line);
        hash.update(`${name} ${step} ${loss}`);
      }
    } else if (/results\.json$/.test(name)) {
      hash.update(JSON.stringify(JSON.parse(readFileSync(file, "utf8")).rows));
    } else hash.update(name); // whatever else: that it is there, and nothing beside it
  };
  add(path, "");
  return hash.digest("hex");
}

/** The words with which a user goes on. */
async function again({ task, to }: Case, path: string): Promise<string[]> {
  if (to === "--out") {
    return existsSync(join(path, task === "align" ? "align.json" : "run.json")) ? ["--resume"] : [];
  }
  help[task] ??= (await run(task, ["--help"])).out;
  return help[task]!.includes("--resume") && existsSync(`${path}.partial`) ? ["--resume"] : ["--overwrite"];
}
const help: Record<string, string> = {};

let lost = 0;
process.stdout.write(
  `${"killed in".padEnd(26)}${["tried", "identical", "lost"].map((word) => word.padStart(10)).join("")}\n`,
);
const made = await run("score", ["--input", grouped, "--output", scored, "--quiet"]);
if (made.code !== 0) throw new Error(made.err);
for (const name of options.only.split(",")) {
  const one = cases[name];
  if (!one) throw new Error(`--only must be of ${Object.keys(cases).join(", ")}: got ${name}`);
  const random = new Random(Number(options.seed), { stream: name }),
    tally = new Map<string, { tried: number; same: number }>();
  const whole = join(folder, `${name}-whole`), reference = await run(one.task, [...one.args, one.to, whole]);
  if (reference.code !== 0) throw new Error(`${name}: ${reference.err}`);
  const expected = digestOf(whole);
  for (let kill = 0; kill < Number(options.kills); kill++) {
    const path = join(folder, `${name}-${kill}`), words = [...one.args, one.to, path];
    let stage = "not killed", ended = await run(one.task, words, random.next() * reference.took);
    if (ended.code !== 0) {
      stage = one.stage && existsSync(path) ? one.stage(path) : "";
      // Killed again while it goes on, every other time.
      if (kill % 2 === 1) {
        ended = await run(one.task, [...words, ...await again(one, path)], random.next() * reference.took);
      }
      if (ended.code !== 0) ended = await run(one.task, [...words, ...await again(one, path)]);
    }
    const same = ended.code === 0 && digestOf(path) === expected && !existsSync(`${path}.partial`);
    const left = readdirSync(folder).filter((entry) =>
      entry.includes(`${name}-${kill}.`) && (entry.startsWith(".") || entry.endsWith(".lock"))
    );
    const fine = same && left.length === 0, key = `${name} ${stage}`.trim();
    const row = tally.get(key) ?? { tried: 0, same: 0 };
    tally.set(key, { tried: row.tried + 1, same: row.same + Number(fine) });
    if (!fine) {
      lost++;
      process.stderr.write(
        `${key}, kill ${kill}: ${ended.code === 0 ? `other bytes, or ${left}` : ended.err.trim()}\n`,
      );
    } else {
      rmSync(path, { recursive: true, force: true });
    }
  }
  for (const [key, { tried, same }] of tally) {
    process.stdout.write(
      `${key.padEnd(26)}${[tried, same, tried - same].map((n) => `${n}`.padStart(10)).join("")}\n`,
    );
  }
}
if (lost === 0) rmSync(folder, { recursive: true, force: true });
process.stdout.write(lost === 0 ? "Nothing was lost\n" : `${lost} lost; see ${folder}\n`);
process.exit(lost === 0 ? 0 : 1);
