import { request } from 'node:http';
import type { Socket } from 'node:net';

/** A WebSocket's bare connection, which can do what no browser does. */
export interface BareSocket {
  /** The next text that came. */
  text(): Promise<string>;
  /** The next answer to a ping. */
  pong(): Promise<string>;
  /** What the server closed it with. */
  readonly closeCode: Promise<number>;
  send(text: string): void;
  write(bytes: Buffer): void;
  /** Ends it in good order as TCP has it, after all that was written. */
  end(): void;
  /** Ends it without a word. */
  destroy(): void;
}

const TEXT = 1;
const CLOSE = 8;
const PONG = 10;

/** Rejects with the status where the server does not upgrade. */
export async function openBareSocket(url: string, headers: Record<string, string> = {}): Promise<BareSocket> {
  const { socket, head } = await upgrade(url, headers);
  const received = new Map([TEXT, CLOSE, PONG].map((opcode) => [opcode, new Letterbox()]));
  let unread = head;
  const read = (bytes: Buffer) => {
    unread = Buffer.concat([unread, bytes]);
    for (let frame = firstFrame(unread); frame; frame = firstFrame(unread)) {
      unread = unread.subarray(frame.end);
      received.get(frame.opcode)!.put(frame.payload);
    }
  };
  socket.on('data', read);
  read(Buffer.alloc(0));
  return {
    text: async () => String(await received.get(TEXT)!.take()),
    pong: async () => String(await received.get(PONG)!.take()),
    closeCode: received
      .get(CLOSE)!
      .take()
      .then((payload) => payload.readUInt16BE()),
    send: (text) => void socket.write(clientFrame(text, { opcode: TEXT })),
    write: (bytes) => void socket.write(bytes),
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
  };
}

/** A frame as a client sends it: masked. */
export function clientFrame(
  content: string | Buffer,
  { opcode, isFinal = true }: { opcode: number; isFinal?: boolean },
): Buffer {
  const payload = Buffer.from(content);
  const { length } = payload;
  const size =
    length < 126 ? [length] : length < 65_536 ? [126, length >> 8, length & 0xff] : longSize(length);
  const mask = [0x5a, 0x01, 0xc3, 0x7e];
  const head = [(isFinal ? 0x80 : 0) | opcode, 0x80 | size[0]!, ...size.slice(1), ...mask];
  return Buffer.concat([Buffer.from(head), payload.map((byte, index) => byte ^ mask[index % 4]!)]);
}

function longSize(length: number): number[] {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(length));
  return [127, ...bytes];
}

function upgrade(url: string, headers: Record<string, string>): Promise<{ socket: Socket; head: Buffer }> {
  return new Promise((resolve, reject) => {
    const asked = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    };
    request(url, { headers: asked, agent: false })
      .on('upgrade', (_response, socket, head) => resolve({ socket: socket.on('error', () => {}), head }))
      .on('response', ({ statusCode }) => reject(new Error(`Answered with ${statusCode}`)))
      .on('error', reject)
      .end();
  });
}

/** Of what a server sends: without a mask. Null while it is incomplete. */
function firstFrame(bytes: Buffer): { opcode: number; payload: Buffer; end: number } | null {
  const start = bytes[1] === 127 ? 10 : bytes[1] === 126 ? 4 : 2;
  if (bytes.length < start) return null;
  const length =
    start === 10 ? Number(bytes.readBigUInt64BE(2)) : start === 4 ? bytes.readUInt16BE(2) : bytes[1]!;
  const end = start + length;
  if (bytes.length < end) return null;
  return { opcode: bytes[0]! & 0x0f, payload: bytes.subarray(start, end), end };
}

/** What came and who waits for it, in order. */
class Letterbox {
  readonly #letters: Buffer[] = [];
  readonly #waiting: ((letter: Buffer) => void)[] = [];

  put(letter: Buffer): void {
    const next = this.#waiting.shift();
    if (next) next(letter);
    else this.#letters.push(letter);
  }

  take(): Promise<Buffer> {
    const letter = this.#letters.shift();
    return letter ? Promise.resolve(letter) : new Promise((resolve) => this.#waiting.push(resolve));
  }
}
