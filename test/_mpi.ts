/** Commands started by the launchers of both families of MPI, side by side as Debian installs them. */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { commandOf, program, type Result, type RunOptions } from "./_commands.ts";

/** The two families, with what starts processes of each, and how. */
export const launchers: Readonly<Record<"Open MPI" | "MPICH", readonly string[]>> = {
  "Open MPI": ["mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-q"],
  MPICH: ["mpirun.mpich"],
};

/** A family's name. */
export type Family = keyof typeof launchers;

/** Both of them. */
export const families = Object.keys(launchers) as readonly Family[];

const missing = families.map((family) => launchers[family][0]!)
  .filter((name) => spawnSync(name, ["--version"], { timeout: 20_000 }).status !== 0);

/** A test that needs both launchers: skipped where one is missing, which AFT_REQUIRE_MPI=1 makes a failure. */
export function mpiTest(name: string, body: () => Promise<void>): void {
  if (missing.length === 0) return void test(name, body);
  const reason = `${missing.join(" and ")} not found: apt install openmpi-bin mpich`;
  if (process.env.AFT_REQUIRE_MPI !== "1") return void test(name, { skip: reason }, () => {});
  test(name, () => {
    throw new Error(reason);
  });
}

/** Starts a task, or a script, as so many processes. */
export function mpirun(
  { family, ranks }: { readonly family: Family; readonly ranks: number },
  [task, ...args]: readonly [string, ...string[]],
  options: RunOptions = {},
): Promise<Result> {
  const [launcher, ...words] = [...launchers[family], "-n", `${ranks}`, ...commandOf(task), ...args];
  return program(launcher!, words, options);
}

/** The process of a rank below a launcher of Open MPI, which starts its ranks itself. */
export function processOf(launcher: number, rank: number): number {
  const children = readFileSync(`/proc/${launcher}/task/${launcher}/children`, "utf8").trim().split(" ").map(
    Number,
  );
  return children.find((child) =>
    readFileSync(`/proc/${child}/environ`, "utf8").includes(`OMPI_COMM_WORLD_RANK=${rank}\0`)
  )!;
}
