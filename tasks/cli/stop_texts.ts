/** What `--stop` says. */

import { UsageError } from "../../lib/runtime/errors.ts";
import type { Listener } from "../../lib/runtime/listener.ts";

/**
 * The stop texts that were given: undefined for the template's own, an empty list for `none`. Texts are taken as they
 * are; one that holds a backslash and an n, where a line end may have been meant, is told.
 */
export function stopTexts(
  given: readonly string[] | undefined,
  listener: Pick<Listener, "warn">,
): readonly string[] | undefined {
  if (given === undefined) return undefined;
  if (given.includes("none")) {
    if (given.length > 1) {
      throw new UsageError(
        `Only one of --stop none and other texts can be given: got ${JSON.stringify(given)}`,
      );
    }
    return [];
  }
  for (const text of given.filter((text) => /\\[nt](?![a-z])/.test(text))) {
    listener.warn?.(
      `--stop ${text} holds a backslash, no line end: a shell writes one as $'${
        text.replaceAll("'", "\\'")
      }'`,
    );
  }
  return given;
}
