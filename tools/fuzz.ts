/**
 * Gives mutants of whole files to everything that reads files and replies from outside, and counts how each ended:
 * accepted, refused in one line, or badly: hung, larger than allowed, with a stack, in a line that is too long.
 *
 *   deno run -A tools/fuzz.ts                        200 mutants of each kind
 *   deno run -A tools/fuzz.ts --mutants 20000        many
 *   deno run -A tools/fuzz.ts --kinds config,jsonl --seed 3 --from 117 --mutants 1 --show
 *
 * Ends with 1 when anything ended badly. A mutant may take 10 seconds and twice its size and 200 MiB.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/** The ways in which a mutant can end. */
const outcomes = ["accepted", "refused", "hung", "large", "stack", "long"] as const;
type Outcome = typeof outcomes[number];
const bad: readonly Outcome[] = ["hung", "large", "stack", "long"];

const SECONDS = 10, MEBIBYTE = 2 ** 20, ROOM = 200 * MEBIBYTE;
/** Mutants a process: what one leaves behind must not count for the next for ever. */
const BATCH = 500;

const kindNames = [
  ..."safetensors index config tokenizer template adapter".split(" "),
  "adapter weights",
  "list in an object",
  ..."jsonl json gzip zstandard conversation csv parquet answers state hub judge served".split(" "),
];

const { values: options } = parseArgs({
  options: {
    mutants: { type: "string", default: "200" },
    kinds: { type: "string", default: kindNames.join(",") },
    seed: { type: "string", default: "1" },
    from: { type: "string", default: "0" },
    show: { type: "boolean", default: false },
  },
});

const child = fileURLToPath(new URL("./fuzz/child.ts", import.meta.url));

/** Resident bytes of a process; undefined where the system does not say. */
async function residentBytes(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/statm`, "utf8").catch(() => undefined);
  return text === undefined ? undefined : Number(text.split(" ")[1]) * 4096;
}

/** Runs mutants `from` to `to` in one process; returns the first that is still to do. */
async function batch(
  kind: string,
  { from, to, count }: {
    from: number;
    to: number;
    count: (i: number, outcome: Outcome, message: string) => void;
  },
): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "fuzz-"));
  const runner = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  const running = spawn(
    process.execPath,
    [...runner, child, kind, options.seed, `${from}`, `${to}`, folder],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, XDG_RUNTIME_DIR: "/tmp", OPENBLAS_NUM_THREADS: "1" },
    },
  );
  let current = from - 1, since = performance.now(), at = 0, limit = Infinity, ended = from;
  let verdict: Outcome | undefined, whole = false;
  const watch = setInterval(async () => {
    const resident = await residentBytes(running.pid!);
    if (resident !== undefined && at === 0) at = resident;
    if (verdict === undefined && current >= ended && performance.now() - since > SECONDS * 1000) {
      verdict = "hung";
    }
    if (verdict === undefined && current >= ended && resident !== undefined && resident > limit) {
      verdict = "large";
    }
    if (verdict !== undefined) running.kill("SIGKILL");
  }, 50);
  for await (const line of createInterface({ input: running.stdout })) {
    const { started, bytes, ended: i, outcome, message = "", done } = JSON.parse(line);
    whole ||= done;
    if (started !== undefined) {
      current = started;
      since = performance.now();
      limit = (await residentBytes(running.pid!) ?? Infinity) + 2 * bytes + ROOM;
    } else if (i !== undefined) {
      ended = i + 1;
      count(i, outcome, message);
    }
  }
  clearInterval(watch);
  await rm(folder, { recursive: true, force: true });
  if (!whole) {
    // It was ended, or it ended itself (out of memory) at the one that was started last.
    if (current < ended) throw new Error(`The process for ${kind} ended before mutant ${ended} began`);
    count(current, verdict ?? "large", verdict ?? "the process died");
    ended = current + 1;
  }
  return ended;
}

let failed = 0;
process.stdout.write(`${"".padEnd(16)}${outcomes.map((o) => o.padStart(10)).join("")}\n`);
for (const kind of options.kinds.split(",")) {
  const tally = new Map<Outcome, number>();
  const first = Number(options.from), last = first + Number(options.mutants);
  for (let next = first; next < last;) {
    next = await batch(kind, {
      from: next,
      to: Math.min(last, next + BATCH),
      count(i, outcome, message) {
        tally.set(outcome, (tally.get(outcome) ?? 0) + 1);
        const isBad = bad.includes(outcome);
        if (isBad) failed++;
        if (isBad || options.show) {
          process.stderr.write(`${kind} ${i}: ${outcome}: ${message.slice(0, 1200)}\n`);
        }
      },
    });
  }
  process.stdout.write(
    `${kind.padEnd(16)}${outcomes.map((o) => `${tally.get(o) ?? 0}`.padStart(10)).join("")}\n`,
  );
}
process.stdout.write(failed === 0 ? "Nothing ended badly\n" : `${failed} ended badly\n`);
process.exit(failed === 0 ? 0 : 1);
