/** Uses the mutants FROM to TO of a target, and says how each ended: `fuzz.ts` starts and watches it. */

import { mkdir } from "node:fs/promises";
import process from "node:process";
import { Random } from "../../lib/data/random.ts";
import { InputError } from "../../lib/runtime/errors.ts";
import { threadsLeftAtWork } from "../../lib/runtime/sync_worker.ts";
import { mutant } from "./mutate.ts";
import { targets } from "./targets.ts";

const [kind = "", seed = "0", from = "0", to = "0", folder = ""] = process.argv.slice(2);
const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);
await mkdir(folder, { recursive: true });
const target = await targets[kind]!(folder);
await target.use(target.original); // a target that refuses the whole file would call every mutant a success

/** What an error of one line may hold. */
const LONGEST = 400;

// What a thread of one mutant that cannot be stopped takes must not count for the next: a new process goes on.
for (let i = Number(from); i < Number(to) && threadsLeftAtWork() === 0; i++) {
  const bytes = mutant(target.original, new Random(Number(seed), { stream: `${kind}-${i}` }));
  say({ started: i, bytes: bytes.length });
  try {
    await target.use(bytes);
    say({ ended: i, outcome: "accepted" });
  } catch (error) {
    const { message = String(error), stack } = error as Error;
    const fine = error instanceof InputError && !/\n/.test(message);
    say({
      ended: i,
      outcome: !fine ? "stack" : message.length > LONGEST ? "long" : "refused",
      message: fine ? message : stack ?? message,
    });
  }
}
say({ done: true });
process.exit(0);
