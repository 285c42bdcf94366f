/** ggml's CPU kernels by FFI, from the shared libraries of npm's `@node-llama-cpp/linux-x64` (Linux and Deno alone). */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../lib/runtime/errors.ts";
import type { Factors, Product, Products } from "./_products.ts";

const POINTER = "pointer", SIZE = "usize", INT = "i32";
/** Of the library of one CPU generation, or of libggml-base.so that it loads. */
const SYMBOLS = {
  ggml_init: { parameters: [{ struct: [SIZE, POINTER, "bool"] }], result: POINTER },
  ggml_new_tensor_2d: { parameters: [POINTER, INT, "i64", "i64"], result: POINTER },
  ggml_mul_mat: { parameters: [POINTER, POINTER, POINTER], result: POINTER },
  ggml_new_graph: { parameters: [POINTER], result: POINTER },
  ggml_build_forward_expand: { parameters: [POINTER, POINTER], result: "void" },
  ggml_nbytes: { parameters: [POINTER], result: SIZE },
  ggml_quantize_chunk: {
    parameters: [INT, "buffer", "buffer", "i64", "i64", "i64", POINTER],
    result: SIZE,
  },
  ggml_backend_cpu_init: { parameters: [], result: POINTER },
  ggml_backend_cpu_set_n_threads: { parameters: [POINTER, INT], result: "void" },
  ggml_backend_cpu_set_threadpool: { parameters: [POINTER, POINTER], result: "void" },
  ggml_threadpool_params_init: { parameters: ["buffer", INT], result: "void" },
  ggml_threadpool_new: { parameters: ["buffer"], result: POINTER },
  ggml_backend_cpu_reg: { parameters: [], result: POINTER },
  ggml_backend_reg_dev_get: { parameters: [POINTER, SIZE], result: POINTER },
  ggml_backend_reg_get_proc_address: { parameters: [POINTER, "buffer"], result: POINTER },
  ggml_backend_dev_supports_op: { parameters: [POINTER, POINTER], result: "bool" },
  ggml_backend_get_default_buffer_type: { parameters: [POINTER], result: POINTER },
  ggml_backend_buft_name: { parameters: [POINTER], result: POINTER },
  ggml_backend_alloc_ctx_tensors_from_buft: { parameters: [POINTER, POINTER], result: POINTER },
  ggml_backend_buffer_free: { parameters: [POINTER], result: "void" },
  ggml_backend_tensor_set: { parameters: [POINTER, "buffer", SIZE, SIZE], result: "void" },
  ggml_backend_tensor_get: { parameters: [POINTER, "buffer", SIZE, SIZE], result: "void" },
  ggml_log_set: { parameters: ["function", POINTER], result: "void" },
  ggml_backend_graph_compute: { parameters: [POINTER, POINTER], result: INT },
} as const satisfies Deno.ForeignLibraryInterface;

/** ggml's numbers of the kinds of weights. */
const KINDS = { f32: 0, q8_0: 8, q4_0: 2 } as const;
/** Bytes of the records of tensors and graphs; no numbers are in them. */
const RECORDS = 2 ** 21;

/** What computes with ggml. */
export interface Ggml {
  /** The library that says it is best for this processor. */
  readonly library: string;
  /** Products with W in every kind and every layout that this processor's library has. */
  products(given: Factors): Products;
}

/**
 * Opens the library of a folder whose generation of CPUs is best for this one, by what each says of itself.
 *
 * @throws {InputError} when there is none, or none loads here
 */
