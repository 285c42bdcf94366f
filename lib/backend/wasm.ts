import * as tf from "@tensorflow/tfjs";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { findBlas, type NativeBlas } from "../runtime/native.ts";
import { resolveModuleFolder } from "../runtime/modules.ts";

/** TF.js's WASM backend, with the members that work on its heap needs. */
interface TfWasmBackend {
  readonly wasm: {
    readonly HEAPU8: Uint8Array;
    readonly asm: { readonly memory: WebAssembly.Memory };
    _malloc(bytes: number): number;
    _free(pointer: number): void;
  };
  readonly dataIdMap: { get(id: object): { memoryOffset: number } };
  makeOutput(shape: number[], dtype: tf.DataType): tf.TensorInfo;
}

/** The heap that TF.js's WASM tensors live in. Pointers are byte offsets into `memory`. */
export interface WasmHeap {
  readonly memory: WebAssembly.Memory;
  /** Byte offset of a tensor's first element. */
  pointer(tensor: tf.TensorInfo): number;
  /** Bytes outside any tensor, for the caller to free. */
  allocate(bytes: number): number;
  free(pointer: number): void;
  readonly backend: TfWasmBackend;
}

/** Sets up TF.js's WASM backend from the package's own folder and looks for a BLAS. */
export async function openWasm(): Promise<{ heap: WasmHeap; blas?: NativeBlas; blasWhy: string }> {
  setWasmPaths(resolveModuleFolder("@tensorflow/tfjs-backend-wasm", "dist/"));
  await tf.setBackend("wasm");
  await tf.ready();
  const backend = tf.backend() as unknown as TfWasmBackend;
  const memory = backend.wasm.asm.memory;
  const { blas, why } = await findBlas();
  return {
    heap: {
      backend,
      memory,
      pointer: (tensor) => backend.dataIdMap.get(tensor.dataId).memoryOffset,
      allocate(bytes) {
        const pointer = backend.wasm._malloc(bytes) >>> 0;
        if (pointer === 0) throw new Error(`The WASM heap has no room for ${bytes} more bytes`);
        return pointer;
      },
      free: (pointer) => backend.wasm._free(pointer),
    },
    blas,
    blasWhy: why,
  };
}
