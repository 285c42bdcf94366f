/**
 * Standard input, output and error, the same in Deno, Bun and Node.
 *
 * Output goes through `fs.write` on the descriptor, not through `process.stdout` or `console`: only so is a reader
 * that has gone away seen at once in all three (`console.log` swallows it and runs on to the end), and only so is
 * nothing lost when the process exits right after the last line.
 */

import * as fs from "node:fs";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { isatty } from "node:tty";
import { inWords } from "./_file_sink.ts";
import { shownText } from "./one_line.ts";

/** Thrown when whoever reads standard output has gone away (`| head -1`): stop the work, and end quietly with 0. */
export class ClosedOutputError extends Error {
  /** "ClosedOutputError". */
  override name = "ClosedOutputError";
}

const encoder = new TextEncoder();

/** A closed pipe, as Deno (BrokenPipe), Bun and Node report it, and Windows' name for it. */
function isClosedPipe(error: unknown): boolean {
  const { code, name } = error as { code?: string; name?: string };
  return code === "EPIPE" || code === "EOF" || code === "ERR_STREAM_DESTROYED" || name === "BrokenPipe";
}

function isBusy(error: unknown): boolean {
  return (error as { code?: string }).code === "EAGAIN";
}

function writeOnce(bytes: Uint8Array, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(1, bytes, at, bytes.length - at, null, (error, written) => {
      if (error) reject(error);
      else resolve(written);
    });
  });
}

/** The file that standard output was sent to, where the system tells. */
function outputName(): string {
  try {
    return fs.readlinkSync("/proc/self/fd/1");
  } catch {
    return "standard output";
  }
}

/** Whether what was written last ended within a line: an answer that is shown as it comes. */
let withinLine = false;
/** What the last line of the terminal shows while work goes on. */
let statusLine: string | undefined;

/** Back to the line's first column, and what stood there is gone. No place is saved: other programs scroll the screen. */
const CLEAR = "\r\x1b[K";

/** Whether a status line may stand where this process writes next: its own, or that of another program of its pipe. */
function mayCover(): boolean {
  return statusLine !== undefined || !isTerminal("input") || !isTerminal("output");
}

let lastWrite: Promise<void> = Promise.resolve();

async function writeAll(bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    try {
      at += await writeOnce(bytes, at);
    } catch (error) {
      if (isClosedPipe(error)) throw new ClosedOutputError("Standard output was closed", { cause: error });
      if (!isBusy(error)) throw inWords(error, "write", outputName());
      // The pipe is full and its other end made it non-blocking: nothing tells us when there is room again.
      await delay(5);
    }
  }
}

/**
 * Writes text or bytes to standard output and resolves when the system has taken them, so that whoever awaits it
 * goes no faster than the reader. Calls that overlap are written one after the other.
 *
 * Throws {@linkcode ClosedOutputError} when the reader has gone away, InputError when the disk is full.
 */
export function writeOutput(content: string | Uint8Array): Promise<void> {
  const bytes = typeof content === "string" ? encoder.encode(content) : content;
  const write = lastWrite.then(() => isTerminal("output") ? writeAbove(bytes) : writeAll(bytes));
  lastWrite = write.catch(() => {});
  return write;
}

/** {@linkcode writeOutput} for text that was read or generated: a terminal shows its control characters and does not obey them. */
export function writeOutputText(text: string): Promise<void> {
  return writeOutput(isTerminal("output") ? shownText(text) : text);
}

/** Writes to a terminal, which may show a status line. */
async function writeAbove(bytes: Uint8Array): Promise<void> {
  if (bytes.length === 0) return;
  const clear = isTerminal("error") && !withinLine && mayCover() ? encoder.encode(CLEAR) : new Uint8Array();
  withinLine = bytes.at(-1) !== 0x0a;
  await writeAll(new Uint8Array([...clear, ...bytes]));
  drawStatusLine();
}

/** Standard input, in chunks as they come. Ends at once when there is none. */
export async function* readInput(): AsyncGenerator<Uint8Array> {
  yield* process.stdin as AsyncIterable<Uint8Array>;
}

/**
 * Shows a text on the last line of the terminal in place of what it showed before; {@linkcode writeError} and
 * {@linkcode writeOutput} write above it. One character less than {@linkcode columns}, or it would wrap.
 */
export function showStatusLine(text: string): void {
  statusLine = text;
  drawStatusLine();
}

/** Leaves the status line as it stands and goes to the next line. */
export function endStatusLine(): void {
  // In one write: another program of the pipe may show its own in between.
  if (statusLine !== undefined) writeErrorText(withinLine ? "\n" : `\r${statusLine}\x1b[K\n`);
  statusLine = undefined;
}

function drawStatusLine(): void {
  if (statusLine !== undefined && !withinLine) writeErrorText(`\r${statusLine}\x1b[K`);
}

function writeErrorText(text: string): void {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) {
    try {
      at += fs.writeSync(2, bytes, at);
    } catch (error) {
      // Nobody reads our messages: no reason to stop the work. A full non-blocking pipe is tried again.
      if (!isBusy(error)) return;
    }
  }
}

/** Writes one line to standard error, above the status line if there is one. Never throws, and loses nothing at exit. */
export function writeError(line: string): void {
  if (!isTerminal("error")) return writeErrorText(`${line}\n`);
  // An answer that has not ended its line keeps what it has of it.
  const before = withinLine ? "\n" : mayCover() ? CLEAR : "";
  withinLine = false;
  writeErrorText(`${before}${line}\n`);
  drawStatusLine();
}

/** Whether standard input, output or error is a terminal. */
export function isTerminal(stream: "input" | "output" | "error"): boolean {
  return isatty({ input: 0, output: 1, error: 2 }[stream]);
}

/** Whether to colour a stream: it is a terminal, and NO_COLOR is unset or empty (no-color.org). */
export function useColor(stream: "output" | "error"): boolean {
  return isTerminal(stream) && !process.env.NO_COLOR && process.env.TERM !== "dumb";
}

/** Width of the terminal in characters: its own, or COLUMNS, or 80. */
export function columns(stream: "output" | "error" = "output"): number {
  const own = isTerminal(stream) && (stream === "output" ? process.stdout : process.stderr).columns;
  return own || Number.parseInt(process.env.COLUMNS ?? "") || 80;
}
