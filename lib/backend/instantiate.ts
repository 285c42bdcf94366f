/** The exports of one AssemblyScript module: numbers in, pointers as byte offsets into the heap. */
export type AssemblyKernels = Readonly<Record<string, (...values: number[]) => number>>;

/** The bytes of a built module's text. */
export function moduleBytes(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64.replace(/\s/g, "")), (c) => c.charCodeAt(0));
}

/** `env.memory` as a module imports it, up to the byte that says what kind of memory it is. */
const MEMORY = Uint8Array.from([..."\x03env\x06memory\x02"], (c) => c.charCodeAt(0));
/** A memory with a maximum; the same, shared by several threads. */
const BOUNDED = 1, SHARED = 3;

/**
 * The kernels of a built module on a memory of the caller's, whose maximum is at most that of the build. Kernels hold no
 * data and no stack in it, so any number of threads may instantiate the same module on one shared memory: all that its
 * text must say differently is one bit, that the memory it imports is shared.
 */
export function instantiate(bytes: Uint8Array<ArrayBuffer>, memory: WebAssembly.Memory): AssemblyKernels {
  const text = bytes.slice();
  if (!(memory.buffer instanceof ArrayBuffer)) {
    const at = text.findIndex((_, i) => MEMORY.every((byte, j) => text[i + j] === byte)) + MEMORY.length;
    if (text[at] !== BOUNDED) throw new Error("A WASM kernel imports no memory with a maximum");
    text[at] = SHARED;
  }
  const env = {
    memory,
    abort: () => {
      throw new Error("A WASM kernel aborted");
    },
  };
  return new WebAssembly.Instance(new WebAssembly.Module(text), { env })
    .exports as unknown as AssemblyKernels;
}
