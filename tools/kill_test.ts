/**
 * Kills whole commands at random moments, goes on as a user would, and compares the bytes that come out with those of a run
 * that nobody disturbed.
 *
 *   deno task kill-test                      5 moments of each command, and of each stage of align
 *   deno task kill-test --kills 50           as many as docs/reliability.md tells of
 *   deno task kill-test --only align --seed 3
 *
 * A run of align is killed once in each of its stages, and goes on each time; every other run goes on twice each time, and the
 * first of the two is killed anywhere. A run whose bytes are others counts as lost in all stages that it was killed in.
 *
 * Ends with 1 when anything was lost: other bytes, or a command that could not go on.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Random } from "../lib/data/random.ts";
import { type Case, killCases } from "./kill/cases.ts";

const { values: options } = parseArgs({
  options: {
    kills: { type: "string", default: "5" },
    only: { type: "string", default: "vft,ca-align,generate,score,align,align-from-vft" },
    seed: { type: "string", default: "1" },
  },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "kill-test-"));
const { grouped, scored, cases } = killCases(folder);
const deno = "Deno" in globalThis;

/** How a command ended. The code is null of one that was killed. */
interface Ended {
  readonly code: number | null;
  readonly err: string;
  readonly out: string;
  readonly took: number;
}

/** Runs a task; `watch` may kill it, and returns what ends the watching. */
function run(
  task: string,
  args: readonly string[],
  watch: (kill: () => void) => () => void = () => () => {},
): Promise<Ended> {
  const file = `tasks/${task.replaceAll("-", "_")}.ts`, began = performance.now();
  const child = spawn(process.execPath, [...deno ? ["run", "-A", "--no-check"] : [], file, ...args], {
    cwd: root,
    env: { XDG_RUNTIME_DIR: "/tmp", OPENBLAS_NUM_THREADS: "1", ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let err = "", out = "";
  child.stderr.on("data", (text) => err += text);
  child.stdout.on("data", (text) => out += text);
  const unwatch = watch(() => child.kill("SIGKILL"));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      unwatch();
      resolve({ code, err, out, took: performance.now() - began });
    });
  });
}

/** Kills after so many milliseconds. */
function after(milliseconds: number): (kill: () => void) => () => void {
  return (kill) => {
    const timer = setTimeout(kill, milliseconds);
    return () => clearTimeout(timer);
  };
}

/** Looks every 5 ms where a run stands, and says so with the milliseconds since it began. */
function looking(
  stage: () => string,
  see: (stage: string, at: number, kill: () => void) => void,
): (kill: () => void) => () => void {
  return (kill) => {
    const began = performance.now();
    const timer = setInterval(() => see(stage(), performance.now() - began, kill), 5);
    return () => clearInterval(timer);
  };
}

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
/** Of each place: how often a run was killed there, and in how many of these it gave the same bytes in the end. */
type Tally = Map<string, { tried: number; same: number }>;

/** Holds what a run came to against a whole one, and counts it for the places in which it was killed. */
function count(
  tally: Tally,
  { name, kill, path, places, ended, expected }: {
    name: string;
    kill: number;
    path: string;
    places: readonly string[];
    ended: Ended;
    expected: string;
  },
): void {
  const same = ended.code === 0 && digestOf(path) === expected && !existsSync(`${path}.partial`);
  const left = readdirSync(folder).filter((entry) =>
    entry.includes(`${name}-${kill}.`) && (entry.startsWith(".") || entry.endsWith(".lock"))
  );
  const fine = same && left.length === 0;
  for (const place of places) {
    const row = tally.get(place) ?? { tried: 0, same: 0 };
    tally.set(place, { tried: row.tried + 1, same: row.same + Number(fine) });
  }
  if (fine) return rmSync(path, { recursive: true, force: true });
  lost++;
  const why = ended.code === 0 ? `other bytes, or ${left}` : ended.err.trim();
  process.stderr.write(`${places.join(", ")}, kill ${kill}: ${why}\n`);
}

