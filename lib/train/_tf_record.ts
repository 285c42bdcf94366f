/**
 * TensorFlow's record file: of each record its length (uint64), a masked checksum of that, its bytes, and a masked
 * checksum of those; numbers little-endian.
 *
 *   masked(crc) = ((crc ≫ 15 | crc ≪ 17) + 0xa282ead8) mod 2³²,  crc = CRC-32C (Castagnoli, RFC 3720)
 */

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C of some bytes. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function masked(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return ((crc >>> 15 | crc << 17) + 0xa282ead8) >>> 0;
}

/** One record as the file has it. */
export function frameRecord(content: Uint8Array): Uint8Array {
  const frame = new Uint8Array(16 + content.length), view = new DataView(frame.buffer);
  view.setBigUint64(0, BigInt(content.length), true);
  view.setUint32(8, masked(frame.subarray(0, 8)), true);
  frame.set(content, 12);
  view.setUint32(12 + content.length, masked(content), true);
  return frame;
}

/** The records of a file, up to the first that is cut short or damaged. */
export function* readRecords(file: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 0; at + 12 <= file.length;) {
    if (view.getUint32(at + 8, true) !== masked(file.subarray(at, at + 8))) return;
    const length = Number(view.getBigUint64(at, true)), end = at + 12 + length;
    if (end + 4 > file.length) return;
    const content = file.subarray(at + 12, end);
    if (view.getUint32(end, true) !== masked(content)) return;
    yield content;
    at = end + 4;
  }
}
