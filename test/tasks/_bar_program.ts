/** A program of a pipe: passes lines on, shows a bar, warns of every fifth line. */
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { writeError, writeOutput } from "../../lib/runtime/stdio.ts";
import { createProgress } from "../../tasks/cli/progress.ts";

const [name = "", milliseconds = "0"] = process.argv.slice(2);
const progress = createProgress(name, { total: 20 });
let count = 0;
for await (const line of createInterface({ input: process.stdin })) {
  await delay(Number(milliseconds));
  if (count % 5 === 4) writeError(`${name}: warning ${count + 1}: ${"a long word and ".repeat(8)}the end`);
  await writeOutput(`${line}\n`);
  progress.update(++count, { loss: 1 / count });
}
progress.stop();
writeError(`${name}: done`);
process.exit(0);
