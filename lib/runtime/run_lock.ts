/**
 * One run a folder, and one a file of records. The folder's `run.lock`, or `.NAME.aft-lock` beside the file, names the process
 * and a local socket in the system's temporary folder that it holds open: whoever finds the lock asks the socket, which the
 * system closes however the process ends. So a killed run locks nothing, and a process number that somebody else has now is
 * not taken for the run.
 */

import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { hostname, tmpdir, uptime } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import process from "node:process";
import { named } from "./_file_sink.ts";
import { UsageError } from "./errors.ts";

/** Name of the file in the folder. */
export const lockName = "run.lock";

interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly socket: string | null;
  /** The temporary folder, by its number on its disk: jobs of one machine may have one each under one name. */
  readonly temporary: string | null;
}

/** What is locked, and the file that says so. */
interface Place {
  readonly path: string;
  readonly lock: string;
}

function ofFolder(folder: string): Place {
  return { path: folder, lock: join(folder, lockName) };
}

function ofFile(file: string): Place {
  return { path: file, lock: join(dirname(resolve(file)), `.${basename(resolve(file))}.aft-lock`) };
}

/**
 * Locks a folder that is there until it is disposed of.
 *
 * @throws {UsageError} when another run holds it
 */
export async function lockFolder(folder: string): Promise<AsyncDisposable> {
  return await lock(ofFolder(folder));
}

/**
 * Locks a file that is to be written, there or not, until it is disposed of.
 *
 * @throws {UsageError} when another run writes it
 */
export async function lockFile(file: string): Promise<AsyncDisposable> {
  return await lock(ofFile(file));
}

async function lock(place: Place): Promise<AsyncDisposable> {
  const server = await listen();
  const own: Holder = {
    pid: process.pid,
    host: machine(),
    socket: server?.path ?? null,
    temporary: server ? await identity(dirname(server.path)) : null,
  };
  const text = JSON.stringify(own);
  try {
    for (;;) {
      await refuse(place);
      const written = await named("write", place.path, () => fs.writeFile(place.lock, text, { flag: "wx" }))
        .then(() => true, async (error) => {
          if (await fs.stat(place.lock).then(() => true, () => false)) return false;
          throw error;
        });
      // Of two that found a dead run's lock, the later may have removed the earlier's.
      if (written && await fs.readFile(place.lock, "utf8").catch(() => "") === text) break;
    }
  } catch (error) {
    await server?.close();
    throw error;
  }
  return {
    async [Symbol.asyncDispose]() {
      if (await fs.readFile(place.lock, "utf8").catch(() => "") === text) {
        await fs.rm(place.lock, { force: true });
      }
      await server?.close();
    },
  };
}

/**
 * Removes the lock of a run that is gone from a folder.
 *
 * @throws {UsageError} when the run that holds it is alive, or may be: on another machine
 */
export async function refuseLocked(folder: string): Promise<void> {
  await refuse(ofFolder(folder));
}

/** {@linkcode refuseLocked} of a file. */
export async function refuseLockedFile(file: string): Promise<void> {
  await refuse(ofFile(file));
}

async function refuse({ path, lock }: Place): Promise<void> {
  const text = await fs.readFile(lock, "utf8").catch(() => undefined);
  if (text === undefined) return;
  const holder = parse(text);
  if (holder !== undefined) {
    const here = holder.host === machine() && holder.host !== unnamed,
      alive = here ? await isAlive(holder, lock) : undefined;
    if (alive !== false) {
      throw new UsageError(
        `Cannot write ${path}: another run writes there (process ${holder.pid} on ${holder.host})` +
          (alive === undefined ? `; if it is gone, remove ${lock}` : ""),
      );
    }
    // The file may be somebody else's writing: nothing is removed but what we put beside our own.
    const { socket } = holder, ours = socket !== null && isSocketName(socket) && dirname(socket) === tmpdir();
    if (ours) await fs.rm(socket, { force: true });
  }
  // A lock that was cut short is nobody's either. One that is new meanwhile is left.
  if (await fs.readFile(lock, "utf8").catch(() => undefined) === text) await fs.rm(lock, { force: true });
}

/** Removes the lock of a run that was killed; one that is held, or may be, stays. */
export async function removeDeadLock(folder: string): Promise<void> {
  await refuseLocked(folder).catch((error) => {
    if (!(error instanceof UsageError)) throw error;
  });
}