/** Kills each run once, at a moment of the whole of it, and every other one once more while it goes on. */
async function killAnywhere(name: string, one: Case, random: Random): Promise<Tally> {
  const whole = join(folder, `${name}-whole`), tally: Tally = new Map();
  const reference = await run(one.task, [...one.args, one.to, whole]);
  if (reference.code !== 0) throw new Error(`${name}: ${reference.err}`);
  const expected = digestOf(whole), moment = () => after(random.next() * reference.took);
  for (let kill = 0; kill < Number(options.kills); kill++) {
    const path = join(folder, `${name}-${kill}`), words = [...one.args, one.to, path];
    let ended = await run(one.task, words, moment());
    const killed = ended.code !== 0;
    if (killed && kill % 2 === 1) {
      ended = await run(one.task, [...words, ...await again(one, path)], moment());
    }
    if (ended.code !== 0) ended = await run(one.task, [...words, ...await again(one, path)]);
    count(tally, { name, kill, path, places: [killed ? name : `${name} not killed`], ended, expected });
  }
  return tally;
}

/**
 * Kills each run once in each of its stages, at a moment of that stage, until each was met as often as asked for: a stage can
 * be over before its moment comes, and one that was met often enough is left alone.
 */
async function killEachStage(name: string, one: Case, random: Random): Promise<Tally> {
  const whole = join(folder, `${name}-whole`), tally: Tally = new Map(), kills = Number(options.kills);
  const begins = new Map<string, number>(), wholeStage = () => one.stage!(whole);
  const watch = looking(wholeStage, (stage, at) => {
    if (!begins.has(stage)) begins.set(stage, begins.size === 0 ? 0 : at);
  });
  const reference = await run(one.task, [...one.args, one.to, whole], watch);
  if (reference.code !== 0) throw new Error(`${name}: ${reference.err}`);
  const expected = digestOf(whole), from = [...begins];
  if (wholeStage() !== "the end" || !begins.has("measuring")) {
    throw new Error(`${name} makes other things than it is said to: a whole run stands at "${wholeStage()}"`);
  }
  const length = new Map(
    from.map(([stage, at], i) => [stage, (from[i + 1]?.[1] ?? reference.took) - at]),
  );
  const met = (stage: string) => (tally.get(`${name} ${stage}`)?.tried ?? 0) >= kills;
  for (let kill = 0; kill < 4 * kills && ![...length.keys()].every(met); kill++) {
    const path = join(folder, `${name}-${kill}`), words = [...one.args, one.to, path];
    const draws = new Map([...length].map(([stage, ms]) => [stage, random.next() * ms]));
    const places: string[] = [], since = new Map<string, number>();
    const done = new Set([...length.keys()].filter(met));
    let ended: Ended;
    do {
      let last: string | undefined;
      ended = await run(
        one.task,
        [...words, ...await again(one, path)],
        looking(() => one.stage!(path), (stage, at, end) => {
          // The first stage that is seen begins with the command.
          if (!since.has(stage)) since.set(stage, since.size === 0 ? 0 : at);
          if (done.has(stage) || !draws.has(stage) || last !== undefined) return;
          if (at - since.get(stage)! < draws.get(stage)!) return;
          last = stage;
          end();
        }),
      );
      if (ended.code !== 0 && last === undefined) break; // it failed by itself
      if (last !== undefined) {
        if (ended.code !== 0) places.push(`${name} ${last}`);
        done.add(last);
        for (const stage of since.keys()) done.add(stage); // those that were over before their moment
        if (kill % 2 === 1 && ended.code !== 0) {
          const more = [...words, ...await again(one, path)];
          ended = await run(one.task, more, after(random.next() * reference.took));
        }
      }
    } while (ended.code === null);
    count(tally, { name, kill, path, places, ended, expected });
  }
  return tally;
}

process.stdout.write(
  `${"killed in".padEnd(26)}${["tried", "identical", "lost"].map((word) => word.padStart(10)).join("")}\n`,
);
const made = await run("score", ["--input", grouped, "--output", scored, "--quiet"]);
if (made.code !== 0) throw new Error(made.err);
for (const name of options.only.split(",")) {
  const one = cases[name];
  if (!one) throw new Error(`--only must be of ${Object.keys(cases).join(", ")}: got ${name}`);
  const random = new Random(Number(options.seed), { stream: name });
  for (
    const [place, { tried, same }] of await (one.stage ? killEachStage : killAnywhere)(name, one, random)
  ) {
    process.stdout.write(
      `${place.padEnd(26)}${[tried, same, tried - same].map((n) => `${n}`.padStart(10)).join("")}\n`,
    );
  }
}
if (lost === 0) rmSync(folder, { recursive: true, force: true });
process.stdout.write(lost === 0 ? "Nothing was lost\n" : `${lost} lost; see ${folder}\n`);
process.exit(lost === 0 ? 0 : 1);