export function openGgml(folder: string, threads: number): Ggml {
  if (!("Deno" in globalThis)) {
    throw new InputError("Cannot open ggml's libraries: expected Deno, by which they are called");
  }
  const library = bestOf(folder), calls = Deno.dlopen(join(folder, library), SYMBOLS).symbols;
  const silent = new Deno.UnsafeCallback({ parameters: [INT, POINTER, POINTER], result: "void" }, () => {});
  calls.ggml_log_set(silent.pointer, null); // it would tell of every weight that it turns
  const backend = calls.ggml_backend_cpu_init();
  calls.ggml_backend_cpu_set_n_threads(backend, threads);
  if (threads > 1) { // else each product would start threads of its own
    const parameters = new Uint8Array(4096);
    calls.ggml_threadpool_params_init(parameters, threads);
    calls.ggml_backend_cpu_set_threadpool(backend, calls.ggml_threadpool_new(parameters));
  }
  const registry = calls.ggml_backend_cpu_reg(), device = calls.ggml_backend_reg_dev_get(registry, 0n);
  const usual = calls.ggml_backend_get_default_buffer_type(backend);
  const layouts = [usual, ...otherLayouts(calls, registry, device)];
  const context = () => {
    const parameters = new DataView(new ArrayBuffer(24));
    parameters.setBigUint64(0, BigInt(RECORDS), true);
    parameters.setUint8(16, 1); // numbers are allocated by a buffer
    return calls.ggml_init(new Uint8Array(parameters.buffer));
  };
  const put = (tensor: Deno.PointerValue, bytes: Uint8Array<ArrayBuffer>) =>
    calls.ggml_backend_tensor_set(tensor, bytes, 0n, BigInt(bytes.length));
  const narrowed = ({ n, k, wide }: Factors, kind: keyof typeof KINDS): Uint8Array<ArrayBuffer> => {
    const bytes = new Uint8Array(4 * wide.length), from = new Uint8Array(wide.buffer as ArrayBuffer);
    if (kind === "f32") return from;
    const length = calls.ggml_quantize_chunk(KINDS[kind], from, bytes, 0n, BigInt(n), BigInt(k), null);
    return bytes.slice(0, Number(length));
  };
  const products = (given: Factors): Products => {
    const { n, k, copies } = given;
    const weights = (Object.keys(KINDS) as (keyof typeof KINDS)[]).flatMap((kind) => {
      const bytes = narrowed(given, kind);
      return layouts.flatMap((layout) => {
        const owner = context();
        const tensors = Array.from(
          { length: copies },
          () => calls.ggml_new_tensor_2d(owner, KINDS[kind], BigInt(k), BigInt(n)),
        );
        const buffer = calls.ggml_backend_alloc_ctx_tensors_from_buft(owner, layout);
        const x = calls.ggml_new_tensor_2d(owner, KINDS.f32, BigInt(k), 1n);
        const served = layout === usual ||
          calls.ggml_backend_dev_supports_op(device, calls.ggml_mul_mat(owner, tensors[0]!, x));
        if (!served) {
          calls.ggml_backend_buffer_free(buffer);
          return [];
        }
        for (const tensor of tensors) put(tensor, bytes);
        const name = new Deno.UnsafePointerView(calls.ggml_backend_buft_name(layout)!).getCString();
        return [{ name: layout === usual ? `ggml ${kind}` : `ggml ${kind}, ${name}`, tensors }];
      });
    });
    return (m) =>
      Object.fromEntries(weights.map(({ name, tensors }) => {
        const owner = context(), x = calls.ggml_new_tensor_2d(owner, KINDS.f32, BigInt(k), BigInt(m));
        const made = tensors.map((weight) => {
          const y = calls.ggml_mul_mat(owner, weight, x), graph = calls.ggml_new_graph(owner);
          calls.ggml_build_forward_expand(graph, y);
          return { y, graph };
        });
        calls.ggml_backend_alloc_ctx_tensors_from_buft(owner, usual);
        put(x, new Uint8Array(given.x.buffer as ArrayBuffer, 0, 4 * m * k));
        const product: Product = {
          once(copy) {
            const status = calls.ggml_backend_graph_compute(backend, made[copy]!.graph);
            if (status !== 0) throw new Error(`ggml computes no product: status ${status}`);
          },
          y() {
            const found = new Float32Array(m * n), bytes = new Uint8Array(found.buffer);
            calls.ggml_backend_tensor_get(made[0]!.y, bytes, 0n, BigInt(bytes.length));
            return found;
          },
        };
        return [name, product];
      }));
  };
  return { library, products };
}

/** The file whose generation of CPUs scores highest; one that this processor cannot run scores 0. */
function bestOf(folder: string): string {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    throw new InputError(`Cannot read the folder ${folder}: expected one with libggml-cpu-*.so in it`);
  }
  const scores = names.filter((name) => /^libggml-cpu.*\.so$/.test(name)).flatMap((name) => {
    try {
      const { symbols } = Deno.dlopen(join(folder, name), {
        ggml_backend_score: { parameters: [], result: INT },
      });
      return [{ name, score: symbols.ggml_backend_score() }];
    } catch {
      return []; // of another system
    }
  });
  const best = scores.sort((a, b) => b.score - a.score)[0];
  if (!best?.score) {
    throw new InputError(
      `No library of ${folder} serves this processor: expected libggml-cpu-*.so of @node-llama-cpp/linux-x64`,
    );
  }
  return best.name;
}

/** Where weights are kept in an order of their own: tiles of a processor's matrix unit, rows woven into each other. */
function otherLayouts(
  calls: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"],
  registry: Deno.PointerValue,
  device: Deno.PointerValue,
): Deno.PointerValue[] {
  const name = new TextEncoder().encode("ggml_backend_dev_get_extra_bufts\0");
  const address = calls.ggml_backend_reg_get_proc_address(registry, name);
  if (!address) return [];
  const list = new Deno.UnsafeFnPointer(
    address as Deno.PointerObject<{ parameters: ["pointer"]; result: "pointer" }>,
    { parameters: [POINTER], result: POINTER },
  ).call(device);
  const found: Deno.PointerValue[] = [];
  for (let at = 0; list; at += 8) {
    const layout = new Deno.UnsafePointerView(list).getPointer(at);
    if (!layout) break;
    found.push(layout);
  }
  return found;
}
