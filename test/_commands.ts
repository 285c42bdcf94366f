/** Tasks run as a user runs them: as processes of the runtime that runs the test, with both streams and the exit code. */

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after } from "node:test";
import { fileURLToPath } from "node:url";

/** The repository. */
export const root: string = fileURLToPath(new URL("..", import.meta.url));

/** The embedded model, as a user names it. */
export const base = "fixtures/base";

/** How a process ended and what it said. */
export interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** How to run a task. */
export interface RunOptions {
  /** What to write to its standard input before closing it. */
  readonly input?: string;
  /** Called with all of standard output so far, whenever more comes. */
  readonly onOutput?: (child: ReturnType<typeof spawn>, out: string) => void;
  /** Called once, with the process. */
  readonly onStart?: (child: ReturnType<typeof spawn>) => void;
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds after which it is killed (default 170,000). */
  readonly timeout?: number;
}

const deno = "Deno" in globalThis;

/** A text of a task's, which names commands as one calls them under this runtime. */
export function asSaid(text: string): string {
  return deno ? text : text.replaceAll("deno task", "bun run");
}

/** The words before a task's own arguments. */
export function commandOf(task: string): string[] {
  const folder = ["make-base", "gpu-report"].includes(task) ? "tools" : "tasks";
  const file = task.endsWith(".ts") ? task : `${folder}/${task.replaceAll("-", "_")}.ts`;
  return [
    process.execPath,
    ...deno ? ["run", "-A", "--no-check", "--config", join(root, "deno.json")] : [],
    file,
  ];
}

/**
 * Lines on standard error that are not the task's: Dawn's (Bun computes with it) about software adapters, and Deno's
 * when processes that start together look at node_modules, or when it looks up a package that it has not seen yet.
 */
const foreign = /^(Warning: maxDynamic|Blocking waiting for file lock|Download https?:).*\n/gm;

/** Runs a task, or a script, in the repository. */
export function run(task: string, args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const [command, ...leading] = commandOf(task);
  return program(command, [...leading, ...args], options);
}

/** Runs a line of shell in the repository; `pipefail` is on, and each `@TASK` stands for that task's command. */
export function shell(line: string, options: RunOptions = {}): Promise<Result> {
  const script = line.replace(/@([a-z-]+)/g, (_, task) => commandOf(task).join(" "));
  return program("bash", ["-o", "pipefail", "-c", script], options);
}

/** Runs any program in the repository, as tasks are run. */
export function program(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Result> {
  const { input = "", onOutput, onStart, env, timeout = 170_000 } = options;
  const child = spawn(command, args, {
    cwd: root,
    // A Vulkan loader without XDG_RUNTIME_DIR prints a line of its own.
    // Several processes whose BLAS threads wait by spinning starve each other on a few cores: 2 s became 40.
    env: {
      XDG_RUNTIME_DIR: tmpdir(),
      OPENBLAS_NUM_THREADS: "1",
      AFT_THREADS: "1", // tests run two at a time; what several threads do has tests of its own
      ...process.env,
      NO_COLOR: "1",
      COLUMNS: "80",
      ...env,
    },
    timeout,
    killSignal: "SIGKILL",
  });
  onStart?.(child);
  let out = "", err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    onOutput?.(child, out);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => err += text);
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err: err.replace(foreign, "") }));
  });
}

const folder = mkdtempSync(join(tmpdir(), "tasks-test-"));
const removeFolder = () => rmSync(folder, { recursive: true, force: true });
// Deno has this module once a test file, Bun once for all of them: there the folder comes and goes, and each file of
// tests has a part of it, so that two may use one name.
after(removeFolder);
process.on("exit", removeFolder);

/** A path in a temporary folder of the calling file of tests, which is removed when the tests are done. */
export function at(name: string): string {
  const [, caller = "any"] = new Error().stack?.match(/\/test\/([\w/]+)_test\.ts/) ?? [];
  const own = join(folder, caller.replaceAll("/", "-"));
  mkdirSync(own, { recursive: true });
  return join(own, name);
}

/** Writes a file there: a text, or values as JSONL. Returns its path. */
export function write(name: string, content: string | readonly unknown[]): string {
  const path = at(name);
  writeFileSync(path, typeof content === "string" ? content : lines(content));
  return path;
}

/** Values as JSONL. */
export function lines(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join("");
}

/** The values of JSONL. Throws unless each line is whole. */
// deno-lint-ignore no-explicit-any -- tests check what they read by using it
export function records(text: string): any[] {
  if (text !== "" && !text.endsWith("\n")) throw new Error(`Output ends within a line: ${text.slice(-80)}`);
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** Sends a signal to a process, if it is still there. Deno's own `kill` of a child hides the code with which it ends. */
export function send(
  child: ReturnType<typeof spawn>,
  signal: "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGKILL",
): boolean {
  try {
    return process.kill(child.pid!, signal);
  } catch {
    return false;
  }
}

/** Runs both at a time, as many as there are cores to keep busy; results come in order. */
export async function inPairs<T, R>(items: readonly T[], body: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let i = 0; i < items.length; i += 2) {
    results.push(...await Promise.all(items.slice(i, i + 2).map(body)));
  }
  return results;
}
