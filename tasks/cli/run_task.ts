/**
 * Runs a task as a command: options in, streams connected, errors as one line, exit codes.
 *
 * | exit code | |
 * |---|---|
 * | 0 | done, or the reader of standard output went away |
 * | 1 | failed |
 * | 2 | wrong options or configuration |
 * | 130 | interrupted |
 */

import process from "node:process";
import { inspect } from "node:util";
import manifest from "../../package.json" with { type: "json" };
import { runtime } from "../../lib/runtime/environment.ts";
import { useThreads } from "../../lib/backend/threads.ts";
import { useGpu } from "../../lib/runtime/gpu.ts";
import { InputError } from "../../lib/runtime/errors.ts";
import { alone, launched, type World } from "../../lib/runtime/world.ts";
import { InterruptedError, interruptedExitCode, watchInterrupts } from "../../lib/runtime/signals.ts";
import {
  ClosedOutputError,
  columns,
  endStatusLine,
  useColor,
  writeError,
  writeOutput,
} from "../../lib/runtime/stdio.ts";
import { type EndingOutput, FinishedOutput, openOutput, type TaskInput, type TaskOutput } from "./streams.ts";
import { createListener, type ShownListener } from "./listener.ts";
import { hasToSay, joinRanks, noOutput, openInputOfAll } from "./ranks.ts";
import { exitCodeOf, inWords } from "./words.ts";
import type { Options, Values } from "./option.ts";
import { readConfiguration } from "./configuration_file.ts";
import type { TaskConfiguration } from "./task_configuration.ts";
import { parseCommandLine, resolve, toConfiguration, type Words } from "./command_line.ts";
import { common, lasting } from "./shared_options.ts";

/** What every task is given beside its options. */
export interface TaskIo {
  /** Records to read: `--input`, or standard input. */
  readonly input: TaskInput;
  /** Records to write: `--output`, or standard output. */
  readonly output: TaskOutput;
  /** Shows notes, warnings, details and progress on standard error, as `--quiet` and `--debug` say. */
  readonly listener: Omit<ShownListener, typeof Symbol.dispose>;
  /** The words beside the options, where the task takes some. */
  readonly words: readonly string[];
  /** Aborts when the user interrupts the task or the reader of its output goes away. */
  readonly signal: AbortSignal;
  /** The processes that do the task together, which were asked for the same. */
  readonly world: World;
  /** The resolved configuration, as `--dry-run` prints it and a run directory keeps it. */
  readonly configuration: TaskConfiguration;
}

/** The options of every task: `config`, `dryRun`, `quiet`, `debug`, `threads`, `gpu`, `profile`. */
export type CommonValues = Values<typeof common>;

/** A task: what a file in `tasks/` declares. */
export interface Task<O extends Options> {
  /** The word after `deno task`. */
  readonly name: string;
  /** One line: what it does. */
  readonly summary: string;
  /** What a reader of `--help` should know beyond that. */
  readonly description?: string;
  /** Complete commands, each with what it does. */
  readonly examples: readonly { readonly does: string; readonly command: string }[];
  /** What the words beside the options are, where it takes some. */
  readonly words?: Words;
  /** The options it takes, beside those of every task. */
  readonly options: O;
  /** Whether its records are another task's input, which is told where they end early by an error (default false). */
  readonly feeds?: boolean;
  /**
   * What `--resume` goes on with in what an earlier run left of `--output` (default nothing): records, which must have been asked
   * for in the same way, or the metrics of a run that compares that itself.
   */
  readonly resumes?: "records" | "metrics";
  /** Whether the work goes on when the reader of standard output goes away: what it makes is elsewhere (default false). */
  readonly outlivesOutput?: boolean;
  /**
   * Whether several processes that a launcher started do it together (default false: they are refused). Then `io.world`
   * joins them; rank 0 alone has an output, a listener that shows something and its input, which comes to all (true), or to
   * none, since rank 0 deals what it reads ("dealt").
   */
  readonly together?: boolean | "dealt";
  /** Does the work. */
  readonly run: (options: Values<O> & CommonValues, io: TaskIo) => Promise<void>;
  /** What `--dry-run` prints beside the configuration, such as the memory needed. Reads and writes nothing else. */
  readonly plan?: (options: Values<O> & CommonValues) => Promise<Readonly<Record<string, unknown>>>;
}

/** Milliseconds that a launcher has to pass on what a rank said last. */
const LAST_WORDS = 500;

