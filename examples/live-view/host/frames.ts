/** RFC 6455, section 5: the frames of a WebSocket, as a server reads and writes them. */
export interface Frame {
  readonly opcode: number;
  /** The last one of its message. */
  readonly isFinal: boolean;
  readonly payload: Buffer;
}

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** The peer broke the protocol; `code` is what the connection is closed with. */
export class ProtocolError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * The first frame in the bytes and what comes after it; null while it is incomplete.
 *
 * @throws {ProtocolError} as soon as the frame is known to be wrong or longer than `limit`.
 */
export function readFrame(bytes: Buffer, limit: number): { frame: Frame; rest: Buffer } | null {
  if (bytes.length < 2) return null;
  const [first, second] = [bytes[0]!, bytes[1]!];
  const opcode = first & 0x0f;
  const isFinal = first >= 0x80;
  if ((first & 0x70) !== 0) throw new ProtocolError(1002, 'No extension was agreed on');
  if (second < 0x80) throw new ProtocolError(1002, 'A client masks its frames');

  const shortLength = second & 0x7f;
  if (opcode >= OPCODE.close && (shortLength > 125 || !isFinal)) {
    throw new ProtocolError(1002, 'A control frame is short and whole');
  }
  const maskAt = shortLength === 127 ? 10 : shortLength === 126 ? 4 : 2;
  if (bytes.length < maskAt) return null;
  const length =
    shortLength === 127
      ? Number(bytes.readBigUInt64BE(2))
      : shortLength === 126
        ? bytes.readUInt16BE(2)
        : shortLength;
  if (length > limit) throw new ProtocolError(1009, `A message has at most ${limit} bytes`);

  const start = maskAt + 4;
  if (bytes.length < start + length) return null;
  const payload = Buffer.from(bytes.subarray(start, start + length));
  for (let index = 0; index < length; index++) payload[index]! ^= bytes[maskAt + (index & 3)]!;
  return { frame: { opcode, isFinal, payload }, rest: bytes.subarray(start + length) };
}

/** A whole message, or a control frame, as a server sends it. */
export function writeFrame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  if (head.length === 2) head[1] = length;
  else if (head.length === 4) {
    head[1] = 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([head, payload]);
}
