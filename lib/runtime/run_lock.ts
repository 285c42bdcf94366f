/**
 * One run a folder. The file `run.lock` names the process, and a local socket in the system's temporary folder that it holds
 * open: whoever finds the file asks the socket, which the system closes however the process ends. So a killed run locks
 * nothing, and a process number that somebody else has now is not taken for the run.
 */

import { randomBytes } from "node:crypto";
import * as fs from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { named } from "./_file_sink.ts";
import { UsageError } from "./errors.ts";

/** Name of the file in the folder. */
export const lockName = "run.lock";

interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly socket: string | null;
}

/**
 * Locks a folder that is there until it is disposed of.
 *
 * @throws {UsageError} when another run holds it
 */
export async function lockFolder(folder: string): Promise<AsyncDisposable> {
  const path = join(folder, lockName), server = await listen();
  const own: Holder = { pid: process.pid, host: hostname(), socket: server?.path ?? null };
  const text = JSON.stringify(own);
  try {
    for (;;) {
      await refuseLocked(folder);
      const written = await named("write", path, () => fs.writeFile(path, text, { flag: "wx" }))
        .then(() => true, async (error) => {
          if (await fs.stat(path).then(() => true, () => false)) return false;
          throw error;
        });
      // Of two that found a dead run's lock, the later may have removed the earlier's.
      if (written && await fs.readFile(path, "utf8").catch(() => "") === text) break;
    }
  } catch (error) {
    await server?.close();
    throw error;
  }
  return {
    async [Symbol.asyncDispose]() {
      if (await fs.readFile(path, "utf8").catch(() => "") === text) await fs.rm(path, { force: true });
      await server?.close();
    },
  };
}

/**
 * Removes the lock of a run that is gone.
 *
 * @throws {UsageError} when the run that holds it is alive, or may be: on another machine
 */
export async function refuseLocked(folder: string): Promise<void> {
  const path = join(folder, lockName);
  const text = await fs.readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return;
  const holder = parse(text);
  if (holder !== undefined) {
    const here = holder.host === hostname(), alive = here ? await isAlive(holder) : undefined;
    if (alive !== false) {
      throw new UsageError(
        `Cannot write ${folder}: another run writes there (process ${holder.pid} on ${holder.host})` +
          (alive === undefined ? `; if it is gone, remove ${path}` : ""),
      );
    }
    // The file may be somebody else's writing: nothing is removed but what we put beside our own.
    const { socket } = holder, ours = socket !== null && isSocketName(socket) && dirname(socket) === tmpdir();
    if (ours) await fs.rm(socket, { force: true });
  }
  // A lock that was cut short is nobody's either. One that is new meanwhile is left.
  if (await fs.readFile(path, "utf8").catch(() => undefined) === text) await fs.rm(path, { force: true });
}

/** Removes the lock of a run that was killed; one that is held, or may be, stays. */
export async function removeDeadLock(folder: string): Promise<void> {
  await refuseLocked(folder).catch((error) => {
    if (!(error instanceof UsageError)) throw error;
  });
}

function parse(text: string): Holder | undefined {
  try {
    const { pid, host, socket } = JSON.parse(text);
    if (Number.isInteger(pid) && typeof host === "string") {
      return { pid, host, socket: typeof socket === "string" ? socket : null };
    }
  } catch {
    // cut short
  }
  return undefined;
}

/** Whether a process of this machine lives; undefined where nobody may tell. */
async function isAlive({ pid, socket }: Holder): Promise<boolean | undefined> {
  if (socket !== null && isSocketName(socket)) {
    return await new Promise((resolve) => {
      const asked = connect(socket, () => end(true));
      // Nobody refused: it is held by somebody who has no time.
      const timer = setTimeout(() => end(true), 2000);
      const end = (alive: boolean) => {
        clearTimeout(timer);
        asked.destroy();
        resolve(alive);
      };
      asked.on("error", () => end(false));
    });
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    return code === "ESRCH" ? false : code === "EPERM" ? true : undefined;
  }
}

function isSocketName(path: string): boolean {
  return /aft-[0-9a-f]{16}\.(?:sock|pipe)$/.test(path);
}

/** A socket that tells that we live; undefined where none can be had (a program without network permission). */
async function listen(): Promise<{ readonly path: string; close(): Promise<void> } | undefined> {
  const name = `aft-${randomBytes(8).toString("hex")}`;
  const path = process.platform === "win32" ? `\\\\.\\pipe\\${name}.pipe` : join(tmpdir(), `${name}.sock`);
  try {
    const server: Server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
    server.unref();
    server.on("error", () => {});
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
