/**
 * The runtime's WebGPU entry point: Deno's own `navigator.gpu`, or Dawn from npm's `webgpu` in Bun and Node.
 *
 * TF.js checks `navigator.gpu` while its WebGPU package is being imported, so in Bun and Node it is assigned first.
 *
 * @returns `undefined` where neither exists.
 */
export async function findGpu(): Promise<GPU | undefined> {
  const holder = globalThis.navigator as (Navigator & { gpu?: GPU }) | undefined;
  if (holder?.gpu) return holder.gpu;
  try {
    const { create, globals } = await import("webgpu");
    Object.assign(globalThis, globals);
    const gpu = create([]) as unknown as GPU;
    if (holder) Object.defineProperty(holder, "gpu", { value: gpu, configurable: true });
    else Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });
    return gpu;
  } catch {
    return undefined; // no prebuilt Dawn for this platform
  }
}
