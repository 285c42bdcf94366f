import type { DecoderConfig } from "../checkpoint/config.ts";

/**
 * Rotary frequencies in radians a position, one for each pair of dimensions of a head [headDim/2].
 *
 *   f_i = θ^(−2i/headDim)
 *   linear: f_i / factor
 *   llama3: f_i where the wavelength λ = 2π/f_i < L/high; f_i/factor where λ > L/low; between them
 *           (1 − s)·f_i/factor + s·f_i with s = (L/λ − low)/(high − low); L = the original longest sequence
 *
 * Empty for a model whose positions are learned. Sources: Su et al., arXiv 2104.09864; Llama 3.1's model code.
 */
export function ropeFrequencies(config: DecoderConfig): Float64Array {
  const { rope, headDim } = config;
  if (!rope) return new Float64Array(0);
  const scaling = rope.scaling;
  return Float64Array.from({ length: headDim / 2 }, (_, i) => {
    const plain = rope.theta ** (-2 * i / headDim);
    if (!scaling) return plain;
    if (scaling.type === "linear") return plain / scaling.factor;
    const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
    // How often the pair turns round within the original length.
    const turns = originalMaxPositions * plain / (2 * Math.PI);
    const share = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    return (1 - share) * plain / factor + share * plain;
  });
}
