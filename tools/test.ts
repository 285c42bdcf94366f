/**
 * Runs the tests and ends with the plain line `N passed, N failed, N skipped`. Each file runs in a process of its own,
 * as many at once as there are cores (at most four).
 *
 *   deno task test:fast            what one runs while working: under a minute (tools/_tiers.ts)
 *   deno task test [PATH ...]      under Deno: all, or these files and folders
 *   deno task test --bun           under Bun alone
 *   deno task test:full            under Deno, then under Bun; also what asks the package registry
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import process from "node:process";
import { fastFiles, full as fullFiles, longest } from "./_tiers.ts";

const flags = process.argv.slice(2).filter((a) => a.startsWith("-"));
const files = process.argv.slice(2).filter((a) => !a.startsWith("-"));
const unknown = flags.find((flag) => !["--bun", "--fast", "--full"].includes(flag));
const fast = flags.includes("--fast"), bun = flags.includes("--bun"), full = flags.includes("--full");
if (unknown !== undefined || (fast && (full || files.length > 0))) {
  const wrong = unknown === undefined
    ? "--fast names its files itself: it goes with --bun alone"
    : `Unknown option ${unknown}: expected --fast, --bun or --full`;
  process.stderr.write(`test: ${wrong}\n`);
  process.exit(2);
}

/** How a command ended, and what it said on both streams. */
interface Ended {
  readonly code: number;
  readonly text: string;
  readonly signal: string | null;
}

/** Seconds that a file may take. */
const LONGEST = 1800;

/** What Deno says when all tests of a file have passed. */
const WHOLE = /\nok \| \d+ passed[^\n]*\| 0 failed/;

function run(command: string, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const env = {
      // A Vulkan loader without this variable prints an error line a process.
      XDG_RUNTIME_DIR: "/tmp",
      // Files run side by side; what several threads do has tests of its own.
      AFT_THREADS: "1",
      ...process.env,
      NO_COLOR: "1",
      ...(full && {
        AFT_FUZZ_MUTANTS: process.env.AFT_FUZZ_MUTANTS ?? "1000",
        AFT_KILLS: process.env.AFT_KILLS ?? "10",
      }),
    };
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env });
    let text = "", done = false;
    const stop = (after: number, signal: NodeJS.Signals) =>
      setTimeout(() => child.kill(signal), 1000 * after);
    const timers = [stop(LONGEST, "SIGKILL")];
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        // What follows is the end of the process, which the Vulkan driver may hang as well as abort.
        if (!done && (done = WHOLE.test(text))) timers.push(stop(30, "SIGABRT"));
      });
    }
    const end = (ended: Ended) => {
      for (const timer of timers) clearTimeout(timer);
      resolve(ended);
    };
    child.on("error", (error) => end({ code: 1, text: `${error}\n`, signal: null }));
    child.on("close", (code, signal) => end({ code: code ?? 1, text, signal }));
  });
}

/** What a run of one file says of itself. */
interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const numberIn = (text: string, pattern: RegExp) => Number(text.match(pattern)?.[1] ?? 0);

/** A runtime that runs files of tests. */
interface Runtime {
  readonly name: string;
  readonly run: (file: string) => Promise<Ended>;
  readonly counts: (text: string) => Counts;
}

const deno: Runtime = {
  name: "Deno",
  run: async (file) => {
    const whole = "tools/_whole_file.ts";
    const said = await run(process.execPath, ["test", "-A", "--no-check", whole, "--", file]);
    const ended = { ...said, text: said.text.replace(`from ./${whole}`, `from ./${file}`) };
    // Of files that ask for an adapter, and do nothing else, about one in fifteen ends so: the file's thread frees its
    // memory while the process already unloads the Vulkan driver. Every test has passed by then.
    const aborted = ended.signal === "SIGABRT" && WHOLE.test(ended.text);
    return aborted
      ? { ...ended, code: 0, text: `${ended.text}The process was aborted after its last test had passed\n` }
      : ended;
  },
  // `ok | 12 passed | 0 failed | 3 ignored (1s)`
  counts: (text) => ({
    passed: numberIn(text, /\| (\d+) passed/),
    failed: numberIn(text, /\| (\d+) failed/),
    skipped: numberIn(text, /\| (\d+) ignored/),
  }),
};

async function findBun(): Promise<Runtime> {
  const found = await run("npx", ["-y", "bun@1.4.5", "-p", "process.execPath"]);
  const path = found.text.trim().split("\n").at(-1)!;
  if (found.code !== 0) throw new Error(`Cannot run Bun: ${found.text}`);
  return {
    name: "Bun",
    run: (file) => run(path, ["test", "--timeout", "600000", `./${file}`]),
    counts: (text) => ({
      passed: numberIn(text, /^\s*(\d+) pass$/m),
      failed: numberIn(text, /^\s*(\d+) fail$/m),
      skipped: numberIn(text, /^\s*(\d+) skip$/m),
    }),
  };
}

/** Runs every file; the outputs come one after the other, as each is done. */
async function runAll(runtime: Runtime, targets: readonly string[]): Promise<Counts> {
  const waiting = [...longest.filter((file) => targets.includes(file))];
  waiting.push(...targets.filter((file) => !waiting.includes(file)));
  const total = { passed: 0, failed: 0, skipped: 0 }, bad: string[] = [];
  const one = async () => {
    for (let file; (file = waiting.shift()) !== undefined;) {
      const ended = await runtime.run(file), counts = runtime.counts(ended.text);
      process.stdout.write(ended.text);
      total.passed += counts.passed;
      total.failed += counts.failed;
      total.skipped += counts.skipped;
      if (ended.code === 0 && counts.failed === 0 && counts.passed + counts.skipped > 0) continue;
      // A file that cannot be loaded, or ends early, counts as a failure.
      if (counts.failed === 0) total.failed++;
      bad.push(`${file} (exit code ${ended.signal ?? ended.code})`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, one));
  for (const file of bad) process.stdout.write(`Failed under ${runtime.name}: ${file}\n`);
  return total;
}

const all = (readdirSync("test", { recursive: true }) as string[]).filter((f) => f.endsWith("_test.ts"))
  .sort()
  .map((f) => `test/${f.replaceAll("\\", "/")}`);
const usual = full ? all : all.filter((file) => !fullFiles.includes(file));
const isAt = (name: string) => (file: string) => file === name || file.startsWith(name.replace(/\/*$/, "/"));
const targets = files.length > 0
  ? all.filter((file) => files.some((name) => isAt(name)(file)))
  : fast
  ? fastFiles(all)
  : usual;
const missing = files.find((name) => !all.some(isAt(name)));
if (missing !== undefined) {
  process.stderr.write(`test: No test at ${missing}: expected a file or folder below test\n`);
  process.exit(2);
}
const runs: Counts[] = [];
if (!bun) runs.push(await runAll(deno, targets));
if (full || bun) runs.push(await runAll(await findBun(), targets));
const sum = (figure: keyof Counts) => runs.reduce((total, counts) => total + counts[figure], 0);
if (sum("skipped") > 0) {
  process.stdout.write(
    `${
      sum("skipped")
    } tests were skipped: WebGPU tests where there is no adapter, tests on real data where ../shared is missing\n`,
  );
}
process.stdout.write(`${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped\n`);
process.exit(sum("failed") > 0 || sum("passed") === 0 ? 1 : 0);
