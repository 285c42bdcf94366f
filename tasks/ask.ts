/**
 * Asks a model something: one question, or a small chat in a terminal.
 *
 *   deno task ask --model runs/vft "Ann has 2 pens. She buys 3 more. How many pens does she have?"
 */
import { createInterface } from "node:readline/promises";
import process from "node:process";
import { loadModel } from "../lib/model/load_model.ts";
import { memoryCheck } from "../lib/model/needs.ts";
import { Conversation } from "../lib/pipeline/conversation.ts";
import { UsageError } from "../lib/runtime/errors.ts";
import { isTerminal, writeError, writeOutput, writeOutputText } from "../lib/runtime/stdio.ts";
import { planMemory } from "./cli/memory_plan.ts";
import { integer, number, preset, required } from "./cli/option.ts";
import { promptOptions, promptsOf } from "./cli/records.ts";
import { runTask } from "./cli/run_task.ts";
import { pick, shared } from "./cli/shared_options.ts";

await runTask({
  name: "ask",
  summary: "Ask a model a question",
  description:
    "The question is the words behind the options, or standard input. In a terminal, without words, it asks for one " +
    "question after the other; a model with a chat template then knows what was said before. Answers go to standard " +
    "output as they come; with -k, several with their scores (mean log-prob per token), the likeliest first.",
  examples: [
    {
      does: "One question",
      command:
        'deno task ask --model runs/vft "Ann has 2 pens. She buys 3 more. How many pens does she have?"',
    },
    { does: "Three answers, with scores", command: 'deno task ask --model runs/vft -k 3 "What is 2 + 3?"' },
    {
      does: "A question in a file",
      command: "deno task ask --model Qwen/Qwen2.5-0.5B-Instruct < question.txt",
    },
    { does: "A chat", command: "deno task ask --model Qwen/Qwen2.5-0.5B-Instruct" },
  ],
  words: { metavar: "QUESTION", help: "What to ask; otherwise standard input" },
  options: {
    model: required(shared.model),
    ...pick("adapter", "baseDtype", "unknownTensors"),
    samples: preset(integer("--samples", { short: "-k", help: "Answers to each question" }), 1),
    temperature: number("--temperature", {
      min: 0,
      help: "Sampling temperature; 0 takes the likeliest token; default: 0 for one answer, 1 for several",
    }),
    ...pick("topK", "topP", "maxTokens", "seed", "backend"),
    ...promptOptions,
  },
  plan: (options) => planMemory("generate", options),
  async run(options, io) {
    const { model: directory, adapter, baseDtype, backend, unknownTensors: unknown } = options;
    const { samples, temperature, topK, topP, maxTokens, seed } = options, { listener, signal, words } = io;
    const prompt = await promptsOf(options), chatting = words.length === 0 && isTerminal("input");
    // Before a model is loaded: there is a question.
    const piped = words.length > 0 || chatting ? words.join(" ") : await allOf(io.input.bytes);
    if (!chatting && piped.trim() === "") throw new UsageError("Missing QUESTION: see --help");
    using model = await loadModel(directory, {
      ...{ adapter, baseDtype, backend, unknown, signal },
      check: memoryCheck("generate", options),
      listener: { ...listener, note: undefined },
    });
    const writes: Promise<void>[] = [];
    const talk = new Conversation(model, {
      ...{ samples, temperature, topK, topP, maxTokens, seed, prompt, listener, signal },
      // A reader that went away ends the task when the answer is whole.
      heard: (piece) => void writes.push(writeOutputText(piece)),
    });
    const answer = async (question: string) => {
      const candidates = await talk.ask(question);
      if (samples === 1) await writeOutput("\n");
      else {
        for (const { score, text, finish } of candidates) {
          await writeOutputText(
            `score ${score?.toFixed(3)}${finish === "length" ? ", broke off" : ""}\n${text}\n\n`,
          );
        }
      }
      await Promise.all(writes.splice(0));
      if (samples === 1 && candidates[0]?.finish === "length") {
        listener.note(`The answer broke off at its length limit; option \`maxTokens\` sets it`);
      }
    };
    if (!chatting) return await answer(piped.trim());
    writeError(`${talk.remembers ? "/new forgets what was said; " : ""}Ctrl-D ends`);
    const terminal = createInterface({ input: process.stdin, output: process.stderr, prompt: "> " });
    const close = () => terminal.close();
    signal.addEventListener("abort", close);
    try {
      terminal.prompt();
      for await (const line of terminal) {
        if (line.trim() === "/new") talk.forget();
        else if (line.trim() !== "") await answer(line.trim());
        signal.throwIfAborted();
        terminal.prompt();
      }
    } finally {
      close();
    }
    writeError("");
  },
});

async function allOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of bytes) parts.push(part);
  return await new Blob(parts as BlobPart[]).text();
}
