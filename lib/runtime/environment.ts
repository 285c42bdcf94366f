/**
 * What this process runs on: environment variables, runtime, machine and memory.
 */

import { readFileSync } from "node:fs";
import * as os from "node:os";
import process from "node:process";

/** The value of an environment variable; undefined when it is unset or empty. */
export function environmentVariable(name: string): string | undefined {
  return process.env[name] || undefined;
}

/** The runtime that executes us, and its version. */
export interface Runtime {
  /** Which of the three it is. */
  readonly name: "deno" | "bun" | "node";
  /** Its version, such as "2.9.6". */
  readonly version: string;
}

/** Which runtime executes us. Deno and Bun also fill `process.versions.node`, so they are asked for first. */
export function runtime(): Runtime {
  const { deno, bun, node } = process.versions as Record<string, string | undefined>;
  if (deno) return { name: "deno", version: deno };
  if (bun) return { name: "bun", version: bun };
  return { name: "node", version: node ?? "unknown" };
}

/** The machine we run on. */
export interface Machine {
  /** "linux", "darwin" or "win32". */
  readonly system: string;
  /** "x64" or "arm64". */
  readonly architecture: string;
  /** Name of the processor; empty when the system does not say. */
  readonly processor: string;
  /** Cores that this process may use. */
  readonly cores: number;
  /** Bytes of memory of the machine. */
  readonly memoryTotal: number;
  /** Bytes of memory that can be had without swapping. */
  readonly memoryAvailable: number;
}

/** One value of a file of `/proc` with lines `Name: 123 kB`, in bytes; undefined where there is no such file. */
function procBytes(path: string, name: string): number | undefined {
  try {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(readFileSync(path, "utf8"));
    return found ? Number(found[1]) * 1024 : undefined;
  } catch {
    return undefined;
  }
}

/** The machine we run on, and its memory at this moment. */
export function machine(): Machine {
  return {
    system: process.platform,
    architecture: process.arch,
    processor: os.cpus()[0]?.model?.trim() ?? "",
    cores: os.availableParallelism(),
    memoryTotal: os.totalmem(),
    memoryAvailable: memoryAvailable(),
  };
}

/** Bytes of memory that can be had without swapping. */
export function memoryAvailable(): number {
  // os.freemem() leaves out what the page cache would give back.
  return procBytes("/proc/meminfo", "MemAvailable") ?? os.freemem();
}

/** The system and its release, as "linux 6.1.0-18-amd64". */
export function systemRelease(): string {
  return `${process.platform} ${os.release()}`;
}

/** Bytes of memory this process had resident at its peak. */
export function peakResidentBytes(): number {
  return procBytes("/proc/self/status", "VmHWM") ?? process.resourceUsage().maxRSS * 1024;
}

/** Bytes of memory this process has resident now. */
export function residentBytes(): number {
  return process.memoryUsage().rss;
}
