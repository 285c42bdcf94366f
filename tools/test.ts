/**
 * Runs the tests and ends with the plain line `N passed, N failed, N skipped`.
 *
 *   deno task test:fast            what one runs while working: under a minute (tools/_tiers.ts)
 *   deno task test [FILE ...]      under Deno
 *   deno task test --bun           under Bun alone
 *   deno task test:full            under Deno, then under Bun; also what asks the package registry
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import process from "node:process";
import { fastFiles, full as fullFiles } from "./_tiers.ts";

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

/** How a command ended, and what it said. */
interface Ended {
  readonly code: number;
  readonly text: string;
  readonly signal?: string | null;
}

/** Runs a command, and passes its output on: at once, or when it has ended. */
function run(command: string, args: readonly string[], later = false): Promise<Ended> {
  return new Promise((resolve) => {
    // A Vulkan loader without this variable prints an error line a process.
    const env = {
      XDG_RUNTIME_DIR: "/tmp",
      ...process.env,
      NO_COLOR: "1",
      ...(full && {
        AFT_FUZZ_MUTANTS: process.env.AFT_FUZZ_MUTANTS ?? "1000",
        AFT_KILLS: process.env.AFT_KILLS ?? "10",
      }),
    };
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        text += chunk;
        if (!later) process.stdout.write(chunk);
      });
    }
    child.on("error", (error) => resolve({ code: 1, text: `${error}` }));
    child.on("close", (code, signal) => resolve({ code: code ?? 1, text, signal }));
  });
}

let passed = 0, failed = 0, skipped = 0, code = 0;

/** Counts what a run under Deno says of itself: `ok | 12 passed | 0 failed | 3 ignored (1s)`. */
function countDeno(result: Ended): void {
  const [, p = "0", f = "0"] = result.text.match(/\| (\d+) passed(?: \([^)]*\))? \| (\d+) failed/) ?? [];
  passed += Number(p);
  failed += Number(f);
  skipped += Number(result.text.match(/\| (\d+) ignored/)?.[1] ?? 0);
  // Of a run of several files that ask for an adapter, and do nothing else, about one in fifteen ends so: the last file's
  // thread frees its memory while the process already unloads the Vulkan driver. Every test has passed by then.
  const ended = /\nok \| \d+ passed[^\n]*\| 0 failed/.test(result.text) && result.signal === "SIGABRT";
  if (ended) process.stdout.write("The process was aborted after its last test had passed\n");
  else code ||= result.code;
}

const all = (readdirSync("test", { recursive: true }) as string[]).filter((f) => f.endsWith("_test.ts"))
  .sort()
  .map((f) => `test/${f.replaceAll("\\", "/")}`);
const usual = full ? all : all.filter((file) => !fullFiles.includes(file));
const targets = files.length > 0 ? files : fast ? fastFiles(all) : usual;
if (!bun) {
  // Whoever waits for the fast ones has two cores: two processes, since a test may change its process's environment.
  const parts = fast ? [0, 1].map((part) => targets.filter((_, i) => i % 2 === part)) : [targets];
  const runs = parts.map((part, i) => run(process.execPath, ["test", "-A", "--no-check", ...part], i > 0));
  for (const [i, result] of (await Promise.all(runs)).entries()) {
    if (i > 0) process.stdout.write(result.text);
    countDeno(result);
  }
}
if (full || bun) {
  const result = await run("npx", [
    "-y",
    "bun@1.4.5",
    "test",
    "--timeout",
    "600000",
    ...targets.map((f) => `./${f}`),
  ]);
  passed += Number(result.text.match(/^\s*(\d+) pass$/m)?.[1] ?? 0);
  failed += Number(result.text.match(/^\s*(\d+) fail$/m)?.[1] ?? 0);
  skipped += Number(result.text.match(/^\s*(\d+) skip$/m)?.[1] ?? 0);
  code ||= result.code;
}
if (skipped > 0) {
  process.stdout.write(
    `${skipped} tests were skipped: WebGPU tests where there is no adapter, tests on real data where ../shared is missing\n`,
  );
}
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
process.exit(code !== 0 || failed > 0 || passed === 0 ? 1 : 0);
