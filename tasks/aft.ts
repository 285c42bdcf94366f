/**
 * One command with the tasks as sub-commands, for a package manager's `bin` and `deno install -g`.
 *
 *   aft align --limit 64
 *   aft generate --model runs/vft --data arithmetic -k 6
 */
import process from "node:process";
import manifest from "../package.json" with { type: "json" };
import { runtime } from "../lib/runtime/environment.ts";
import { suggestion } from "../lib/runtime/suggestion.ts";
import { InputError } from "../lib/runtime/errors.ts";
import { ClosedOutputError, writeError, writeOutput } from "../lib/runtime/stdio.ts";
import { calledAs } from "./cli/called_as.ts";
import { exitCodeOf } from "./cli/words.ts";
import { completionScript, shells } from "./cli/completion.ts";

/** Each sub-command: what it does, and the file that does it when it is imported. */
const commands: Readonly<Record<string, readonly [does: string, run: () => Promise<unknown>]>> = {
  align: ["All of Alignment Fine-Tuning, in one command", () => import("./align.ts")],
  vft: ["Train a model on reference chains of thought", () => import("./vft.ts")],
  generate: ["Sample several candidates per question", () => import("./generate.ts")],
  score: ["Mark candidates and add their log-probs", () => import("./score.ts")],
  "ca-align": ["Calibrate scores with an alignment objective", () => import("./ca_align.ts")],
  ask: ["Ask a model a question", () => import("./ask.ts")],
  evaluate: ["Measure a model", () => import("./evaluate.ts")],
  study: ["Run the paper's experiments and compare the methods", () => import("./study.ts")],
  table: ["Join the results of several align runs", () => import("./table.ts")],
  data: ["Print a data set as JSONL", () => import("./data.ts")],
  merge: ["Merge a LoRA adapter into its base", () => import("./merge.ts")],
  "merge-shards": ["Join the shards of generate, score or evaluate", () => import("./merge_shards.ts")],
  doctor: ["Say what this machine has", () => import("./doctor.ts")],
};

const width = Math.max(...Object.keys(commands).map((name) => name.length));
const page = `Alignment Fine-Tuning of causal language models, on any GPU or none

Usage: aft COMMAND [OPTION...]

Commands:
${Object.entries(commands).map(([name, [does]]) => `  ${name.padEnd(width)}  ${does}`).join("\n")}

  aft COMMAND --help   What a command takes, with examples
  aft --version        Versions of this project and the runtime
  aft completion SHELL Completion for ${shells.join(", ")}

Example:
  aft align                  The whole method on an embedded model and data set
`;

/** What could stand in place of the last word: sub-commands, or what the sub-command's own parser suggests. */
async function complete([name = "", ...words]: readonly string[]): Promise<void> {
  if (words.length === 0) {
    const known = [...Object.keys(commands), "completion"].filter((word) => word.startsWith(name));
    return await writeOutput(known.map((word) => `${word}\n`).join(""));
  }
  const command = commands[name];
  if (!command) return;
  process.argv.splice(2, Infinity, "--completion", "bash", ...words);
  await command[1]();
}

const [name, ...words] = process.argv.slice(2);
const fail = (line: string) => {
  writeError(`aft: ${line}`);
  process.exit(2);
};
calledAs("aft");
/** Writes a page, and ends the process where it cannot be written. */
const show = async (text: string) => {
  try {
    await writeOutput(text);
  } catch (error) {
    if (error instanceof ClosedOutputError) process.exit(0);
    if (!(error instanceof InputError)) throw error;
    writeError(`aft: ${error.message}`);
    process.exit(exitCodeOf(error));
  }
};
if (name === undefined || name === "--help" || name === "-h" || name === "help") await show(page);
else if (name === "--version") {
  const { name: host, version } = runtime();
  await show(`${manifest.name} ${manifest.version} (${host} ${version})\n`);
} else if (name === "completion") {
  const script = completionScript(words[0] ?? "");
  if (script === undefined) {
    fail(`Shell must be one of ${shells.join(", ")}: got ${JSON.stringify(words[0] ?? "nothing")}`);
  } else await show(script);
} else if (name === "complete") await complete(words);
else if (Object.hasOwn(commands, name)) {
  process.argv.splice(2, 1);
  await commands[name]![1]();
} else {
  fail(`Unknown command ${JSON.stringify(name)}${suggestion(name, Object.keys(commands))}; see aft --help`);
}
