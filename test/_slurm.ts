/** A cluster of Slurm with two nodes on this machine, which lives as long as a test: all that it writes lies in one folder. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";

/** A cluster that runs. */
export interface Slurm extends AsyncDisposable {
  /** The environment in which srun, sbatch and scontrol find it. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs one of Slurm's commands and gives what it printed. Throws with what it complained of. */
  readonly ask: (command: string, ...args: string[]) => string;
}

/** What the cluster is made of, by package. */
const programs: Readonly<Record<string, readonly string[]>> = {
  munge: ["munged", "munge"],
  "slurm-wlm": ["slurmctld", "slurmd", "srun", "sbatch", "scontrol"],
};

/** Daemons lie where a user's PATH may not lead. */
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;

/** Why there can be no cluster here; undefined where one may be started. */
export function whyNoSlurm(): string | undefined {
  if (process.platform !== "linux") return "Slurm's daemons are tried on Linux alone";
  const missing = Object.entries(programs).flatMap(([name, all]) =>
    all.every((one) => spawnSync("sh", ["-c", `command -v ${one}`], { env: { PATH } }).status === 0)
      ? []
      : [name]
  );
  if (missing.length > 0) return `apt install ${missing.join(" ")} for Slurm, mpich for what it joins`;
  return process.getuid?.() === 0 ? undefined : "slurmd starts its tasks as root alone";
}

/** Starts munged, slurmctld and two slurmd in `folder`. Throws with the end of a daemon's log where they do not come up. */
export async function startSlurm(folder: string): Promise<Slurm> {
  for (const name of ["state", "log", "munge"]) {
    mkdirSync(join(folder, name), { recursive: true, mode: 0o755 });
  }
  const key = join(folder, "munge", "key"), socket = join(folder, "munge", "socket");
  writeFileSync(key, randomBytes(128), { mode: 0o600 });
  const [control, ...ports] = await freePorts(3), conf = join(folder, "slurm.conf");
  writeFileSync(conf, configuration({ folder, socket, control: control!, ports }));
  const env = { PATH, SLURM_CONF: conf }, daemons: ChildProcess[] = [];
  const start = (command: string, ...args: string[]) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const log = createWriteStream(join(folder, "log", `${daemons.length}-${command}`));
    child.stdout!.pipe(log, { end: false });
    child.stderr!.pipe(log, { end: false });
    daemons.push(child);
  };
  const ask = (command: string, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(command, args, {
      env: { ...process.env, ...env },
      encoding: "utf8",
      timeout: 30_000,
    });
    if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const stop = async () => {
    if (daemons.length > 1) {
      spawnSync("scancel", ["--user", "root"], { env: { ...process.env, ...env }, timeout: 10_000 });
    }
    // The last started first: nobody waits for one that is gone.
    for (const child of daemons.toReversed()) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGTERM");
      if (await Promise.race([ended, delay(10_000, "late")]) === "late") child.kill("SIGKILL");
    }
  };
  try {
    const munged = [`--socket=${socket}`, `--key-file=${key}`, `--pid-file=${socket}.pid`];
    start(
      "munged",
      "--foreground",
      "--force",
      ...munged,
      `--seed-file=${key}.seed`,
      `--log-file=${socket}.log`,
    );
    await until(() => spawnSync("munge", ["-n", "-S", socket]).status === 0, { daemons, folder });
    start("slurmctld", "-D", "-i", "-f", conf);
    for (const node of ["n1", "n2"]) start("slurmd", "-D", "-N", node, "-f", conf);
    const idle = () =>
      spawnSync("sinfo", ["-h", "-o", "%t %D"], { env: { ...process.env, ...env }, encoding: "utf8" });
    await until(() => idle().stdout.trim() === "idle 2", { daemons, folder });
  } catch (error) {
    await stop();
    throw error;
  }
  return { env, ask, [Symbol.asyncDispose]: stop };
}

/** Waits until the cluster has come so far; throws with what the daemons said last when it does not, or one has ended. */
async function until(
  holds: () => boolean,
  { daemons, folder }: { readonly daemons: readonly ChildProcess[]; readonly folder: string },
): Promise<void> {
  const isUp = () => daemons.every(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  for (const end = performance.now() + 40_000; performance.now() < end && isUp(); await delay(300)) {
    if (holds()) return;
  }
  const logs = ["0-munged", "1-slurmctld", "2-slurmd", "3-slurmd"].map((name) => {
    try {
      return `${name}: ${
        readFileSync(join(folder, "log", name), "utf8").trim().split("\n").slice(-3).join("; ")
      }`;
    } catch {
      return `${name}: not started`;
    }
  });
  throw new Error(logs.join(" | "));
}

function configuration(
  { folder, socket, control, ports }: {
    readonly folder: string;
    readonly socket: string;
    readonly control: number;
    readonly ports: readonly number[];
  },
): string {
  const host = hostname().split(".")[0]!;
  const nodes = ports.map((port, i) =>
    `NodeName=n${i + 1} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${port} CPUs=2 State=UNKNOWN`
  );
  return [
    "ClusterName=aft",
    `SlurmctldHost=${host}(127.0.0.1)`,
    `SlurmctldPort=${control}`,
    "AuthType=auth/munge",
    `AuthInfo=socket=${socket}`,
    "SlurmUser=root",
    "SlurmdUser=root",
    `StateSaveLocation=${folder}/state`,
    `SlurmdSpoolDir=${folder}/spool.%n`,
    `SlurmctldPidFile=${folder}/slurmctld.pid`,
    `SlurmdPidFile=${folder}/slurmd.%n.pid`,
    "ProctrackType=proctrack/linuxproc",
    "TaskPlugin=task/none",
    "MpiDefault=none",
    "SwitchType=switch/none",
    "ReturnToService=2",
    "SelectType=select/cons_tres",
    "SelectTypeParameters=CR_Core",
    "SchedulerType=sched/backfill",
    "JobAcctGatherType=jobacct_gather/none",
    "AccountingStorageType=accounting_storage/none",
    ...nodes,
    "PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
    "",
  ].join("\n");
}

/** Ports that nobody listens on. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map((server) =>
      new Promise<number>((resolve) =>
        server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port))
      )
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
