/** Where a thread's module is. */

/** The module as a thread can load it: a published archive holds JavaScript under the same name. */
export function workerModule(module: URL): URL {
  return import.meta.url.endsWith(".js") ? new URL(module.href.replace(/\.ts$/, ".js")) : module;
}
