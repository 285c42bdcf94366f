import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/**
 * A folder inside an installed npm package, as a path that ends as `inside` does.
 *
 * @param name the package's name
 * @param inside a path relative to the package's root, such as `dist/`
 */
export function resolveModuleFolder(name: string, inside: string): string {
  const require = createRequire(import.meta.url);
  return join(dirname(require.resolve(`${name}/package.json`)), inside);
}
