/** A task's options as they are kept: for `--dry-run`, run directories and outputs that are taken up again. */

/** What a task was asked to do: enough to do it again (`--config` reads it). */
export interface TaskConfiguration {
  /** The task's name. */
  readonly task: string;
  /** Version of this project. */
  readonly version: string;
  /** The runtime and its version. */
  readonly runtime: string;
  /** Every option's value by its name without dashes; null where it has none. */
  readonly options: Readonly<Record<string, unknown>>;
}
