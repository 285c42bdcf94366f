/**
 * How an adapter_config.json names modules: PEFT's rules (`check_target_module_exists`, `get_pattern_key`), for the paths
 * of modules in transformers, such as `model.layers.0.self_attn.q_proj`.
 */

/** The fields of adapter_config.json that say which modules are adapted. */
export interface TargetRules {
  /** Ends of paths, or a regular expression for whole paths; null leaves it to the tensors. */
  readonly target_modules: readonly string[] | string | null;
  /** The same, for what is left out. */
  readonly exclude_modules: readonly string[] | string | null;
  /** Numbers of layers (null: all). */
  readonly layers_to_transform: readonly number[] | null;
  /** Names of the lists of layers; any, when empty. */
  readonly layers_pattern: readonly string[];
}

/**
 * A regular expression of Python's as JavaScript has it, for a whole text. Throws SyntaxError for what JavaScript does
 * not have: nothing is taken to mean something else; and for a repeated group, which could take for ever.
 */
export function pythonPattern(source: string, prefix = ""): RegExp {
  if (/(?<!\\)\)[*+{]/.test(source)) throw new SyntaxError("A repeated group");
  const translated = source.replaceAll("(?P<", "(?<").replace(/\\(.)/gsu, (whole, char: string) => {
    if (char === "A") return "^";
    if (char === "Z") return "$";
    if (/[\p{L}\p{N}^$\\.*+?()[\]{}|/]/u.test(char)) return whole;
    return `\\u{${char.codePointAt(0)!.toString(16)}}`; // Python lets any sign be escaped
  });
  return new RegExp(`^${prefix}(?:${translated})$`, "u");
}

/** Whether PEFT puts an update on the module; undefined where the config leaves that to the tensors. */
export function isTargeted(module: string, rules: TargetRules): boolean | undefined {
  const { target_modules: targets, exclude_modules: excluded, layers_to_transform: layers } = rules;
  if (excluded !== null && named(module, excluded)) return false;
  if (targets === null) return undefined;
  if (typeof targets === "string") {
    return targets.toLowerCase() === "all-linear" ? undefined : named(module, targets);
  }
  if (targets.includes(module)) return true;
  if (!named(module, targets)) return false;
  if (layers === null || layers.length === 0) return true;
  const lists = rules.layers_pattern.length > 0 ? rules.layers_pattern : ["[^.]*"];
  for (const list of lists) {
    const found = module.match(new RegExp(`^.*?\\.(?:${list})\\.(\\d+)\\.`, "u"));
    if (found) return layers.includes(Number(found[1]));
  }
  return false;
}

function named(module: string, names: readonly string[] | string): boolean {
  if (typeof names === "string") return pythonPattern(names).test(module);
  return names.some((name) => module === name || module.endsWith(`.${name}`));
}

/** What a rank_pattern or alpha_pattern says of a module: the first key that fits the end of its path. */
export function patternValue(
  pattern: Readonly<Record<string, number>> | undefined,
  module: string,
): number | undefined {
  for (const [key, value] of Object.entries(pattern ?? {})) {
    if (pythonPattern(key, "(?:.*\\.)?").test(module)) return value;
  }
  return undefined;
}

/** Checks a rank_pattern or alpha_pattern: an object of regular expressions and numbers that hold. */
export function checkPattern(
  pattern: unknown,
  holds: (value: unknown) => boolean,
  refusal: (found: unknown) => Error,
): void {
  if (pattern === undefined || pattern === null) return;
  if (typeof pattern !== "object" || Array.isArray(pattern)) throw refusal(pattern);
  for (const [key, value] of Object.entries(pattern)) {
    if (!holds(value) || !isPattern(key)) throw refusal({ [key]: value });
  }
}

/** Whether a text is a regular expression that both languages have. */
export function isPattern(source: unknown): boolean {
  try {
    pythonPattern(String(source));
    return typeof source === "string";
  } catch {
    return false;
  }
}