/** Runs `task` with the process's arguments and streams, and ends the process. */
export async function runTask<const O extends Options>(task: Task<O>): Promise<never> {
  // An error outside the chain of promises (a GPU callback, say) ends the task like any other.
  const stray = new Promise<never>((_, reject) => {
    process.on("uncaughtException", reject);
    process.on("unhandledRejection", reject);
  });
  const state: TaskState = { debug: process.argv.includes("--debug"), world: alone };
  const interrupts = watchInterrupts().signal;
  const work = execute(task, interrupts, state);
  const code = await Promise.race([work, stray]).then(() => 0, async (error) => {
    const { world } = state, rank = world.size > 1 ? world.rank : launched()?.rank ?? 0;
    const says = await hasToSay(rank, interrupts);
    const { code, line } = report(rank === 0 ? task.name : `${task.name}: rank ${rank}`, error, {
      debug: state.debug,
      says,
    });
    if (code !== 0 && task.feeds) await state.output?.fail(line);
    return code;
  });
  endStatusLine();
  if (code === 0) await state.world[Symbol.asyncDispose]();
  else if (state.world.size > 1) {
    // What is said goes through the launcher, and MPICH's throws away what it has not read when the job is aborted.
    await new Promise((resolve) => setTimeout(resolve, LAST_WORDS));
    state.world.abort(code); // the others wait for this rank, and would for ever
  }
  // Open handles (standard input, a GPU) would keep some runtimes alive.
  process.exit(code);
}

/** What is known of a task while it runs. */
interface TaskState {
  debug: boolean;
  world: World;
  output?: EndingOutput;
}

async function execute<O extends Options>(
  task: Task<O>,
  interrupted: AbortSignal,
  state: TaskState,
): Promise<void> {
  const { name: host, version: hostVersion } = runtime();
  const command = parseCommandLine(process.argv.slice(2), { ...task.options, ...common }, {
    ...task,
    version: `${manifest.name} ${manifest.version} (${host} ${hostVersion})`,
    colors: useColor("output"),
    width: Math.max(60, Math.min(columns("output"), 100)),
  });
  if ("page" in command) return await writeOutput(command.page);

  const kept = { ...task.options, ...lasting };
  const file = typeof command.given.config === "string"
    ? await readConfiguration(command.given.config, { task: task.name, options: kept })
    : {};
  const options = resolve({ ...task.options, ...common }, command.given, file) as Values<O> & CommonValues;
  state.debug ||= options.debug;
  if (options.threads !== undefined) useThreads(options.threads);
  if (options.gpu !== undefined) useGpu(options.gpu);
  const configuration: TaskConfiguration = {
    task: task.name,
    version: manifest.version,
    runtime: `${host} ${hostVersion}`,
    options: toConfiguration(kept, options),
  };
  const world = state.world = await joinRanks(configuration, { together: Boolean(task.together) });
  const isFirst = world.rank === 0;
  if (options.dryRun) {
    if (!isFirst) return;
    const plan = { ...configuration, ...await task.plan?.(options) };
    return await writeOutput(JSON.stringify(plan, null, 2) + "\n");
  }

  const closed = new AbortController();
  const signal = AbortSignal.any([interrupted, closed.signal]);
  const { input = "-", output = "-", overwrite, resume } = options as Readonly<Record<string, unknown>>;
  const source = await openInputOfAll(
    task.together === "dealt" && isFirst ? alone : world,
    input as string,
    signal,
  );
  const sink = !isFirst ? noOutput : await openOutput(output as string, {
    overwrite: overwrite as boolean | undefined,
    ...(task.resumes && {
      resuming: { resume: resume === true, ...(task.resumes === "records" && { configuration }) },
    }),
    warn: (line) => writeError(`${task.name}: ${line}`),
    closed: (error) => task.outlivesOutput ? undefined : closed.abort(error),
  });
  const [finished] = await world.broadcast(Uint8Array.of(sink instanceof FinishedOutput ? 1 : 0));
  if (sink instanceof FinishedOutput) {
    return writeError(`${task.name}: ${sink.path} is finished: nothing is left to resume`);
  }
  if (finished) return;
  state.output = sink;
  using listener = createListener({
    task: task.name,
    quiet: options.quiet || !isFirst,
    debug: () => state.debug && isFirst,
    silent: !isFirst,
    total: (options as { readonly limit?: number }).limit,
  });
  // Imported when it is asked for: a page of help needs no TF.js.
  const profiled = options.profile ? (await import("./profile_table.ts")).startProfile() : undefined;
  try {
    await task.run(options, {
      input: source,
      output: sink,
      words: command.words,
      listener,
      signal,
      world,
      configuration,
    });
    signal.throwIfAborted();
    await sink.finish();
    if (profiled) writeError(await profiled());
  } catch (error) {
    const keptLines = await sink.abandon();
    if (keptLines) listener.warn(keptLines);
    // Whatever the work made of the abort, the reason is what ended it.
    throw signal.aborted ? signal.reason : error;
  }
}

/** Says in one line what ended the task, and returns it with the exit code. */
function report(
  name: string,
  error: unknown,
  state: { readonly debug: boolean; readonly says: boolean },
): { readonly code: number; readonly line: string } {
  if (error instanceof ClosedOutputError) return { code: 0, line: "" };
  const line = `${name}: ${inWords(error)}`;
  if (!state.says) {
    return { code: error instanceof InterruptedError ? interruptedExitCode : exitCodeOf(error), line };
  }
  if (error instanceof InterruptedError) {
    writeError(line);
    return { code: interruptedExitCode, line };
  }
  const expected = error instanceof InputError;
  writeError(
    `${line}${expected || state.debug ? "" : " (run with --debug for the stack)"}`,
  );
  if (state.debug) writeError(inspect(error));
  return { code: exitCodeOf(error), line };
}
