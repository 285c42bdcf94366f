/**
 * From what `--model` says to a model directory: a folder as it is, or a model of the Hugging Face hub, downloaded.
 */

import { basename, dirname, join } from "node:path";
import { downloadFile, type HubOptions, listRepository } from "../hub/hub.ts";
import { InputError } from "../runtime/errors.ts";
import { nearPath } from "../runtime/near_path.ts";
import { exists, isDirectory, readJson } from "../runtime/files.ts";
import { readConfig, whyMissing } from "./checkpoint.ts";

/** A model on the hub. */
export interface HubModel {
  /** `ORG/NAME`. */
  readonly repo: string;
  /** Branch, tag or commit. */
  readonly revision: string;
}

/** How to find a model. */
export interface ResolveModelOptions extends HubOptions {
  /** `config`: of a model on the hub, download its config alone, for what can be said without weights. */
  readonly only?: "config";
}

/** What goes with the weights, and is small: downloaded first. README.md tells the model's licence. */
const companions =
  /^(config\.json|adapter_config\.json|generation_config\.json|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|vocab\.json|merges\.txt|chat_template\.(jinja|json)|README\.md|(LICENSE|NOTICE)[\w.-]*)$/;
const single = "model.safetensors", index = "model.safetensors.index.json";
const adapterConfig = "adapter_config.json", adapterWeights = "adapter_model.safetensors";

/**
 * The directory of a model: `specification` itself where there is one, or else the snapshot in the shared cache folder
 * of `ORG/NAME[@REVISION]` on the hub. Configuration and tokenizer are downloaded first, so that a model that is not
 * supported is refused before its weights; only the files that loading needs are.
 *
 * A name whose first part is a folder here (`runs/vft`) is taken for a mistyped path and never asked of the hub;
 * `runs/vft@main` is.
 *
 * @throws {InputError} when there is neither, with the reason: no such model, access refused, hub unreachable, not in
 * the cache when offline, no weights in safetensors
 */
export async function resolveModel(
  specification: string,
  options: ResolveModelOptions = {},
): Promise<string> {
  if (await exists(specification)) return specification;
  const model = parseHubModel(specification);
  const missing = await whyMissing(specification);
  const wrong = (reason: string) =>
    new InputError(`Cannot open model directory ${specification}: ${missing}${reason}`);
  if (missing !== "no such directory") throw wrong("");
  const near = await nearPath(specification);
  if (!model) throw wrong(`, and no name of a model on the hub (ORG/NAME or ORG/NAME@REVISION)${near}`);
  const folder = model.repo.split("/")[0];
  if (!specification.includes("@") && await isDirectory(folder)) {
    throw wrong(
      `; the hub is not asked, since ${folder} is a folder here: write ${specification}@main for its model${near}`,
    );
  }
  const { only, ...session } = options;
  let names: readonly string[];
  try {
    names = await listRepository(model, session);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(`${error.message}; there is no directory ${specification} either${near}`, {
      cause: error,
    });
  }
  if (only !== "config") return await downloadModel(model, names, session);
  const path = isAdapter(names) ? adapterConfig : "config.json";
  return dirname(await downloadFile({ ...model, path }, session));
}

/** `ORG/NAME[@REVISION]` in its parts; undefined for anything else, such as a path with more folders. */
export function parseHubModel(specification: string): HubModel | undefined {
  const [, repo, revision = "main"] = specification.match(/^(\w[\w.-]*\/\w[\w.-]*)(?:@([\w][\w./-]*))?$/) ??
    [];
  if (repo === undefined || /\.\.|--|\.git$/.test(repo) || /\.\.|\/\/|\/$/.test(revision)) return undefined;
  return { repo, revision };
}

/** The model whose snapshot a directory of the shared cache folder is, its commit as revision; undefined elsewhere. */
export function hubModelOf(directory: string): HubModel | undefined {
  const [, repo, revision] = directory.match(/models--([^/\\]+)[/\\]snapshots[/\\]([0-9a-f]{40})[/\\]?$/) ??
    [];
  return repo === undefined ? undefined : { repo: repo.replace("--", "/"), revision };
}

/** Whether a repository of these files holds an adapter and not a whole model. */
function isAdapter(names: readonly string[]): boolean {
  return names.includes(adapterConfig) && !names.includes("config.json");
}

async function downloadModel(
  { repo, revision }: HubModel,
  names: readonly string[],
  options: HubOptions,
): Promise<string> {
  const adapter = isAdapter(names);
  const first = adapter ? adapterConfig : "config.json";
  const download = (path: string, at: string) => downloadFile({ repo, path, revision: at }, options);
  const directory = dirname(await download(first, revision));
  const commit = basename(directory); // from here on one commit, whatever the branch does
  for (const name of names) if (name !== first && companions.test(name)) await download(name, commit);
  if (!adapter) await readConfig(directory);
  const fetchWeights = async (name: string) => {
    const others = names.filter((n) => /\.(bin|pt|pth|gguf|h5|msgpack)$/.test(n));
    if (names.includes(name) || others.length === 0) return await download(name, commit);
    throw new InputError(
      `Cannot load ${repo}: it has no ${name}, only ${
        others.slice(0, 3).join(", ")
      }, which must be converted first`,
    );
  };
  if (adapter) await fetchWeights(adapterWeights);
  else if (names.includes(single) || !names.includes(index)) await fetchWeights(single);
  else {
    await fetchWeights(index);
    for (const shard of await shardsOf(join(directory, index))) await fetchWeights(shard);
  }
  return directory;
}

/** The files that an index names. What they are called is checked when they are opened, and before, by the cache. */
async function shardsOf(path: string): Promise<string[]> {
  const map = (await readJson(path) as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null) {
    throw new InputError(`Cannot read ${path}: field "weight_map" must be an object of file names`);
  }
  return [...new Set(Object.values(map).map(String))].sort();
}
