/**
 * Two "hosts" on one Linux machine: two network namespaces joined by a wire that delays each packet. As root, with iproute2;
 * everything is gone again at the end.
 *
 *   deno run -A bench/two_hosts.ts 10                                          what the wire itself does
 *   deno run -A bench/two_hosts.ts 10 "Open MPI" deno run -A bench/ranks.ts sum   a command as two ranks, one on each
 *   deno run -A bench/two_hosts.ts 10 MPICH deno run -A bench/ranks.ts sum
 *
 * The number is the delay of one way in milliseconds: a round trip takes two of them. It may be 0, which is the same wire
 * without its delay.
 */

import process from "node:process";
import { DEVICE, MTU, type Wire } from "./_delayed_link.ts";

/** The hosts' addresses. */
const hosts = ["10.77.0.1", "10.77.0.2"] as const;
/** The namespace of a host. */
const namespaceOf = (host: string) => `aft-${process.pid}-${host}`;

async function ip(...words: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("ip", { args: words, stdout: "null" }).output();
  if (!success) throw new Error(`ip ${words.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
}

/** Starts the wire between the two namespaces. */
async function join(milliseconds: number): Promise<void> {
  const worker = new Worker(new URL("./_delayed_link.ts", import.meta.url), { type: "module" });
  const up = Promise.withResolvers<void>();
  worker.onmessage = () => up.resolve();
  worker.onerror = ({ message }) => up.reject(new Error(message));
  const [a, b] = hosts;
  worker.postMessage({ namespaces: [namespaceOf(a), namespaceOf(b)], milliseconds } satisfies Wire);
  await up.promise;
  for (const [own, other] of [[a, b], [b, a]] as const) {
    const there = ["-n", namespaceOf(own)];
    await ip(...there, "link", "set", "lo", "up");
    await ip(...there, "address", "add", own, "peer", other, "dev", DEVICE);
    await ip(...there, "link", "set", DEVICE, "mtu", `${MTU}`, "up");
  }
}

/** The commands that run on the hosts. */
const running = new Set<Deno.ChildProcess>();

/** A command on a host; the exit code, when it has ended. */
async function on(host: string, words: readonly string[]): Promise<number> {
  const args = ["netns", "exec", namespaceOf(host), ...words];
  const child = new Deno.Command("ip", { args, env: onlyByWire }).spawn();
  running.add(child);
  const { code } = await child.status;
  running.delete(child);
  return code;
}

/** Kills what still runs on the hosts. */
async function endAll(): Promise<void> {
  for (const host of hosts) {
    const { stdout } = await new Deno.Command("ip", { args: ["netns", "pids", namespaceOf(host)] }).output();
    for (const pid of new TextDecoder().decode(stdout).split(/\s+/).filter(Boolean)) {
      Deno.kill(Number(pid), "SIGKILL");
    }
  }
}

/** Megabytes that the wire has carried, in both directions. */
async function carried(): Promise<number> {
  const args = ["-n", namespaceOf(hosts[0]), "-json", "-statistics", "link", "show", DEVICE];
  const { stdout } = await new Deno.Command("ip", { args }).output();
  const [{ stats64: { rx, tx } }] = JSON.parse(new TextDecoder().decode(stdout));
  return (rx.bytes + tx.bytes) / 1e6;
}

/** Both "hosts" have this machine's memory and name, by which MPICH's UCX would join them past the wire. */
const onlyByWire = { UCX_TLS: "tcp,self", UCX_NET_DEVICES: DEVICE };

/**
 * What both families take for ssh: starts a command on a host. Words of ssh's own come before the host.
 */
const remoteShell = `#!/bin/sh
while [ "\${1#-}" != "$1" ]; do shift; done
host=$1; shift
exec ip netns exec "aft-${process.pid}-$host" sh -c "$*"
`;

/** What starts a command as two ranks, one on each host, by family. */
const launchers: Readonly<Record<string, (agent: string) => readonly string[]>> = {
  "Open MPI": (agent) => [
    ...[
      "mpirun.openmpi",
      "--allow-run-as-root",
      "--bind-to",
      "none",
      "-q",
      "-n",
      "2",
      "--host",
      hosts.join(","),
    ],
    ...["--mca", "plm_rsh_agent", agent, "--mca", "btl", "tcp,self"],
    ...["btl", "oob"].flatMap((part) => ["--mca", `${part}_tcp_if_include`, DEVICE]),
  ],
  MPICH: (agent) => [
    ...["mpirun.mpich", "-n", "2", "-ppn", "1", "-hosts", hosts.join(","), "-iface", DEVICE],
    ...["-launcher", "ssh", "-launcher-exec", agent],
  ],
};

const [delay = "", family, ...command] = process.argv.slice(2);
const milliseconds = Number(delay);
if (
  delay === "" || !(milliseconds >= 0) ||
  (family !== undefined && (!launchers[family] || command.length === 0))
) {
  console.error(`Usage: two_hosts.ts MILLISECONDS ["Open MPI"|MPICH COMMAND…]: see the file's first lines`);
  process.exit(2);
}
// The namespaces are deleted when the commands have ended.
for (const name of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(name, () => {
    running.forEach((child) => child.kill(name));
    setTimeout(() => void endAll().catch(() => {}), 10_000);
  });
}
const folder = await Deno.makeTempDir();
let code = 1;
try {
  for (const host of hosts) await ip("netns", "add", namespaceOf(host));
  await join(milliseconds);
  if (family === undefined) {
    const figures = [process.execPath, "run", "-A", new URL("./_link_figures.ts", import.meta.url).pathname];
    const serving = on(hosts[1], [...figures, "serve", hosts[1]]);
    code = await on(hosts[0], [...figures, "ask", hosts[1]]) || await serving;
  } else {
    const agent = `${folder}/remote_shell`;
    await Deno.writeTextFile(agent, remoteShell, { mode: 0o755 });
    code = await on(hosts[0], [...launchers[family]!(agent), ...command]);
    console.error(`The wire carried ${(await carried()).toFixed(1)} MB, ${milliseconds} ms late`);
  }
} finally {
  await endAll().catch(() => {}); // some may end by themselves meanwhile
  for (const host of hosts) await ip("netns", "delete", namespaceOf(host)).catch(() => {});
  await Deno.remove(folder, { recursive: true });
}
process.exit(code);
