/**
 * Long runs whose memory must stay flat: a training of many steps, and many records through `generate | score`. Prints the
 * resident bytes at a quarter, a half and the end; ends with 1 when the second half added more than a tenth and 64 MiB.
 *
 *   deno task soak-test                             2,000 steps, 20,000 records
 *   deno task soak-test --steps 200 --records 1000
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: { steps: { type: "string", default: "2000" }, records: { type: "string", default: "20000" } },
});
const steps = Number(options.steps), records = Number(options.records);
const root = fileURLToPath(new URL("..", import.meta.url)),
  folder = mkdtempSync(join(tmpdir(), "soak-test-"));
const model = ["--model", "fixtures/base", "--backend", "wasm", "--quiet"];

function start(task: string, args: readonly string[], input: "ignore" | "pipe" = "ignore"): ChildProcess {
  return spawn(process.execPath, [
    ..."Deno" in globalThis ? ["run", "-A", "--no-check"] : [],
    `tasks/${task}.ts`,
    ...args,
  ], {
    cwd: root,
    env: { XDG_RUNTIME_DIR: "/tmp", OPENBLAS_NUM_THREADS: "1", ...process.env, NO_COLOR: "1" },
    stdio: [input, "pipe", "inherit"],
  });
}

/** Resident MiB of a process; undefined of one that has ended. */
function resident({ pid }: ChildProcess): number | undefined {
  try {
    return Math.round(Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096 / 2 ** 20);
  } catch {
    return undefined;
  }
}

let failed = false;
const row = (cells: readonly unknown[]) =>
  process.stdout.write(
    `${cells.map((cell, i) => i === 0 ? `${cell}`.padEnd(26) : `${cell}`.padStart(12)).join("")}\n`,
  );

/** Reads a command's lines, and notes what each process holds at a quarter, a half and near the end of `total` of them. */
async function watch(
  name: string,
  total: number,
  processes: Readonly<Record<string, ChildProcess>>,
): Promise<void> {
  const last = Object.values(processes).at(-1)!,
    at = [0.25, 0.5, 0.98].map((share) => Math.floor(share * total));
  const seen: Record<string, number[]> = {};
  const codes = Promise.all(
    Object.values(processes).map((child) =>
      new Promise<number | null>((resolve) => child.on("close", resolve))
    ),
  );
  // The first of a pipe is done before the last: what it held then counts.
  const latest: Record<string, number> = {};
  const look = () => {
    for (const [which, child] of Object.entries(processes)) {
      latest[which] = resident(child) ?? latest[which] ?? 0;
    }
  };
  const timer = setInterval(look, 100);
  let count = 0;
  for await (const _ of createInterface({ input: last.stdout! })) {
    if (!at.includes(++count)) continue;
    look();
    for (const which of Object.keys(processes)) (seen[which] ??= []).push(latest[which]!);
  }
  clearInterval(timer);
  const ended = await codes;
  for (const [which, mib] of Object.entries(seen)) {
    const flat = mib.length === 3 && mib[2]! <= 1.1 * mib[1]! + 64 && ended.every((code) => code === 0) &&
      count === total;
    failed ||= !flat;
    row([`${name}: ${which}`, ...mib, flat ? "flat" : "grows"]);
  }
}

row(["MiB at", "a quarter", "a half", "the end", ""]);
const training = [
  "--data",
  "arithmetic",
  "--limit",
  "64",
  "--log-every",
  "1",
  "--save-every",
  "100",
  "--batch-size",
  "2",
];
await watch(`${steps} steps`, steps, {
  vft: start("vft", [...model, ...training, "--steps", `${steps}`, "--out", join(folder, "run")]),
});
const problems = join(folder, "problems.jsonl");
writeFileSync(
  problems,
  Array.from(
    { length: records },
    (_, i) => `${JSON.stringify({ id: `q${i}`, question: `${i} + 5?`, answer: `${i + 5}` })}\n`,
  )
    .join(""),
);
const generate = start("generate", [...model, "--input", problems, "--samples", "1", "--max-tokens", "4"]);
const score = start("score", model, "pipe");
generate.stdout!.pipe(score.stdin!);
await watch(`${records} records`, records, { generate, score });
rmSync(folder, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
