/**
 * Runs a file of tests under Deno, which takes no notice of an error between two of them: `deno test` runs the tests before
 * it and ends with 0. Here such a file has a test that fails.
 *
 *   deno test -A --no-check tools/_whole_file.ts -- test/house_test.ts
 */
import { resolve } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const file = process.argv[2]!;
try {
  await import(pathToFileURL(resolve(file)).href);
} catch (error) {
  test(`${file} is read to its end`, () => {
    throw error;
  });
}
