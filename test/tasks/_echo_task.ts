/**
 * A small task that the tests of tasks/cli/run_task.ts run as a user would: it repeats its input lines, and fails, waits or
 * writes for ever when asked to.
 */

import { setTimeout as delay } from "node:timers/promises";
import { InputError } from "../../lib/runtime/errors.ts";
import { runTask } from "../../tasks/cli/run_task.ts";
import { preset, text, toggle } from "../../tasks/cli/option.ts";
import { pick } from "../../tasks/cli/shared_options.ts";

await runTask({
  name: "echo",
  summary: "Repeats its input",
  description: "Each line of the input is written as often as --samples says.",
  examples: [{ does: "Write every line twice", command: "echo hello | deno task echo -k 2" }],
  options: {
    ...pick("input", "output", "temperature", "topP", "maxTokens", "backend", "limit", "overwrite"),
    samples: preset(pick("samples").samples, 1, "Times to write each line"),
    prefix: preset(text("--prefix", { help: "What comes before each line" }), ">"),
    greet: toggle("--greet", { help: "Say hello before reading" }),
    fail: text("--fail", { metavar: "HOW", help: "input, defect, stray or late" }),
    endless: toggle("--endless", { help: "Write without end" }),
    wait: toggle("--wait", { help: "Write a line, then wait for the signal" }),
  },
  plan: (options) => Promise.resolve({ lines: options.samples * 2 }),
  run: async (options, io) => {
    if (options.fail === "input") {
      throw new InputError("Cannot read record 3 of x.jsonl:\nexpected an object");
    }
    if (options.fail === "defect") throw new TypeError("Broken");
    if (options.fail === "stray") {
      setTimeout(() => {
        throw new Error("Out of nowhere");
      }, 10);
      await delay(10_000);
    }
    io.listener.note(`from ${io.input.name}`);
    for (let i = 0; options.endless; i++) await io.output.writeRecord({ i, padding: "x".repeat(500) });
    if (options.wait) {
      await io.output.write("waiting");
      // Not only on the event: the signal may have come while the line was being written.
      while (!io.signal.aborted) await delay(10);
      return;
    }
    if (options.greet) await io.output.write("hello");
    const decoder = new TextDecoder();
    let waiting = "";
    for await (const chunk of io.input.bytes) {
      waiting += decoder.decode(chunk, { stream: true });
      const lines = waiting.split("\n");
      waiting = lines.pop() ?? "";
      for (const line of lines) {
        for (let i = 0; i < options.samples; i++) await io.output.write(options.prefix + line);
      }
    }
    if (options.fail === "late") throw new InputError("Cannot go on");
  },
});