function parse(text: string): Holder | undefined {
  try {
    const { pid, host, socket, temporary } = JSON.parse(text);
    const textOf = (value: unknown) => typeof value === "string" ? value : null;
    if (Number.isInteger(pid) && typeof host === "string") {
      return { pid, host, socket: textOf(socket), temporary: textOf(temporary) };
    }
  } catch {
    // cut short
  }
  return undefined;
}

/** What stands for the machine's name where a program may not ask for it: no two of these are taken for one. */
const unnamed = "a machine";

function machine(): string {
  try {
    return hostname();
  } catch {
    return unnamed;
  }
}

/** Whether a process of this machine lives; undefined where nobody may tell. */
async function isAlive(
  { pid, socket, temporary }: Holder,
  lock: string,
): Promise<boolean | undefined> {
  if (socket !== null && isSocketName(socket)) {
    const answer = await ask(socket);
    if (answer !== "missing") return answer === "held";
    // It was swept away, unless it is in a folder that we do not see.
    if (process.platform === "win32" || temporary === null) return false;
    if (temporary === await identity(dirname(socket))) return false;
  }
  if (await isOlderThanMachine(lock)) return false;
  try {
    process.kill(pid, 0);
    return socket === null ? true : undefined; // the number may be another's by now
  } catch (error) {
    const { code } = error as { code?: string };
    return code === "ESRCH" ? false : code === "EPERM" && socket === null ? true : undefined;
  }
}

/** Whether a file is from before the machine was started, by more than clocks are put right. */
async function isOlderThanMachine(path: string): Promise<boolean> {
  try {
    return (await fs.stat(path)).mtimeMs < Date.now() - uptime() * 1000 - 60_000;
  } catch {
    return false;
  }
}

/** A folder by its number on its disk; null where it cannot be looked at. */
async function identity(folder: string): Promise<string | null> {
  return await fs.stat(folder).then(({ dev, ino }) => `${dev}:${ino}`, () => null);
}

/** Whether somebody listens at a socket: nobody, when its process is gone. */
function ask(socket: string): Promise<"held" | "dead" | "missing"> {
  return new Promise((resolve) => {
    const asked = connect(socket, () => end("held"));
    // Nobody refused: it is held by somebody who has no time.
    const timer = setTimeout(() => end("held"), 2000);
    const end = (answer: "held" | "dead" | "missing") => {
      clearTimeout(timer);
      asked.destroy();
      resolve(answer);
    };
    // Any other error (a socket of another user's, a queue that is full) is no word that it is gone.
    asked.on("error", ({ code }: Error & { code?: string }) => {
      end(code === "ECONNREFUSED" ? "dead" : code === "ENOENT" ? "missing" : "held");
    });
  });
}

/** How old a socket must be before it is taken for dead: one that is being made refuses for a moment. */
const fresh = 60_000;

/** What the names of this machine's sockets begin with: machines can share a temporary folder, and cannot ask each other's. */
function socketPrefix(): string {
  return `aft-${createHash("sha256").update(machine()).digest("hex").slice(0, 8)}`;
}

/** Removes the sockets that killed processes of this machine left in the temporary folder: those that refuse, and no others. */
async function sweepSockets(): Promise<void> {
  const folder = tmpdir(), prefix = socketPrefix();
  const names = (await fs.readdir(folder)).filter((name) => name.startsWith(prefix) && isSocketName(name));
  const sweep = async (path: string) => {
    const status = await fs.lstat(path);
    if (!status.isSocket() || Date.now() - status.mtimeMs < fresh) return;
    if (await ask(path) === "dead") await fs.rm(path, { force: true });
  };
  // Of another user's, or one that is gone by now, nothing is said.
  await Promise.all(names.slice(0, 256).map((name) => sweep(join(folder, name)).catch(() => {})));
}

function isSocketName(path: string): boolean {
  return /aft-[0-9a-f]{16}\.(?:sock|pipe)$/.test(path);
}

/** A socket that tells that we live; undefined where none can be had (a program without network permission). */
async function listen(): Promise<{ readonly path: string; close(): Promise<void> } | undefined> {
  const name = `${socketPrefix()}${randomBytes(4).toString("hex")}`;
  const path = process.platform === "win32" ? `\\\\.\\pipe\\${name}.pipe` : join(tmpdir(), `${name}.sock`);
  try {
    const server: Server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
    server.unref();
    server.on("error", () => {});
    if (process.platform !== "win32") await sweepSockets().catch(() => {});
    return {
      path,
      async close() {
        await new Promise<void>((resolve) => server.close(() => resolve()));
        await fs.rm(path, { force: true }).catch(() => {});
      },
    };
  } catch {
    return undefined;
  }
}
