import type { NativeBlas } from "../runtime/native.ts";
import type { Kernel } from "./_shared_work.ts";

/** The product of a native library on the matrices of a heap: `Sgemm` with byte offsets in place of addresses. */
export function nativeProduct(memory: WebAssembly.Memory, blas: NativeBlas): Kernel {
  let base = 0, baseOf: ArrayBufferLike | undefined;
  return (transposeA, transposeB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) => {
    if (memory.buffer !== baseOf) { // a heap that is not shared has another address when it has grown
      baseOf = memory.buffer;
      base = blas.addressOf(baseOf as ArrayBuffer);
    }
    blas.sgemm(
      transposeA === 1,
      transposeB === 1,
      m!,
      n!,
      k!,
      alpha!,
      base + a!,
      lda!,
      base + b!,
      ldb!,
      beta!,
      base + c!,
      ldc!,
    );
  };
}
