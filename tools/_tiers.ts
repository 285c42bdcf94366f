/** Which tests a person runs when: said by folder and file, so that a test's name means nothing. */

/**
 * What one runs while working: numbers worked out by hand, formats, text. No command is run to train anything, and no
 * kernel is compared on two devices. Each is a folder or a file.
 */
export const fast: readonly string[] = [
  "test/backend/allocator_test.ts",
  "test/checkpoint",
  "test/data",
  "test/feedback",
  "test/house",
  "test/house_test.ts",
  "test/hub",
  "test/objectives",
  "test/report",
  "test/runtime",
  "test/tokenizer",
  "test/tools",
];

/**
 * Files in those folders that take too long: some wait until a thread that hangs or a silent server is given up, one builds an archive, one starts
 * processes by mpirun.
 */
export const slow: readonly string[] = [
  "test/data/parquet_test.ts",
  "test/tokenizer/hostile_tokenizer_test.ts",
  "test/runtime/sync_worker_test.ts",
  "test/runtime/hostile_endpoint_test.ts",
  "test/hub/hostile_hub_test.ts",
  "test/tools/npm_archive_test.ts",
  "test/house/indexed_test.ts",
  "test/runtime/world_test.ts",
];

/**
 * What `test:full` alone runs, each for minutes: it asks the package registry, packs the runtime, starts Slurm's daemons,
 * joins network namespaces, or takes 6 GB of memory.
 */
export const full: readonly string[] = [
  "test/tools/npm_install_test.ts",
  "test/tools/pack_run_test.ts",
  "test/tasks/slurm_test.ts",
  "test/tasks/two_hosts_test.ts",
  "test/train/large_training_test.ts",
];

/**
 * The files of the fast tier, in the order of `files`.
 *
 * @param files all test files, by their paths from the root with slashes
 * @throws {Error} when a name above stands for no file: a test that moved would leave the tier unseen
 */
export function fastFiles(files: readonly string[]): string[] {
  const isIn = (name: string) => (file: string) => file === name || file.startsWith(`${name}/`);
  for (const name of [...fast, ...slow, ...full]) {
    if (!files.some(isIn(name))) throw new Error(`Tier of tests names ${name}, where there is no test`);
  }
  return files.filter((file) =>
    fast.some((name) => isIn(name)(file)) && ![...slow, ...full].some((name) => isIn(name)(file))
  );
}

/** The files that take longest, begun first, so that no core waits for the last of them. */
export const longest: readonly string[] = [
  "test/kill_test.ts",
  "test/tasks/mpi_test.ts",
  "test/tasks/mpi_align_test.ts",
  "test/pipeline/align_ranks_test.ts",
  "test/tasks/reading_test.ts",
  "test/tasks/dealt_command_test.ts",
  "test/tasks/shard_command_test.ts",
  "test/tasks/align_test.ts",
  "test/tasks/signals_test.ts",
  "test/tasks/signals_between_test.ts",
  "test/tasks/locked_output_test.ts",
  "test/examples/doc_comments_test.ts",
  "test/tokenizer/hostile_tokenizer_test.ts",
  "test/data/parquet_test.ts",
  "test/data/statements_test.ts",
  "test/fuzz_test.ts",
];
