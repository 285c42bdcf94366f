/**
 * Long runs whose memory must stay flat: a training of many steps, and many records through `generate | score`. Prints the
 * most resident bytes that each quarter of the run saw: a heap grows until it is swept, so that what one moment shows says
 * little. Ends with 1 when the last quarter took a tenth and 32 MiB more than the second.
 *
 *   deno task soak-test                             2,000 steps, 20,000 records
 *   deno task soak-test --steps 200 --records 1000
 *   deno task soak-test --every 500                 also what is resident at every 500th
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
  options: {
    steps: { type: "string", default: "2000" },
    records: { type: "string", default: "20000" },
    every: { type: "string" },
  },
});
const steps = Number(options.steps), records = Number(options.records);
const every = Number(options.every ?? Infinity);
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
    const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
    return Math.round(pages * 4096 / 2 ** 20) || undefined;
  } catch {
    return undefined;
  }
}

let failed = false;
const row = (cells: readonly unknown[]) =>
  process.stdout.write(
    `${cells.map((cell, i) => i === 0 ? `${cell}`.padEnd(26) : `${cell}`.padStart(12)).join("")}\n`,
  );

/** Reads a command's lines, and notes the most that each process holds in each quarter of `total` of them. */
async function watch(
  name: string,
  total: number,
  processes: Readonly<Record<string, ChildProcess>>,
): Promise<void> {
  const last = Object.values(processes).at(-1)!, peaks: Record<string, number[]> = {};
  const codes = Promise.all(
    Object.values(processes).map((child) =>
      new Promise<number | null>((resolve) => child.on("close", resolve))
    ),
  );
  let count = 0;
  const look = (): (number | undefined)[] =>
    Object.entries(processes).map(([which, child]) => {
      const held = resident(child), quarter = Math.min(3, Math.floor(4 * count / total));
      const own = peaks[which] ??= [0, 0, 0, 0];
      if (held !== undefined) own[quarter] = Math.max(own[quarter]!, held);
      return held;
    });
  const timer = setInterval(look, 100);
  for await (const _ of createInterface({ input: last.stdout! })) {
    // The first of a pipe is done before the last.
    if (++count % every === 0) row([`at ${count}`, ...look().map((held) => held ?? "ended")]);
  }
  clearInterval(timer);
  const ended = await codes;
  for (const [which, mib] of Object.entries(peaks)) {
    const flat = mib[3]! <= 1.1 * mib[1]! + 32 && ended.every((code) => code === 0) && count === total;
    failed ||= !flat;
    row([`${name}: ${which}`, ...mib.map((held) => held || "ended"), flat ? "flat" : "grows"]);
  }
}

row(["most MiB in quarter", 1, 2, 3, 4]);
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
